//! Exchanges over TLS with a provider of our own: the certificate beside this file is for `provider.test` and for
//! 127.0.0.1, is its own root, and ends in the year 2126.

#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tollgate_upstream::{Client, Endpoint, Fault, Progress, Timeouts};

const CERTIFICATE: &[u8] = include_bytes!("provider.der");
const KEY: &[u8] = include_bytes!("provider.key.der");

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from(CERTIFICATE)];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A client that trusts the provider's own root, or nobody.
fn client(is_trusting: bool) -> Client {
    let mut roots = RootCertStore::empty();
    if is_trusting {
        roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let timeouts = Timeouts {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_secs(5),
    };
    Client::new(timeouts).trusting(TlsConnector::from(Arc::new(config)))
}

async fn listen(host: &str) -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::new(host, port, true, |_| true).unwrap();
    (listener, endpoint)
}

async fn accept(listener: &TcpListener) -> TlsStream<TcpStream> {
    let (tcp, _) = listener.accept().await.unwrap();
    acceptor().accept(tcp).await.unwrap()
}

/// Reads a request whose body ends in a full stop, and answers.
async fn answer(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut all = Vec::new();
    while !all.ends_with(b".") {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.unwrap();
        all.extend_from_slice(&part[..n]);
    }
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn call(client: &Client, endpoint: &Endpoint) -> Result<Result<Bytes, String>, Fault> {
    let body = Bytes::from(format!("{}.", "x".repeat(100_000)));
    let target = Uri::from_static("/v1/x");
    let sent = client.send(endpoint, Method::POST, &target, HeaderMap::new(), body);
    let body = sent.await?.into_body().collect(1 << 20).await;
    Ok(body.map_err(|error| error.code().to_owned()))
}

#[tokio::test]
async fn requests_and_answers_of_any_size_share_one_connection() {
    let (listener, endpoint) = listen("127.0.0.1").await;
    let client = client(true);
    let large = "a large answer ".repeat(20_000);
    let texts = ["ok", &large, "bye"].map(|text| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
    });
    let ((), said) = tokio::join!(
        async {
            let mut stream = accept(&listener).await;
            for text in &texts {
                answer(&mut stream, text).await;
            }
        },
        async {
            let mut said = Vec::new();
            for _ in 0..3 {
                said.push(call(&client, &endpoint).await.unwrap().unwrap());
            }
            said
        }
    );
    assert_eq!((&said[0][..], &said[2][..]), (&b"ok"[..], &b"bye"[..]));
    assert!(said[1] == large.as_bytes());
}

#[tokio::test]
async fn nothing_is_sent_to_a_provider_that_cannot_show_who_it_is() {
    for (host, is_trusting) in [("127.0.0.1", false), ("localhost", true)] {
        let (listener, endpoint) = listen(host).await;
        let client = client(is_trusting);
        let (shaken, said) = tokio::join!(
            async {
                let (tcp, _) = listener.accept().await.unwrap();
                acceptor().accept(tcp).await.is_ok_and(|_| true)
            },
            call(&client, &endpoint)
        );
        let fault = said.unwrap_err();
        assert_eq!(
            (fault.error.code(), fault.progress),
            ("upstream_tls", Progress::NotSent)
        );
        assert!(!shaken, "{host}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_ends_only_where_the_provider_says_so() {
    let text = "HTTP/1.1 200 OK\r\n\r\nall of it";
    for is_said in [true, false] {
        let (listener, endpoint) = listen("127.0.0.1").await;
        let client = client(true);
        let ((), said) = tokio::join!(
            async {
                let mut stream = accept(&listener).await;
                answer(&mut stream, text).await;
                if is_said {
                    stream.shutdown().await.unwrap();
                }
            },
            call(&client, &endpoint)
        );
        let said = said.unwrap();
        if is_said {
            assert_eq!(said.unwrap(), "all of it");
        } else {
            // Somebody on the way may have cut it.
            assert_eq!(said.unwrap_err(), "upstream_closed");
        }
    }
}
