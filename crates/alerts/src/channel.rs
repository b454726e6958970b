//! A channel: whom it is for, and one attempt to tell them.

use std::{fmt, net::IpAddr, time::Duration};

use http::{Method, Uri};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_base::{Error, Kind, Result, Secret, UnixMillis};
use tollgate_config::{AlertChannel, AlertEvent, AlertWay, HookUrl, Mail, Reach};
use tollgate_policy::scope::Scope;
use tollgate_upstream::{AddressGuard, Client, Endpoint, Timeouts};

use crate::{Alert, mail, smtp, webhook};

/// Somebody who is told.
pub struct Channel {
    name: String,
    events: Option<Vec<AlertEvent>>,
    scopes: Option<Vec<Scope>>,
    way: Way,
}

enum Way {
    Hook {
        client: Client,
        endpoint: Endpoint,
        target: Uri,
        body: Body,
    },
    Email {
        endpoint: Endpoint,
        mail: Mail,
        /// `None`: the machine's own roots.
        connector: Option<TlsConnector>,
    },
    /// A receiver without a network, for tests of what is tried when.
    #[cfg(test)]
    Scripted(Script),
}

#[cfg(test)]
pub(crate) type Script = Box<dyn Fn(&Alert) -> Result<(), String> + Send + Sync>;

/// What is posted.
enum Body {
    Document { secret: Option<Secret> },
    Slack,
}

/// One attempt, whole.
const ATTEMPT: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(10);
/// An answer is read so that its connection can be used again; a longer one is not worth it.
const LONGEST_ANSWER: usize = 64 << 10;

/// The channels of a configuration.
pub fn channels(settings: &[AlertChannel]) -> Result<Vec<Channel>> {
    settings.iter().map(Channel::new).collect()
}

// === impl Channel ===

impl Channel {
    pub fn new(settings: &AlertChannel) -> Result<Self> {
        let unusable = || {
            let message = format!(
                "The alert channel `{}` has an address that cannot be used.",
                settings.name
            );
            Error::new(Kind::InvalidRequest, "alert_channel", message)
        };
        let way = match &settings.way {
            AlertWay::Webhook { url, secret } => Way::hook(
                url,
                Body::Document {
                    secret: secret.clone(),
                },
            ),
            AlertWay::Slack { url } => Way::hook(url, Body::Slack),
            AlertWay::Email(mail) => Way::email(mail),
        };
        Ok(Self {
            name: settings.name.clone(),
            events: settings.events.clone(),
            scopes: settings.scopes.clone(),
            way: way.ok_or_else(unusable)?,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this alert is for this channel. A test is for every one.
    pub fn wants(&self, alert: &Alert) -> bool {
        if alert.event == AlertEvent::Test {
            return true;
        }
        let is_in =
            |list: &Option<Vec<_>>| list.as_ref().is_none_or(|it| it.contains(&alert.event));
        is_in(&self.events)
            && self
                .scopes
                .as_ref()
                .is_none_or(|scopes| scopes.contains(&alert.scope))
    }

    /// Tries once. The error is a reason for the log: it holds no secret and no address.
    pub async fn deliver(&self, alert: &Alert, now: UnixMillis) -> Result<(), String> {
        timeout(ATTEMPT, self.attempt(alert, now))
            .await
            .unwrap_or_else(|_| Err("it took longer than a minute".to_owned()))
    }

    async fn attempt(&self, alert: &Alert, now: UnixMillis) -> Result<(), String> {
        match &self.way {
            Way::Hook {
                client,
                endpoint,
                target,
                body,
            } => {
                let (document, secret) = match body {
                    Body::Document { secret } => (webhook::document(alert), secret.as_ref()),
                    Body::Slack => (webhook::slack(alert), None),
                };
                let headers = webhook::headers(alert, &document, secret, now);
                let answer = client
                    .send(endpoint, Method::POST, target, headers, document)
                    .await
                    // The connection speaks of providers; here it is a receiver.
                    .map_err(|fault| fault.error.message().replace("provider", "receiver"))?;
                let status = answer.status();
                // Accepted is accepted, whatever becomes of the rest of the answer.
                let _rest = answer.into_body().collect(LONGEST_ANSWER).await;
                if status.is_success() {
                    Ok(())
                } else {
                    Err(format!("the receiver answered {}", status.as_u16()))
                }
            }
            Way::Email {
                endpoint,
                mail,
                connector,
            } => {
                let message = mail::message(alert, mail, now);
                smtp::send(endpoint, mail, connector.as_ref(), &message).await
            }
            #[cfg(test)]
            Way::Scripted(script) => script(alert),
        }
    }

    #[cfg(test)]
    pub(crate) fn scripted(name: &str, script: Script) -> Self {
        Self {
            name: name.to_owned(),
            events: None,
            scopes: None,
            way: Way::Scripted(script),
        }
    }

    /// Trusts another certificate authority, for a mail server of a test.
    #[cfg(test)]
    pub(crate) fn trust(&mut self, other: TlsConnector) {
        if let Way::Email { connector, .. } = &mut self.way {
            *connector = Some(other);
        }
    }
}

impl fmt::Debug for Channel {
    /// The target of a webhook is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Way ===

impl Way {
    fn hook(url: &HookUrl, body: Body) -> Option<Self> {
        let origin = &url.origin;
        Some(Self::Hook {
            client: Client::new(Timeouts {
                connect: CONNECT,
                first_byte: ATTEMPT,
            }),
            endpoint: Endpoint::new(
                origin.host(),
                origin.port(),
                origin.is_tls(),
                guard(origin.reach()),
            )?,
            target: url.target.expose().parse().ok()?,
            body,
        })
    }

    fn email(mail: &Mail) -> Option<Self> {
        Some(Self::Email {
            // TLS begins inside the conversation, or not: it is no matter of the address.
            endpoint: Endpoint::new(&mail.host, mail.port, false, guard(mail.reach))?,
            mail: mail.clone(),
            connector: None,
        })
    }
}

/// A channel may dial what its own address was allowed to be, and nothing wider.
pub(crate) fn guard(reach: Reach) -> AddressGuard {
    match reach {
        Reach::Loopback => |ip| Reach::of(ip) == Reach::Loopback,
        Reach::Private => |ip| matches!(Reach::of(ip), Reach::Loopback | Reach::Private),
        Reach::Public | Reach::Forbidden => |ip: IpAddr| Reach::of(ip) == Reach::Public,
    }
}
