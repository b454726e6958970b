//! Google Cloud: a service account's key file, the file that `gcloud auth application-default login`
//! leaves, or the metadata server of the machine. Federated identities are not read here.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tollgate_base::{Result, Secret, UnixMillis, quote};

use crate::{Fetch, oauth, oauth::Peer, refusal, token::Token};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const METADATA: &str = "http://metadata.google.internal";
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

const ENDPOINT: Peer = Peer {
    name: "Google's token endpoint",
    advice: "Check that the account and its key still exist and that the machine's clock is right.",
};
const MACHINE: Peer = Peer {
    name: "Google's metadata server",
    advice: "Check that the machine runs on Google Cloud with a service account, or give a key file.",
};

/// Where Google's tokens come from.
pub(crate) enum Source {
    Account(Box<Account>),
    User(User),
    Machine { url: String },
}

/// A service account with its private key.
pub(crate) struct Account {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
}

/// A person's leave for an application to act for them.
pub(crate) struct User {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    token_uri: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

// === impl Source ===

impl Source {
    /// Reads a credentials file's text. The key is parsed here, so that a bad file fails at start.
    pub(crate) fn from_file(json: &Secret) -> Result<Self> {
        // What serde_json says may quote the file.
        let file: File = serde_json::from_str(json.expose()).map_err(|_| {
            refusal("The Google credentials file is no JSON object of the expected shape. Download the key file anew.")
        })?;
        let token_uri = file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
        if !oauth::is_safe(&token_uri) {
            return Err(refusal(
                "`token_uri` of the Google credentials file is no https address. Download the key file anew.",
            ));
        }
        match file.kind.as_deref() {
            Some("service_account") => Ok(Self::Account(Box::new(Account {
                email: needed(file.client_email, "client_email")?,
                key_id: file.private_key_id,
                key: private_key(&Secret::new(needed(file.private_key, "private_key")?))?,
                token_uri,
            }))),
            Some("authorized_user") => Ok(Self::User(User {
                client_id: needed(file.client_id, "client_id")?,
                client_secret: Secret::new(needed(file.client_secret, "client_secret")?),
                refresh_token: Secret::new(needed(file.refresh_token, "refresh_token")?),
                token_uri,
            })),
            kind => Err(refusal(format!(
                "Google credentials of type {} are not supported. Use a file of type `service_account` or `authorized_user`.",
                quote(kind.unwrap_or_default())
            ))),
        }
    }

    /// The machine's own account; `base` replaces the metadata server's address.
    pub(crate) fn machine(base: Option<&str>) -> Self {
        let base = base.unwrap_or(METADATA).trim_end_matches('/');
        Self::Machine {
            url: format!("{base}{TOKEN_PATH}"),
        }
    }

    pub(crate) async fn fetch(
        &self,
        fetch: &impl Fetch,
        now: UnixMillis,
    ) -> Result<Token<HeaderValue>> {
        match self {
            Self::Account(account) => {
                let assertion = account.assertion(now)?;
                let fields = [("grant_type", GRANT), ("assertion", assertion.expose())];
                oauth::post_form(fetch, now, ENDPOINT, &account.token_uri, &fields).await
            }
            Self::User(user) => {
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", &user.client_id),
                    ("client_secret", user.client_secret.expose()),
                    ("refresh_token", user.refresh_token.expose()),
                ];
                oauth::post_form(fetch, now, ENDPOINT, &user.token_uri, &fields).await
            }
            Self::Machine { url } => oauth::get(fetch, now, MACHINE, url, (FLAVOR, "Google")).await,
        }
    }
}

// === impl Account ===

impl Account {
    /// The signed statement (a JWT) that the token endpoint exchanges for a token; it holds for an hour.
    fn assertion(&self, now: UnixMillis) -> Result<Secret> {
        let failed =
            || refusal("The Google account's key cannot sign. Download the key file anew.");
        let iat = now.0 / 1000;
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            kid: self.key_id.as_deref(),
        };
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat,
            exp: iat.saturating_add(3600),
        };
        let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).map_err(|_| failed())?);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(
            serde_json::to_vec(&claims).map_err(|_| failed())?,
            &mut text,
        );

        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| failed())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut text);
        Ok(Secret::new(text))
    }
}

fn needed(field: Option<String>, name: &str) -> Result<String> {
    field.filter(|text| !text.is_empty()).ok_or_else(|| {
        refusal(format!(
            "The Google credentials file has no `{name}`. Download the key file anew."
        ))
    })
}

/// A private key as key files hold it: PKCS #8 in PEM.
fn private_key(pem: &Secret) -> Result<RsaKeyPair> {
    let failed = || {
        refusal(
            "`private_key` of the Google credentials file is no RSA key in PKCS #8 PEM. Download the key file anew.",
        )
    };
    let body = pem
        .expose()
        .trim()
        .strip_prefix("-----BEGIN PRIVATE KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
        .ok_or_else(failed)?;
    let text: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(text).map_err(|_| failed())?;
    RsaKeyPair::from_pkcs8(&der).map_err(|_| failed())
}
