//! Who the gateway is to a provider that asks for more than a key: what `credentials` needs to know of the
//! configuration, and the one request that it may make by itself.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use tollgate_base::{Error, Result, Secret};
use tollgate_catalog::Auth;
use tollgate_config::Identity;
use tollgate_credentials::{AwsMachine, AwsStatic, AzureMachine, Credentials, Entra, Fetch};
use tollgate_upstream::{Client, Endpoint};

/// A token endpoint that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// No token is as long.
const MAX_TOKEN: usize = 256 * 1024;

/// What authorises the requests to this provider; `None` where a key in a header, or nothing, is enough.
pub(crate) fn credentials(provider: &tollgate_config::Provider) -> Result<Option<Credentials>> {
    let region = || {
        provider
            .variables
            .get("region")
            .cloned()
            .unwrap_or_default()
    };
    let service = match &provider.row.auth {
        Auth::Aws { service } => service.clone(),
        _ => String::new(),
    };
    Ok(Some(match &provider.identity {
        Identity::Key => return Ok(None),
        Identity::AwsKeyPair {
            id,
            secret,
            session,
        } => Credentials::aws_static(AwsStatic {
            id: id.clone(),
            secret: secret.clone(),
            session: session.clone(),
            region: region(),
            service,
        }),
        Identity::AwsMachine(container) => Credentials::aws_machine(
            AwsMachine {
                relative_uri: container.relative_uri.clone(),
                full_uri: container.full_uri.clone(),
                authorization: container.authorization.clone(),
                metadata: None,
            },
            region(),
            service,
        )?,
        Identity::GoogleFile(json) => Credentials::google_file(json)?,
        Identity::GoogleMachine => Credentials::google_machine(None),
        Identity::Entra { tenant, client_id } => Credentials::entra(Entra {
            tenant: tenant.clone(),
            client_id: client_id.clone(),
            secret: provider.key.clone().unwrap_or_else(|| Secret::new("")),
            authority: None,
        })?,
        Identity::AzureMachine { client_id } => Credentials::azure_machine(&AzureMachine {
            client_id: client_id.clone(),
            metadata: None,
        }),
    }))
}

/// Asks for tokens over this thread's connections.
#[derive(Debug)]
pub(crate) struct TokenClient<'a>(pub(crate) &'a Client);

impl Fetch for TokenClient<'_> {
    async fn fetch(&self, url: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        tokio::time::timeout(PATIENCE, self.ask(url, request))
            .await
            .map_err(|_| unreachable("did not answer in time"))?
    }
}

impl TokenClient<'_> {
    async fn ask(&self, url: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let uri = Uri::try_from(url).map_err(|_| unreachable("has no valid address"))?;
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        // The addresses are the vendors' own, or were checked with the configuration; the metadata service of
        // the machine is among them on purpose.
        let endpoint = Endpoint::new(uri.host().unwrap_or_default(), port, tls, |_| true)
            .ok_or_else(|| unreachable("has no valid address"))?;
        let target = uri
            .path_and_query()
            .cloned()
            .map(Uri::from)
            .ok_or_else(|| unreachable("has no valid address"))?;
        let (head, body) = request.into_parts();
        let response = self
            .0
            .send(&endpoint, head.method, &target, head.headers, body)
            .await
            .map_err(|fault| fault.error)?;
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, body.collect(MAX_TOKEN).await?))
    }
}

fn unreachable(what: &str) -> Error {
    Error::upstream_invalid(format!(
        "The service that gives out the provider's tokens {what}. Check the provider's identity in the configuration."
    ))
}
