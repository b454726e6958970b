//! Handing one mail to a mail server: RFC 5321 with STARTTLS (RFC 3207) and AUTH (RFC 4954).
//!
//! Written here because a mail must go only to an address that was allowed when it is dialled, with the roots that
//! providers are trusted by, and because this conversation is all that is needed of a mail library.
//! Nothing is pipelined, and no capability is used beyond STARTTLS and AUTH.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::ServerName;
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tollgate_config::{Mail, MailLogin, MailTls};
use tollgate_upstream::{Endpoint, dial, tls_connector};

/// A conversation with a mail server.
struct Session<S> {
    stream: BufReader<S>,
    /// What the server said after EHLO, one capability a line, in upper case.
    capabilities: Vec<String>,
}

/// A reply: its code and its lines.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

type Outcome<T = ()> = Result<T, String>;

/// A server's line is 512 bytes at most; some send more.
const LONGEST_LINE: u64 = 4 << 10;
const MOST_LINES: usize = 128;

/// Hands a message over. The error names what the server refused, and no credential.
pub(crate) async fn send(
    endpoint: &Endpoint,
    mail: &Mail,
    connector: Option<&TlsConnector>,
    message: &str,
) -> Outcome {
    let tcp = dial(endpoint).await.map_err(|error| unreachable(&error))?;
    let me = tcp
        .local_addr()
        .map_or("[127.0.0.1]".to_owned(), |address| match address.ip() {
            std::net::IpAddr::V4(ip) => format!("[{ip}]"),
            std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        });
    let mut session = match mail.tls {
        MailTls::None => Session::open(Box::new(tcp) as Box<dyn Io>, &me).await?,
        MailTls::Implicit => {
            let tls = secured(tcp, endpoint, connector).await?;
            Session::open(tls, &me).await?
        }
        MailTls::Starttls => {
            let tcp = starttls(tcp, &me).await?;
            let mut session = Session::over(secured(tcp, endpoint, connector).await?);
            // What was said in plain text does not count (RFC 3207, section 4.2).
            session.greet(&me).await?;
            session
        }
    };
    if let Some(login) = &mail.login {
        session.log_in(login).await?;
    }
    session.hand_over(mail, message).await?;
    // The mail is accepted; how the conversation ends changes nothing.
    let _end = session.ask("QUIT").await;
    Ok(())
}

/// The plain part before TLS, which gives the connection back.
async fn starttls(tcp: TcpStream, me: &str) -> Outcome<TcpStream> {
    let mut session = Session::open(tcp, me).await?;
    if !session.capabilities.iter().any(|line| line == "STARTTLS") {
        return Err("the mail server does not offer STARTTLS; nothing was sent".to_owned());
    }
    session.ask("STARTTLS").await?.must(220, "STARTTLS")?;
    // What came before the handshake was put there by somebody in between.
    if !session.stream.buffer().is_empty() {
        return Err("the mail server spoke before TLS began; nothing was sent".to_owned());
    }
    Ok(session.stream.into_inner())
}

async fn secured(
    tcp: TcpStream,
    endpoint: &Endpoint,
    connector: Option<&TlsConnector>,
) -> Outcome<Box<dyn Io>> {
    let connector = match connector {
        Some(connector) => connector.clone(),
        None => tls_connector().map_err(|fault| fault.error.message().to_owned())?,
    };
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|_| "its host name is not valid for TLS".to_owned())?;
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(|error| format!("no secure connection could be made: {error}"))?;
    Ok(Box::new(stream))
}

fn unreachable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "the mail server's name leads to an address that is not allowed for it; set `allow_private = true` for \
             this channel if that is meant"
        }
        io::ErrorKind::NotFound => "the mail server's name could not be resolved",
        io::ErrorKind::ConnectionRefused => "the mail server refused the connection",
        _ => "the mail server could not be reached",
    }
    .to_owned()
}

// === impl Session ===

