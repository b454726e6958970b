//! An alert as a mail: headers that nothing can break out of, and a body that every server carries.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tollgate_base::UnixMillis;
use tollgate_config::Mail;

use crate::{Alert, alert::one_line};

/// The message as it goes after `DATA`, lines ended by CR LF, without the final dot.
pub(crate) fn message(alert: &Alert, mail: &Mail, now: UnixMillis) -> String {
    let mut out = String::new();
    header(&mut out, "From", &one_line(&mail.from));
    let to: Vec<String> = mail.to.iter().map(|address| one_line(address)).collect();
    // One address a line: no list of them can make a line too long.
    header(&mut out, "To", &to.join(",\r\n "));
    let subject = format!("[Tollgate] {}: {}", alert.severity.as_str(), alert.title);
    header(&mut out, "Subject", &encoded(&one_line(&subject)));
    header(&mut out, "Date", &date(now));
    let domain = mail.from.split_once('@').map_or("tollgate", |(_, it)| it);
    // The same alert has the same id, so that a repetition is seen as one.
    let id = format!("<{}@{}>", alert.id, one_line(domain));
    header(&mut out, "Message-ID", &id);
    header(&mut out, "Auto-Submitted", "auto-generated");
    header(&mut out, "MIME-Version", "1.0");
    header(&mut out, "Content-Type", "text/plain; charset=utf-8");
    header(&mut out, "Content-Transfer-Encoding", "base64");
    out.push_str("\r\n");
    let encoded = STANDARD.encode(body(alert));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(76));
        out.push_str(line);
        out.push_str("\r\n");
        rest = tail;
    }
    out
}

fn body(alert: &Alert) -> String {
    let mut out = format!("{}\r\n\r\n", alert.text);
    for (name, value) in &alert.fields {
        push(&mut out, format_args!("{name}: {value}\r\n"));
    }
    push(&mut out, format_args!("\r\nAlert {}\r\n", alert.id));
    out
}

fn header(out: &mut String, name: &str, value: &str) {
    push(out, format_args!("{name}: {value}\r\n"));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    if out.write_fmt(text).is_err() {
        out.clear();
    }
}

/// A header's text in RFC 2047's encoded words when plain ASCII on one line cannot carry it.
fn encoded(text: &str) -> String {
    let is_plain = text.len() <= 60
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !text.contains("=?");
    if is_plain {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        // 45 bytes are 60 letters of base64: with its frame a word stays under 75.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let framed: Vec<String> = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)))
        .collect();
    framed.join("\r\n ")
}

fn date(now: UnixMillis) -> String {
    i64::try_from(now.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc2822).ok())
        .unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
}
