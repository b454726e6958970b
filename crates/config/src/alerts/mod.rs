//! From what was written under `[alerts.<name>]` to channels that can be used.

mod model;

pub use model::{
    AlertChannel, AlertEvent, AlertWay, AlertingSettings, HookUrl, Mail, MailLogin, MailTls,
};

use tollgate_base::Secret;
use tollgate_policy::scope::Scope;

use crate::{
    draft::{AlertDraft, Draft},
    findings::Findings,
    keys,
    kind::key,
    money::{SCOPES, needed},
    resolve::Surroundings,
    suggest,
    url::{Allowances, BaseUrl, Reach},
};

/// The ways to tell somebody, by their words in the file.
pub(crate) const WAYS: [&str; 3] = ["webhook", "slack", "email"];

/// The settings that belong to one way or another; `name` and the ways that have it.
const OWNED: [(&str, &[&str]); 13] = [
    ("url", &["webhook", "slack"]),
    ("secret", &["webhook"]),
    ("secret_env", &["webhook"]),
    ("secret_file", &["webhook"]),
    ("allow_http", &["webhook", "slack"]),
    ("server", &["email"]),
    ("tls", &["email"]),
    ("username", &["email"]),
    ("password", &["email"]),
    ("password_env", &["email"]),
    ("password_file", &["email"]),
    ("from", &["email"]),
    ("to", &["email"]),
];

/// What a shared rule says when everything else is allowed.
const EVERYWHERE: Allowances = Allowances {
    private: true,
    http: true,
};

pub(crate) fn channels(
    draft: &Draft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<AlertChannel> {
    draft
        .alerts
        .iter()
        .filter_map(|(name, written)| channel(name, written, around, findings))
        .collect()
}

fn channel(
    name: &str,
    written: &AlertDraft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<AlertChannel> {
    let path = format!("alerts.{}", key(name));
    check_name(&path, name, findings);
    let events = events(&path, written, findings);
    let scopes = scopes(&path, written, findings);
    let kind = needed(&path, "kind", written.kind, findings)?;
    for (setting, ways) in OWNED {
        let at = format!("{path}.{setting}");
        if findings.was_written(&at) && !ways.contains(&kind) {
            findings.error(&at, format!("`{kind}` has no {setting}"), "remove the line");
        }
    }
    let way = match kind {
        "webhook" => AlertWay::Webhook {
            secret: secret(&path, "secret", written, around, findings),
            url: hook_url(&path, written, findings)?,
        },
        "slack" => AlertWay::Slack {
            url: hook_url(&path, written, findings)?,
        },
        _ => AlertWay::Email(mail(&path, written, around, findings)?),
    };
    Some(AlertChannel {
        name: name.to_owned(),
        way,
        events,
        scopes,
    })
}

fn check_name(path: &str, name: &str, findings: &mut Findings<'_>) {
    let good = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !good {
        findings.error(
            path,
            "is not a channel's name",
            "use letters, digits, `-`, `_` and `.`",
        );
    }
}

fn events(
    path: &str,
    written: &AlertDraft,
    findings: &mut Findings<'_>,
) -> Option<Vec<AlertEvent>> {
    let words = written.events.as_ref()?;
    let at = format!("{path}.events");
    refuse_empty(&at, words, findings);
    let mut events = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if let Some(event) = AlertEvent::from_word(word) {
            events.push(event);
        } else {
            let hint = suggest::hint(word, AlertEvent::ALL.iter().map(|(word, _)| *word));
            findings.error_of_element(&at, index, "is no event".to_owned(), hint);
        }
    }
    Some(events)
}

fn scopes(path: &str, written: &AlertDraft, findings: &mut Findings<'_>) -> Option<Vec<Scope>> {
    let texts = written.scopes.as_ref()?;
    let at = format!("{path}.scopes");
    refuse_empty(&at, texts, findings);
    let mut scopes = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        if let Some(scope) = Scope::parse(text) {
            scopes.push(scope);
        } else {
            findings.error_of_element(&at, index, "is no scope".to_owned(), SCOPES.to_owned());
        }
    }
    Some(scopes)
}

fn refuse_empty(at: &str, list: &[String], findings: &mut Findings<'_>) {
    if list.is_empty() {
        findings.error(at, "lets nothing through", "name one, or remove the line");
    }
}

fn hook_url(path: &str, written: &AlertDraft, findings: &mut Findings<'_>) -> Option<HookUrl> {
    let at = format!("{path}.url");
    let text = needed(path, "url", written.url.as_ref(), findings)?.expose();
    let (root, query) = match text.split_once('?') {
        Some((root, query)) => (root, Some(query)),
        None => (text, None),
    };
    let url = match BaseUrl::parse(root, EVERYWHERE) {
        Ok(url) => url,
        Err(fault) => {
            findings.error(&at, format!("the URL {}", fault.message), fault.hint);
            return None;
        }
    };
    let good_query = query.is_none_or(|query| {
        query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte))
    });
    if !good_query {
        findings.error(
            &at,
            "the URL has a query that is not valid",
            "percent-encode it",
        );
        return None;
    }
    refuse_reach(&at, url.reach(), written, findings);
    if url.reach() == Reach::Public && !url.is_tls() && !written.allow_http {
        findings.error(
            &at,
            "the URL would send alerts in plain text over the public network",
            "use `https://`, or set `allow_http = true` for this channel",
        );
    }
    let authority_end = root.find("://").map_or(0, |at| at + 3);
    let target_at = root
        .get(authority_end..)
        .and_then(|rest| rest.find('/'))
        .map_or(root.len(), |at| authority_end + at);
    let (origin, target) = text.split_at(target_at);
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    Some(HookUrl {
        origin: BaseUrl::parse(origin, EVERYWHERE).ok()?,
        target: Secret::new(target),
    })
}

