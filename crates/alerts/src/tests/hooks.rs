//! Webhooks against a receiver on loopback.

use std::sync::Arc;

use aws_lc_rs::hmac;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tollgate_base::SystemClock;
use tollgate_config::Reach;

use super::{NOW, crossing, settings};
use crate::{Alert, Dispatcher, FileLog, channel::guard};

/// A request as it came: head and body.
type Request = (String, String);

/// A receiver that answers with these statuses, the last one for ever.
async fn receiver(statuses: &'static [&'static str]) -> (u16, mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, body) = loop {
                stream.read_buf(&mut bytes).await.unwrap();
                let text = String::from_utf8(bytes.clone()).unwrap();
                if let Some((head, body)) = text.split_once("\r\n\r\n")
                    && let Some(length) = field(head, "content-length")
                    && body.len() >= length.parse().unwrap()
                {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let status = statuses[n.min(statuses.len() - 1)];
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.unwrap();
            told.send((head, body)).unwrap();
        }
    });
    (port, seen)
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn hook(port: u16, more: &str) -> String {
    format!(
        "[alerts.ops]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook/canary?a=b\"\n{more}"
    )
}

#[tokio::test]
async fn a_webhook_gets_a_signed_document() {
    let (port, mut seen) = receiver(&["204 No Content"]).await;
    let channels = settings(&hook(port, "secret = \"a-shared-secret\"\n"));
    let alert = crossing("everything", 80);
    channels[0].deliver(&alert, NOW).await.unwrap();
    let (head, body) = seen.recv().await.unwrap();
    assert!(
        head.starts_with("POST /hook/canary?a=b HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(field(&head, "idempotency-key"), Some(alert.id.as_str()));
    assert_eq!(field(&head, "content-type"), Some("application/json"));
    let (time, tag) = field(&head, "x-tollgate-signature")
        .and_then(|value| value.strip_prefix("t=")?.split_once(",v1="))
        .unwrap();
    assert_eq!(time, NOW.as_secs().to_string());
    let tag: Vec<u8> = (0..tag.len() / 2)
        .map(|at| u8::from_str_radix(&tag[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-shared-secret");
    hmac::verify(&key, format!("{time}.{body}").as_bytes(), &tag).unwrap();
    hmac::verify(&key, format!("{time}.{body} ").as_bytes(), &tag).unwrap_err();
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["id"], alert.id.as_str());
    assert_eq!(document["event"], "budget");
    assert_eq!(document["severity"], "warning");
    assert_eq!(document["scope"], "team:t");
    assert_eq!(document["at"], "2026-11-21T08:00:00Z");
    assert_eq!(document["fields"]["posted_usd"], "80.00");
    assert!(!format!("{channels:?}").contains("canary"));
}

#[tokio::test]
async fn slack_gets_a_text_in_which_nothing_is_a_command() {
    let (port, mut seen) = receiver(&["200 OK"]).await;
    let text = hook(port, "").replace("webhook", "slack");
    let alert = Alert::unknown_price("<!channel> & \"x\"\r\n", "v", NOW);
    settings(&text)[0].deliver(&alert, NOW).await.unwrap();
    let (head, body) = seen.recv().await.unwrap();
    assert_eq!(field(&head, "x-tollgate-signature"), None);
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document.as_object().unwrap().len(), 1);
    let text = document["text"].as_str().unwrap();
    assert!(
        text.contains("&lt;!channel&gt; &amp; \"x\"") && !text.contains("<!"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_other_than_success_is_a_failure_and_no_redirect_is_followed() {
    let (port, mut seen) = receiver(&["302 Found", "500 No"]).await;
    let channels = settings(&hook(port, ""));
    for status in ["302", "500"] {
        let said = channels[0]
            .deliver(&crossing("b", 80), NOW)
            .await
            .unwrap_err();
        assert_eq!(said, format!("the receiver answered {status}"));
        seen.recv().await.unwrap();
    }
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn nobody_listening_is_a_reason_without_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let said = settings(&hook(port, ""))[0]
        .deliver(&crossing("b", 80), NOW)
        .await
        .unwrap_err();
    assert_eq!(said, "The receiver refused the connection.");
}

#[test]
fn a_public_name_that_leads_elsewhere_is_not_dialled() {
    let public = guard(Reach::Public);
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(!public(address.parse().unwrap()), "{address}");
    }
    assert!(public("93.184.215.14".parse().unwrap()));
    assert!(!guard(Reach::Loopback)("10.0.0.1".parse().unwrap()));
    assert!(!guard(Reach::Private)("169.254.169.254".parse().unwrap()));
}

#[tokio::test]
async fn an_alert_that_a_receiver_refused_arrives_once_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mut seen) = receiver(&["503 Down", "200 OK"]).await;
    let alert = crossing("b", 80);
    for start in 0..3 {
        let log = Arc::new(FileLog::open(folder.path()).unwrap());
        let (alerts, dispatcher) =
            Dispatcher::new(settings(&hook(port, "")), log, Arc::new(SystemClock));
        alerts.send(alert.clone());
        let task = tokio::spawn(dispatcher.run());
        if start < 2 {
            let (head, _) = seen.recv().await.unwrap();
            assert_eq!(field(&head, "idempotency-key"), Some(alert.id.as_str()));
        }
        drop(alerts);
        task.await.unwrap();
    }
    assert!(seen.try_recv().is_err(), "it was accepted, and told again");
}
