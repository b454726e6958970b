//! Opening a connection: resolve, check the address, dial, and shake hands.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Endpoint, Fault, connection::Connection, tls};

/// Opens a connection that is ready for a request.
pub(crate) async fn open(
    endpoint: &Endpoint,
    trust: Option<&TlsConnector>,
    limit: Duration,
) -> Result<Connection, Fault> {
    let timed_out = || Fault::unreachable(&io::Error::from(io::ErrorKind::TimedOut));
    timeout(limit, dial_and_shake_hands(endpoint, trust))
        .await
        .map_err(|_| timed_out())?
}

async fn dial_and_shake_hands(
    endpoint: &Endpoint,
    trust: Option<&TlsConnector>,
) -> Result<Connection, Fault> {
    let tcp = dial(endpoint)
        .await
        .map_err(|error| Fault::unreachable(&error))?;
    let stream = if endpoint.is_tls() {
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|_| Fault::tls("its host name is not valid"))?;
        let connector = trust.cloned().map_or_else(tls::connector, Ok)?;
        let tls = connector
            .connect(name, tcp)
            .await
            .map_err(|error| Fault::tls(&tls_reason(&error)))?;
        Stream::Tls(Box::new(tls))
    } else {
        Stream::Plain(tcp)
    };
    Ok(Connection::new(stream))
}

/// A TCP connection to an endpoint, whatever is spoken on it. Only an address that the endpoint's guard allows
/// is dialled.
pub async fn dial(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in resolve(endpoint).await? {
        if !endpoint.allows(address.ip()) {
            last = io::Error::from(io::ErrorKind::PermissionDenied);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = endpoint.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, endpoint.port())]);
    }
    let found = tokio::net::lookup_host((endpoint.host(), endpoint.port())).await;
    found
        .map(Iterator::collect)
        .map_err(|_| io::Error::from(io::ErrorKind::NotFound))
}

/// The reason of a failed handshake in words that name no address.
fn tls_reason(error: &io::Error) -> String {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            format!("its certificate was not accepted ({reason:?})")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it refused the handshake ({alert:?})")
        }
        _ => "the handshake failed".to_owned(),
    }
}

/// A connection with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Stream ===

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }
}