impl<S: Io> Session<S> {
    fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
            capabilities: Vec::new(),
        }
    }

    /// Waits for the server's greeting and says hello.
    async fn open(stream: S, me: &str) -> Outcome<Self> {
        let mut session = Self::over(stream);
        session.reply().await?.must(220, "the connection")?;
        session.greet(me).await?;
        Ok(session)
    }

    async fn greet(&mut self, me: &str) -> Outcome {
        let reply = self.ask(&format!("EHLO {me}")).await?;
        reply.must(250, "EHLO")?;
        self.capabilities = reply
            .lines
            .iter()
            .map(|line| line.to_ascii_uppercase())
            .collect();
        Ok(())
    }

    async fn log_in(&mut self, login: &MailLogin) -> Outcome {
        let offered: Vec<String> = self
            .capabilities
            .iter()
            .filter_map(|line| line.strip_prefix("AUTH "))
            .flat_map(|methods| methods.split_ascii_whitespace().map(str::to_owned))
            .collect();
        let (username, password) = (&login.username, login.password.expose());
        let reply = if offered.iter().any(|method| method == "PLAIN") {
            let both = STANDARD.encode(format!("\0{username}\0{password}"));
            self.ask(&format!("AUTH PLAIN {both}")).await?
        } else if offered.iter().any(|method| method == "LOGIN") {
            self.ask("AUTH LOGIN").await?.must_quietly(334)?;
            self.ask(&STANDARD.encode(username))
                .await?
                .must_quietly(334)?;
            self.ask(&STANDARD.encode(password)).await?
        } else {
            return Err("the mail server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned());
        };
        reply.must_quietly(235)
    }

    async fn hand_over(&mut self, mail: &Mail, message: &str) -> Outcome {
        self.ask(&format!("MAIL FROM:<{}>", mail.from))
            .await?
            .must(250, "the sender")?;
        let mut accepted = 0;
        for to in &mail.to {
            let reply = self.ask(&format!("RCPT TO:<{to}>")).await?;
            match reply.code {
                250 | 251 => accepted += 1,
                // Refused for good: the others still get theirs.
                500.. if mail.to.len() > 1 => {
                    tracing::warn!(
                        to,
                        reply = reply.text(),
                        "a mail server refused a recipient"
                    );
                }
                _ => return Err(reply.refused("a recipient")),
            }
        }
        if accepted == 0 {
            return Err("the mail server refused every recipient".to_owned());
        }
        self.ask("DATA").await?.must(354, "DATA")?;
        self.write(dot_stuffed(message).as_bytes()).await?;
        self.reply().await?.must(250, "the message")
    }

    async fn ask(&mut self, command: &str) -> Outcome<Reply> {
        // Every part of a command was checked when the settings were read; this holds even so.
        if command.contains(['\r', '\n']) {
            return Err("a command to the mail server would have held a line break".to_owned());
        }
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Outcome {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await.map_err(|_| closed())?;
        stream.flush().await.map_err(|_| closed())
    }

    async fn reply(&mut self) -> Outcome<Reply> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let mut bytes = Vec::new();
            let mut limited = (&mut self.stream).take(LONGEST_LINE);
            limited
                .read_until(b'\n', &mut bytes)
                .await
                .map_err(|_| closed())?;
            if bytes.last() != Some(&b'\n') {
                return Err(closed());
            }
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches(['\r', '\n']);
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let (Some(code), rest) = (code, line.get(3..).unwrap_or_default()) else {
                return Err("the mail server's reply is not SMTP".to_owned());
            };
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(Reply { code, lines });
            }
        }
        Err("the mail server's reply does not end".to_owned())
    }
}

fn closed() -> String {
    "the mail server closed the connection".to_owned()
}

/// A line of a message that begins with a dot gets another, and a lone dot ends the message.
fn dot_stuffed(message: &str) -> String {
    let mut out = String::with_capacity(message.len() + 8);
    for line in message.split_terminator("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

// === impl Reply ===

impl Reply {
    fn must(&self, code: u16, what: &str) -> Outcome {
        if self.code == code {
            Ok(())
        } else {
            Err(self.refused(what))
        }
    }

    /// For a login: a server may repeat what it was sent.
    fn must_quietly(&self, code: u16) -> Outcome {
        if self.code == code {
            Ok(())
        } else {
            Err(format!("the mail server refused the login ({})", self.code))
        }
    }

    fn refused(&self, what: &str) -> String {
        format!("the mail server refused {what}: {}", self.text())
    }

    /// Code and first line, short and on one line.
    fn text(&self) -> String {
        let line = self.lines.first().map_or("", String::as_str);
        let line: String = crate::alert::one_line(line).chars().take(120).collect();
        format!("{} {line}", self.code)
    }
}
