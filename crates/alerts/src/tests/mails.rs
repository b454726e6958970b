//! Mail against a server on loopback, with and without TLS.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{NOW, crossing, settings};
use crate::Alert;

/// How the server behaves.
#[derive(Clone, Copy)]
struct Server {
    implicit: bool,
    /// Its capabilities before TLS and after, or always.
    offers: &'static [&'static str],
    offers_in_tls: &'static [&'static str],
    /// The reply to commands that begin with the first text.
    but: &'static [(&'static str, &'static str)],
    /// Put into the plain stream right after the answer to STARTTLS.
    injects: &'static str,
}

const PLAIN: Server = Server {
    implicit: false,
    offers: &[],
    offers_in_tls: &[],
    but: &[],
    injects: "",
};

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What the client said, a line each; `--tls--` where TLS began.
async fn listen(server: Server) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        if server.implicit {
            let Ok(tls) = acceptor().accept(tcp).await else {
                return said;
            };
            said.push("--tls--".to_owned());
            talk(server, tls, true, true, &mut said).await;
        } else if let Some(tcp) = talk(server, tcp, false, true, &mut said).await
            && let Ok(tls) = acceptor().accept(tcp).await
        {
            said.push("--tls--".to_owned());
            talk(server, tls, true, false, &mut said).await;
        }
        said
    });
    (port, task)
}

/// Speaks until the end, or until TLS shall begin: then the stream comes back.
async fn talk<S: Io>(
    server: Server,
    stream: S,
    in_tls: bool,
    greets: bool,
    said: &mut Vec<String>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream
            .write_all(b"220-mail.example\r\n220 ready\r\n")
            .await
            .ok()?;
    }
    let mut in_data = false;
    let mut login_steps = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line
            .strip_suffix("\r\n")
            .expect("lines end with CR LF")
            .to_owned();
        said.push(line.clone());
        let scripted = server.but.iter().find(|(start, _)| line.starts_with(start));
        let reply = if in_data {
            if line != "." {
                continue;
            }
            in_data = false;
            "250 queued".to_owned()
        } else if let Some((_, reply)) = scripted {
            (*reply).to_owned()
        } else if line.starts_with("EHLO ") {
            let offers = if in_tls {
                server.offers_in_tls
            } else {
                server.offers
            };
            let lines = [&["mail.example"], offers].concat();
            let (last, more) = lines.split_last().unwrap();
            let mut reply = String::new();
            for line in more {
                reply.push_str("250-");
                reply.push_str(line);
                reply.push_str("\r\n");
            }
            format!("{reply}250 {last}")
        } else if line == "STARTTLS" {
            let reply = format!("220 go\r\n{}", server.injects);
            stream.write_all(reply.as_bytes()).await.ok()?;
            return Some(stream.into_inner());
        } else if line == "AUTH LOGIN" {
            login_steps = 2;
            "334 VXNlcm5hbWU6".to_owned()
        } else if login_steps > 0 {
            login_steps -= 1;
            if login_steps == 0 {
                "235 in"
            } else {
                "334 UGFzc3dvcmQ6"
            }
            .to_owned()
        } else if line.starts_with("AUTH PLAIN ") {
            "235 in".to_owned()
        } else if line == "DATA" {
            in_data = true;
            "354 go on".to_owned()
        } else {
            "250 ok".to_owned()
        };
        stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .await
            .ok()?;
    }
}

const CERTIFICATE: &[u8] = include_bytes!("../../testdata/loopback.cert.der");
/// Good for nothing but the server of these tests.
const KEY: &[u8] = include_bytes!("../../testdata/loopback.key.der");

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY)),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Sends one alert with these settings, and returns how it went and what the server heard.
async fn deliver(server: Server, more: &str, alert: &Alert) -> (Result<(), String>, Vec<String>) {
    let (port, task) = listen(server).await;
    let mut channels = settings(&format!(
        "[alerts.ops]\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\nfrom = \"tollgate@example.com\"\n{more}"
    ));
    let mut channel = channels.remove(0);
    channel.trust(connector());
    let went = channel.deliver(alert, NOW).await;
    (went, task.await.unwrap())
}

const NO_TLS: &str = "tls = \"none\"\nto = [\"a@example.com\", \"b@example.com\"]\n";
const LOGIN: &str =
    "to = [\"a@example.com\"]\nusername = \"user\"\npassword = \"canary-password\"\n";

