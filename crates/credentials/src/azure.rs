//! Microsoft Entra: an application's client credentials, or the managed identity of the machine.
//! Certificates and federated identities are not read here.
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use http::{HeaderName, HeaderValue};
use tollgate_base::{Result, Secret, UnixMillis};

use crate::{Fetch, oauth, oauth::Peer, percent, refusal, token::Token};

const AUTHORITY: &str = "https://login.microsoftonline.com";
const METADATA: &str = "http://169.254.169.254";
const RESOURCE: &str = "https://cognitiveservices.azure.com";
const METADATA_SIGN: HeaderName = HeaderName::from_static("metadata");

const ENDPOINT: Peer = Peer {
    name: "Microsoft Entra",
    advice: "Check tenant, client id and whether the client secret has run out.",
};
const MACHINE: Peer = Peer {
    name: "Azure's instance metadata",
    advice: "Check that the machine has this managed identity, or give client credentials.",
};

/// An application registered in Microsoft Entra.
#[derive(Clone, Debug)]
pub struct Entra {
    /// The tenant's id or domain.
    pub tenant: String,
    pub client_id: String,
    pub secret: Secret,
    /// The sign-in service in place of the usual one, as national clouds need it.
    pub authority: Option<String>,
}

/// The managed identity of a machine on Azure.
#[derive(Clone, Debug, Default)]
pub struct AzureMachine {
    /// Which identity, where the machine has several.
    pub client_id: Option<String>,
    /// The metadata service's address in place of the usual one.
    pub metadata: Option<String>,
}

/// Where Entra's tokens come from.
pub(crate) enum Source {
    Client {
        url: String,
        client_id: String,
        secret: Secret,
    },
    Machine {
        url: String,
    },
}

// === impl Source ===

impl Source {
    pub(crate) fn client(entra: Entra) -> Result<Self> {
        let authority = entra
            .authority
            .as_deref()
            .unwrap_or(AUTHORITY)
            .trim_end_matches('/');
        if !oauth::is_safe(authority) {
            return Err(refusal(
                "The Entra authority is no https address. Leave it out or correct it.",
            ));
        }
        let mut url = format!("{authority}/");
        percent::encode_into(&mut url, entra.tenant.as_bytes());
        url.push_str("/oauth2/v2.0/token");
        Ok(Self::Client {
            url,
            client_id: entra.client_id,
            secret: entra.secret,
        })
    }

    pub(crate) fn machine(machine: &AzureMachine) -> Self {
        let base = machine
            .metadata
            .as_deref()
            .unwrap_or(METADATA)
            .trim_end_matches('/');
        let mut fields = vec![("api-version", "2018-02-01"), ("resource", RESOURCE)];
        fields.extend(machine.client_id.as_deref().map(|id| ("client_id", id)));
        let query = percent::form(&fields);
        Self::Machine {
            url: format!("{base}/metadata/identity/oauth2/token?{query}"),
        }
    }

    pub(crate) async fn fetch(
        &self,
        fetch: &impl Fetch,
        now: UnixMillis,
    ) -> Result<Token<HeaderValue>> {
        match self {
            Self::Client {
                url,
                client_id,
                secret,
            } => {
                let scope = format!("{RESOURCE}/.default");
                let fields = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    ("client_secret", secret.expose()),
                    ("scope", &scope),
                ];
                oauth::post_form(fetch, now, ENDPOINT, url, &fields).await
            }
            Self::Machine { url } => {
                oauth::get(fetch, now, MACHINE, url, (METADATA_SIGN, "true")).await
            }
        }
    }
}