fn refuse_reach(at: &str, reach: Reach, written: &AlertDraft, findings: &mut Findings<'_>) {
    if reach == Reach::Private && !written.allow_private {
        findings.error(
            at,
            "leads to a private address",
            "if that is meant, set `allow_private = true` for this channel",
        );
    }
}

fn mail(
    path: &str,
    written: &AlertDraft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Mail> {
    let place = server(path, written, findings);
    let from = needed(path, "from", written.from.as_deref(), findings);
    if let Some(from) = from
        && !is_address(from)
    {
        findings.error(&format!("{path}.from"), "is no mail address", ADDRESS);
    }
    if written.to.is_empty() {
        findings.error(path, "`to` is missing", "name at least one mail address");
    }
    for (index, to) in written.to.iter().enumerate() {
        if !is_address(to) {
            findings.error_of_element(
                &format!("{path}.to"),
                index,
                "is no mail address".to_owned(),
                ADDRESS.to_owned(),
            );
        }
    }
    let login = login(path, written, around, findings);
    let (host, port, reach) = place?;
    Some(Mail {
        host,
        port,
        reach,
        tls: written.tls,
        login,
        from: from?.to_owned(),
        to: written.to.clone(),
    })
}

const ADDRESS: &str = "write it as `name@example.com`, without a display name";

/// What can stand between `<` and `>` in a command to a mail server, and nothing that could end it.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    (1..=64).contains(&local.len())
        && local.bytes().all(is_plain)
        && !domain.is_empty()
        && text.len() <= 254
        && domain
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// Host, port and reach of `server`.
fn server(
    path: &str,
    written: &AlertDraft,
    findings: &mut Findings<'_>,
) -> Option<(String, u16, Reach)> {
    let at = format!("{path}.server");
    let text = needed(path, "server", written.server.as_deref(), findings)?;
    let parsed = if text.contains('/') {
        None
    } else {
        BaseUrl::parse(&format!("https://{text}"), EVERYWHERE).ok()
    };
    let Some(url) = parsed else {
        findings.error(
            &at,
            "is no mail server",
            "write its host and port, such as \"smtp.example.com:587\"",
        );
        return None;
    };
    refuse_reach(&at, url.reach(), written, findings);
    if written.tls == MailTls::None && url.reach() != Reach::Loopback {
        findings.error(
            &format!("{path}.tls"),
            "would send mail in plain text to another machine",
            "use \"starttls\" or \"implicit\"",
        );
    }
    // `BaseUrl` takes a missing port for that of HTTPS.
    let names_port = text.ends_with(&format!(":{}", url.port()));
    let port = if names_port {
        url.port()
    } else {
        written.tls.default_port()
    };
    Some((url.host().to_owned(), port, url.reach()))
}

fn login(
    path: &str,
    written: &AlertDraft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<MailLogin> {
    let password = secret(path, "password", written, around, findings);
    let has_password = ["password", "password_env", "password_file"]
        .iter()
        .any(|source| findings.was_written(&format!("{path}.{source}")));
    match (&written.username, has_password) {
        (Some(username), true) => {
            if username.is_empty() || username.chars().any(char::is_control) {
                findings.error(
                    &format!("{path}.username"),
                    "is no user name",
                    "write it without control characters",
                );
            }
            Some(MailLogin {
                username: username.clone(),
                password: password?,
            })
        }
        (Some(_), false) => {
            findings.error(
                path,
                "has a user name and no password",
                "name its environment variable with `password_env`",
            );
            None
        }
        (None, true) => {
            findings.error(
                path,
                "has a password and no user name",
                "write `username = \"…\"`",
            );
            None
        }
        (None, false) => None,
    }
}

/// The secret of the one source that is written: `<name>`, `<name>_env` or `<name>_file`.
fn secret(
    path: &str,
    name: &str,
    written: &AlertDraft,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Secret> {
    let (own, variable, file) = if name == "secret" {
        (&written.secret, &written.secret_env, &written.secret_file)
    } else {
        (
            &written.password,
            &written.password_env,
            &written.password_file,
        )
    };
    let sources = [
        name.to_owned(),
        format!("{name}_env"),
        format!("{name}_file"),
    ];
    let used: Vec<&String> = sources
        .iter()
        .filter(|source| findings.was_written(&format!("{path}.{source}")))
        .collect();
    if let [first, .., last] = used.as_slice() {
        findings.error(
            &format!("{path}.{last}"),
            format!("the {name} has two sources: `{first}` and `{last}`"),
            "keep one of them",
        );
        return None;
    }
    let at = format!("{path}.{}", used.first()?);
    let text = if let Some(own) = own {
        Some(own.expose().to_owned())
    } else if let Some(variable) = variable {
        keys::from_variable(&at, variable, around, findings)
    } else if let Some(file) = file {
        keys::from_file(&at, &around.resolve(file), findings)
    } else {
        None
    }?;
    let text = text.trim();
    if text.is_empty() || text == "…" || text.chars().any(char::is_control) {
        findings.error(
            &at,
            format!("the {name} is empty, a placeholder, or has control characters"),
            "write the real one",
        );
        return None;
    }
    Some(Secret::new(text))
}
