//! The configuration as one call sees it: immutable, complete, and swapped as a whole.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tollgate_base::{Error, Result};
use tollgate_catalog::{Auth, Catalog, ProviderRow};
use tollgate_config::{Config, Reach};
use tollgate_dialect::{Dialect, ModelTraits};
use tollgate_policy::retry::RetryPolicy;
use tollgate_upstream::Endpoint;

/// Everything a call is decided by.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Config,
    pub(crate) providers: BTreeMap<String, Arc<Provider>>,
    pub(crate) retry: RetryPolicy,
}

/// A provider that is switched on, ready to be called.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) row: &'static ProviderRow,
    pub(crate) endpoint: Endpoint,
    /// The paths of the operations it offers.
    pub(crate) paths: Vec<(Dialect, Uri)>,
    pub(crate) models_path: Option<Uri>,
    /// Authentication, fixed headers and what every request carries.
    pub(crate) headers: HeaderMap,
    /// The only models that may be used, where the configuration lists them.
    pub(crate) models: Option<Vec<String>>,
}

impl Snapshot {
    pub fn new(config: Config) -> Result<Self> {
        let providers = config
            .providers
            .values()
            .map(|provider| Ok((provider.name.clone(), Arc::new(Provider::new(provider)?))))
            .collect::<Result<_>>()?;
        let retry = RetryPolicy {
            max_attempts: config.retry.max_attempts,
            base: config.retry.base_delay,
            cap: config.retry.max_delay,
            ..RetryPolicy::default()
        };
        Ok(Self {
            config,
            providers,
            retry,
        })
    }

    /// The pause after which a stream gets a heartbeat.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.config.streaming.heartbeat
    }
}

impl Provider {
    fn new(provider: &tollgate_config::Provider) -> Result<Self> {
        let url = &provider.base_url;
        // A provider may dial what its own address was allowed to be, and nothing wider.
        let guard = match url.reach() {
            Reach::Loopback => |ip| Reach::of(ip) == Reach::Loopback,
            Reach::Private => |ip| matches!(Reach::of(ip), Reach::Loopback | Reach::Private),
            Reach::Public | Reach::Forbidden => |ip: IpAddr| Reach::of(ip) == Reach::Public,
        };
        let endpoint = Endpoint::new(url.host(), url.port(), url.is_tls(), guard)
            .ok_or_else(|| unusable(&provider.name, "its host name"))?;
        let path = |path: &str| {
            let whole = Uri::try_from(url.join(path)).ok();
            let target = whole.and_then(|uri| uri.into_parts().path_and_query);
            target
                .map(Uri::from)
                .ok_or_else(|| unusable(&provider.name, "its path"))
        };
        let operations = [
            &provider.row.endpoints.chat,
            &provider.row.endpoints.completions,
            &provider.row.endpoints.embeddings,
        ];
        let paths = operations
            .into_iter()
            .flatten()
            .map(|operation| Ok((operation.dialect, path(&operation.path)?)))
            .collect::<Result<_>>()?;
        let models_path = provider
            .row
            .endpoints
            .models
            .as_deref()
            .map(path)
            .transpose()?;
        Ok(Self {
            name: provider.name.clone(),
            row: provider.row,
            endpoint,
            paths,
            models_path,
            headers: headers(provider)?,
            models: provider.models.clone(),
        })
    }

    /// The wire shape in which this provider takes a call of `dialect`, and the path for it.
    pub(crate) fn operation(&self, dialect: Dialect) -> Option<(Dialect, &Uri)> {
        let serves = |wanted: &dyn Fn(Dialect) -> bool| {
            self.paths
                .iter()
                .find(|(offered, _)| wanted(*offered))
                .map(|(offered, path)| (*offered, path))
        };
        let is_conversation =
            |offered| matches!(offered, Dialect::OpenAiChat | Dialect::AnthropicMessages);
        serves(&|offered| offered == dialect).or_else(|| match dialect {
            Dialect::OpenAiChat | Dialect::AnthropicMessages | Dialect::OpenAiCompletions => {
                serves(&is_conversation)
            }
            Dialect::OpenAiEmbeddings => None,
        })
    }

    pub(crate) fn traits(&self, model: &str) -> &'static ModelTraits {
        Catalog::builtin().traits(&self.row.id, model)
    }
}

fn headers(provider: &tollgate_config::Provider) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
    );
    let secret = |text: &str| {
        let mut value =
            HeaderValue::try_from(text).map_err(|_| unusable(&provider.name, "a header value"))?;
        value.set_sensitive(true);
        Ok::<_, Error>(value)
    };
    for (name, value) in &provider.headers {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| unusable(&provider.name, "a header name"))?;
        headers.insert(name, secret(value.expose())?);
    }
    if let Some(key) = &provider.key {
        match &provider.row.auth {
            Auth::Bearer => {
                headers.insert(
                    header::AUTHORIZATION,
                    secret(&format!("Bearer {}", key.expose()))?,
                );
            }
            Auth::Header(name) => {
                let name = HeaderName::try_from(name.as_str())
                    .map_err(|_| unusable(&provider.name, "its key header"))?;
                headers.insert(name, secret(key.expose())?);
            }
        }
    }
    Ok(headers)
}

/// The configuration was checked before; what still fails here names the provider and the part.
fn unusable(provider: &str, part: &str) -> Error {
    Error::internal(format!(
        "Provider `{provider}` cannot be used: {part} is not valid."
    ))
}