/// Headers and decoded body of the message that was heard.
fn message(said: &[String]) -> (Vec<String>, String) {
    let from = said.iter().position(|line| line == "DATA").unwrap() + 1;
    let to = said.iter().rposition(|line| line == ".").unwrap();
    let lines = &said[from..to];
    let blank = lines.iter().position(String::is_empty).unwrap();
    let body = STANDARD.decode(lines[blank + 1..].concat()).unwrap();
    (lines[..blank].to_vec(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_mail_is_handed_over_to_each_recipient() {
    let alert = crossing("everything", 80);
    let (went, said) = deliver(PLAIN, NO_TLS, &alert).await;
    went.unwrap();
    assert_eq!(
        said[..5],
        [
            "EHLO [127.0.0.1]",
            "MAIL FROM:<tollgate@example.com>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "DATA"
        ]
    );
    assert_eq!(said.last().unwrap(), "QUIT");
    let (headers, body) = message(&said);
    for header in [
        "From: tollgate@example.com",
        "Subject: [Tollgate] warning: Budget everything of team:t reached 80%",
        "Date: Sat, 21 Nov 2026 08:00:00 +0000",
        &format!("Message-ID: <{}@example.com>", alert.id),
    ] {
        assert!(
            headers.iter().any(|line| line == header),
            "{header} in {headers:?}"
        );
    }
    assert!(
        body.contains("$80.00 of $100.00 are spent.") && body.contains("limit_usd: 100.00"),
        "{body}"
    );
    assert!(said.iter().all(|line| line.len() < 80), "{said:?}");
}

#[tokio::test]
async fn nothing_in_a_name_becomes_a_header_or_a_command() {
    let name = "x\r\nBcc: evil@example.com\r\n\r\n.\r\nRCPT TO:<evil@example.com>\r\nÄ\u{2028}";
    let alert = crossing(name, 80);
    let (went, said) = deliver(PLAIN, NO_TLS, &alert).await;
    went.unwrap();
    assert!(!said.iter().any(|line| line.contains("evil")), "{said:?}");
    assert_eq!(
        said.iter().filter(|line| line.starts_with("RCPT")).count(),
        2
    );
    let (headers, body) = message(&said);
    let names: Vec<&str> = headers
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    assert_eq!(
        names,
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding"
        ]
    );
    assert!(headers.iter().all(|line| line.is_ascii()));
    assert!(body.contains("budget: x"));
}

#[tokio::test]
async fn starttls_comes_before_anything_is_said() {
    for (offer, expected) in [
        (
            &["AUTH LOGIN PLAIN"][..],
            vec!["AUTH PLAIN AHVzZXIAY2FuYXJ5LXBhc3N3b3Jk"],
        ),
        (
            &["AUTH LOGIN"][..],
            vec!["AUTH LOGIN", "dXNlcg==", "Y2FuYXJ5LXBhc3N3b3Jk"],
        ),
    ] {
        let server = Server {
            offers: &["SIZE 1000000", "STARTTLS"],
            offers_in_tls: offer,
            ..PLAIN
        };
        let (went, said) = deliver(server, LOGIN, &crossing("b", 80)).await;
        went.unwrap();
        assert_eq!(
            said[..4],
            [
                "EHLO [127.0.0.1]",
                "STARTTLS",
                "--tls--",
                "EHLO [127.0.0.1]"
            ]
        );
        assert_eq!(said[4..4 + expected.len()], expected);
        assert_eq!(message(&said).0[0], "From: tollgate@example.com");
    }
}

#[tokio::test]
async fn implicit_tls_is_encrypted_from_the_first_byte() {
    let server = Server {
        implicit: true,
        offers_in_tls: &["AUTH PLAIN"],
        ..PLAIN
    };
    let (went, said) = deliver(
        server,
        &format!("tls = \"implicit\"\n{LOGIN}"),
        &crossing("b", 80),
    )
    .await;
    went.unwrap();
    assert_eq!(said[..2], ["--tls--", "EHLO [127.0.0.1]"]);
}

#[tokio::test]
async fn without_the_encryption_that_was_asked_for_nothing_is_said() {
    let (went, said) = deliver(
        Server {
            offers: &["AUTH PLAIN"],
            ..PLAIN
        },
        LOGIN,
        &crossing("b", 80),
    )
    .await;
    assert_eq!(
        went.unwrap_err(),
        "the mail server does not offer STARTTLS; nothing was sent"
    );
    assert_eq!(said, ["EHLO [127.0.0.1]"]);
    let (went, said) = deliver(
        Server {
            offers: &["STARTTLS"],
            injects: "250 AUTH PLAIN\r\n",
            ..PLAIN
        },
        LOGIN,
        &crossing("b", 80),
    )
    .await;
    assert_eq!(
        went.unwrap_err(),
        "the mail server spoke before TLS began; nothing was sent"
    );
    assert_eq!(said, ["EHLO [127.0.0.1]", "STARTTLS"]);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let (port, task) = listen(Server {
        implicit: true,
        ..PLAIN
    })
    .await;
    let channels = settings(&format!(
        "[alerts.ops]\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\ntls = \"implicit\"\n\
         from = \"tollgate@example.com\"\n{LOGIN}"
    ));
    assert!(channels[0].deliver(&crossing("b", 80), NOW).await.is_err());
    assert!(task.await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_server_refuses_is_said_and_no_credential_with_it() {
    for (but, more, expected) in [
        (
            ("AUTH", "535 no such user canary-password"),
            LOGIN,
            "the mail server refused the login (535)",
        ),
        (
            ("MAIL", "550 go away"),
            NO_TLS,
            "the mail server refused the sender: 550 go away",
        ),
        (
            ("RCPT TO:<b", "451 later"),
            NO_TLS,
            "the mail server refused a recipient: 451 later",
        ),
        (
            ("RCPT", "550 nobody"),
            NO_TLS,
            "the mail server refused every recipient",
        ),
        (("QUIT", "500 never mind"), NO_TLS, ""),
        (("RCPT TO:<b", "550 nobody"), NO_TLS, ""),
        (
            ("MAIL", "nonsense"),
            NO_TLS,
            "the mail server's reply is not SMTP",
        ),
    ] {
        let server = Server {
            offers: &["AUTH PLAIN"],
            but: std::slice::from_ref(Box::leak(Box::new(but))),
            ..PLAIN
        };
        let more = more.replace(
            "to = [\"a@example.com\"]\nusername",
            "tls = \"none\"\nto = [\"a@example.com\"]\nusername",
        );
        let (went, _) = deliver(server, &more, &crossing("b", 80)).await;
        assert_eq!(went.err().unwrap_or_default(), expected);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (tcp, _): (TcpStream, _) = listener.accept().await.unwrap();
        drop(tcp);
    });
    let channels = settings(&format!(
        "[alerts.ops]\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\nfrom = \"t@example.com\"\n{NO_TLS}"
    ));
    let said = channels[0]
        .deliver(&crossing("b", 80), NOW)
        .await
        .unwrap_err();
    assert_eq!(said, "the mail server closed the connection");
    task.await.unwrap();
}
