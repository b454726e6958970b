//! How a request to a provider is authorised when a key in a header is not enough: AWS signatures, and the
//! access tokens of Google Cloud and Microsoft Entra.
//!
//! This crate opens no connection, reads no file and no environment, and has no clock: who uses it gives a
//! [`Fetch`] and the time. A key that is sent as it is needs nothing from here.

mod aws;
mod azure;
mod google;
mod oauth;
mod percent;
mod sigv4;
mod token;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::AUTHORIZATION};
use tollgate_base::{Error, Kind, Result, Secret, UnixMillis};

pub use crate::{
    aws::AwsMachine,
    azure::{AzureMachine, Entra},
};
use crate::{
    aws::Machine,
    sigv4::{Keys, Scope},
    token::Cache,
};

/// Sends one small request to a token endpoint or a metadata server and reads the whole answer.
///
/// `url` is absolute and says where; the request's own address is not set. An implementation bounds time and
/// size, follows no redirect, and uses no proxy for link-local addresses. Its errors hold no address.
pub trait Fetch: Sync {
    fn fetch(
        &self,
        url: &str,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Bytes>>> + Send;
}

/// A request as it is about to be sent.
#[derive(Debug)]
pub struct Signed<'a> {
    pub method: &'a Method,
    /// The value of `Host` that will be sent; one in `headers` is not looked at.
    pub host: &'a HeaderValue,
    /// Path and query, as they will stand on the wire.
    pub target: &'a Uri,
    pub headers: &'a mut HeaderMap,
    pub body: &'a [u8],
}

/// Keys for AWS that are given and do not change.
#[derive(Clone, Debug)]
pub struct AwsStatic {
    pub id: String,
    pub secret: Secret,
    /// The session's token, with keys that end.
    pub session: Option<Secret>,
    pub region: String,
    /// The name in the signature: `bedrock`.
    pub service: String,
}

/// One way to authorise requests, with the tokens fetched for it. Made once and shared by all calls.
pub struct Credentials {
    way: Way,
}

enum Way {
    Aws {
        scope: Scope,
        keys: Arc<Keys>,
    },
    AwsMachine {
        scope: Scope,
        machine: Machine,
        cache: Cache<Arc<Keys>>,
    },
    Google {
        source: google::Source,
        cache: Cache<HeaderValue>,
    },
    Azure {
        source: azure::Source,
        cache: Cache<HeaderValue>,
    },
}

// === impl Credentials ===

impl Credentials {
    /// AWS keys that are given.
    pub fn aws_static(given: AwsStatic) -> Self {
        let AwsStatic {
            id,
            secret,
            session,
            region,
            service,
        } = given;
        let keys = Arc::new(Keys {
            id,
            secret,
            session,
        });
        Self {
            way: Way::Aws {
                scope: Scope { region, service },
                keys,
            },
        }
    }

    /// The keys of the container or the instance. Fails if `machine` names an address that must not be asked.
    pub fn aws_machine(
        machine: AwsMachine,
        region: impl Into<String>,
        service: impl Into<String>,
    ) -> Result<Self> {
        let scope = Scope {
            region: region.into(),
            service: service.into(),
        };
        let machine = Machine::new(machine)?;
        Ok(Self {
            way: Way::AwsMachine {
                scope,
                machine,
                cache: Cache::new(),
            },
        })
    }

    /// The text of a Google credentials file, of type `service_account` or `authorized_user`.
    pub fn google_file(json: &Secret) -> Result<Self> {
        Ok(Self::google(google::Source::from_file(json)?))
    }

    /// The service account of a machine on Google Cloud; `metadata` replaces the metadata server's address.
    pub fn google_machine(metadata: Option<&str>) -> Self {
        Self::google(google::Source::machine(metadata))
    }

    /// An application registered in Microsoft Entra. Fails if its authority is no https address.
    pub fn entra(entra: Entra) -> Result<Self> {
        Ok(Self::azure(azure::Source::client(entra)?))
    }

    /// The managed identity of a machine on Azure.
    pub fn azure_machine(machine: &AzureMachine) -> Self {
        Self::azure(azure::Source::machine(machine))
    }

    /// Sets `Authorization`, and for AWS the `x-amz-` headers, on a request that does not change after it.
    /// May fetch a token first; AWS signs the body as it stands.
    pub async fn authorize(
        &self,
        fetch: &impl Fetch,
        now: UnixMillis,
        request: Signed<'_>,
    ) -> Result<()> {
        let bearer = match &self.way {
            Way::Aws { scope, keys } => return sigv4::sign(keys, scope, now, request),
            Way::AwsMachine {
                scope,
                machine,
                cache,
            } => {
                let keys = cache.value(now, machine.fetch(fetch)).await?;
                return sigv4::sign(&keys, scope, now, request);
            }
            Way::Google { source, cache } => cache.value(now, source.fetch(fetch, now)).await?,
            Way::Azure { source, cache } => cache.value(now, source.fetch(fetch, now)).await?,
        };
        request.headers.insert(AUTHORIZATION, bearer);
        Ok(())
    }

    fn google(source: google::Source) -> Self {
        Self {
            way: Way::Google {
                source,
                cache: Cache::new(),
            },
        }
    }

    fn azure(source: azure::Source) -> Self {
        Self {
            way: Way::Azure {
                source,
                cache: Cache::new(),
            },
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Aws { .. } => "Credentials(AWS, given)",
            Way::AwsMachine { .. } => "Credentials(AWS, machine)",
            Way::Google { .. } => "Credentials(Google)",
            Way::Azure { .. } => "Credentials(Entra)",
        })
    }
}

/// 502 `upstream_auth`: no credentials for the provider. The message names the next step and no secret.
fn refusal(message: impl Into<String>) -> Error {
    Error::new(Kind::Upstream, "upstream_auth", message)
}
