//! The configuration as one call sees it: immutable, complete, and swapped as a whole.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use foldhash::HashMap;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use parking_lot::RwLock;
use tollgate_base::{Error, Money, Result, Usage};
use tollgate_catalog::{
    Auth, Catalog, Operation, ProviderRow,
    price::{Ask, Bucket, Price, PriceBook, PriceEntry, PriceOverride},
};
use tollgate_config::{Config, Identity, PriceSetting, Reach};
use tollgate_credentials::Credentials;
use tollgate_dialect::{Dialect, ModelTraits};
use tollgate_policy::retry::RetryPolicy;
use tollgate_tokens::ConversationCounter;
use tollgate_upstream::Endpoint;

use crate::{
    admit::pricing_at,
    identity,
    locals::LocalModels,
    paths::Path,
    plan::{resolve, target_at},
};

/// Everything a call is decided by.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Config,
    pub(crate) providers: BTreeMap<String, Arc<Provider>>,
    pub(crate) local: LocalModels,
    pub(crate) retry: RetryPolicy,
    pub(crate) prices: PriceBook,
    /// What was looked up of targets, by provider and model.
    facts: RwLock<HashMap<String, HashMap<String, Arc<Facts>>>>,
}

/// What is looked up of a target for each call.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) price: Option<Arc<Price>>,
    pub(crate) counter: ConversationCounter,
}

/// Models of one provider whose facts are kept; callers may name any.
const KEPT_FACTS: usize = 4096;

/// A provider that is switched on, ready to be called.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) row: &'static ProviderRow,
    pub(crate) endpoint: Endpoint,
    /// What it takes in a wire shape of its own, the preferred conversation first.
    services: Vec<Service>,
    /// Counts tokens.
    pub(crate) count: Option<Service>,
    operations: BTreeMap<Operation, Path>,
    pub(crate) models_path: Option<Path>,
    /// What authorises each request, where a key in a header is not enough.
    pub(crate) credentials: Option<Credentials>,
    /// Authentication, fixed headers and what every request carries.
    pub(crate) headers: HeaderMap,
    /// The only models that may be used, where the configuration lists them.
    pub(crate) models: Option<Vec<String>>,
}

/// One wire shape of a provider, and where it is taken.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) dialect: Dialect,
    path: Path,
    stream_path: Option<Path>,
}

impl Service {
    pub(crate) fn path(&self, model: &str, stream: bool) -> Result<Uri> {
        match &self.stream_path {
            Some(path) if stream => path.of(model),
            _ => self.path.of(model),
        }
    }

    /// A path below this service's own: one of the things that it made.
    pub(crate) fn below(&self, rest: &str) -> Option<Uri> {
        self.path.below(rest)
    }
}

impl Snapshot {
    /// `prices` are those of the book; the configuration's own go before them.
    pub fn new(config: Config, prices: &PriceBook, local: LocalModels) -> Result<Self> {
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
        let prices = price_book(&config, prices)?;
        Ok(Self {
            config,
            providers,
            local,
            retry,
            prices,
            facts: RwLock::default(),
        })
    }

    /// The same with other models of this machine.
    #[must_use]
    pub fn with_local(&self, local: LocalModels) -> Self {
        Self {
            config: self.config.clone(),
            providers: self.providers.clone(),
            local,
            retry: self.retry,
            prices: self.prices.clone(),
            facts: RwLock::default(),
        }
    }

    /// The models of this machine.
    pub fn local(&self) -> &LocalModels {
        &self.local
    }

    /// Which prices these are.
    pub fn price_version(&self) -> &str {
        self.prices.version()
    }

    /// What is looked up of a target, once for each.
    pub(crate) fn facts(&self, provider: &str, model: &str) -> Arc<Facts> {
        if let Some(known) = self.facts.read().get(provider).and_then(|of| of.get(model)) {
            return known.clone();
        }
        let row = self
            .providers
            .get(provider)
            .map_or("", |known| &known.row.id);
        let facts = Arc::new(Facts {
            price: self.price(provider, model).cloned().map(Arc::new),
            counter: ConversationCounter::for_model(row, model),
        });
        let mut kept = self.facts.write();
        let of = kept.entry(provider.to_owned()).or_default();
        if of.len() < KEPT_FACTS {
            of.insert(model.to_owned(), facts.clone());
        }
        facts
    }

    /// What a model costs at a configured provider.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        let row = &self.providers.get(provider)?.row.id;
        self.prices.find_named(provider, row, model)
    }

    /// The prices in force.
    pub fn price_book(&self) -> &PriceBook {
        &self.prices
    }

    /// The provider and the model that a call of this name is sent to first.
    pub fn first_target(&self, name: &str) -> Option<(String, String)> {
        let target = match self.config.routes.get(name) {
            Some(route) => route
                .targets
                .iter()
                .find_map(|target| target_at(self, &target.provider, &target.model)),
            None => resolve(self, name),
        }?;
        Some((target.place.name().to_owned(), target.model))
    }

    /// The most that a request of this size can cost; `None` when its price is not known and that is allowed.
    pub fn most(
        &self,
        provider: &str,
        model: &str,
        input: u64,
        output: u64,
    ) -> Result<Option<Money>> {
        let ask = Ask {
            input,
            ..Ask::default()
        };
        Ok(pricing_at(self, provider, model)?.most(&ask, output))
    }

    /// What a usage costs by the prices in force, and the rates; `None` when that is not known.
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage) -> Option<(Money, String)> {
        let (cost, unit_prices) = pricing_at(self, provider, model).ok()?.cost(usage);
        Some((cost.known()?, unit_prices))
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
            let whole = Uri::try_from(url.join("/")).ok();
            let root = whole.map(|uri| uri.path().trim_end_matches('/').to_owned());
            let path = tollgate_config::filled(path, &provider.variables);
            root.and_then(|root| Path::new(&format!("{root}{path}")))
                .ok_or_else(|| unusable(&provider.name, "its path"))
        };
        let service = |of: &tollgate_catalog::Endpoint| {
            Ok(Service {
                dialect: of.dialect,
                path: path(&of.path)?,
                stream_path: of.stream_path.as_deref().map(path).transpose()?,
            })
        };
        let endpoints = &provider.row.endpoints;
        Ok(Self {
            name: provider.name.clone(),
            row: provider.row,
            endpoint,
            services: provider
                .row
                .endpoints()
                .map(service)
                .collect::<Result<_>>()?,
            count: endpoints.count.as_ref().map(service).transpose()?,
            operations: endpoints
                .operations
                .iter()
                .map(|(operation, text)| Ok((*operation, path(text)?)))
                .collect::<Result<_>>()?,
            models_path: endpoints.models.as_deref().map(path).transpose()?,
            credentials: identity::credentials(provider)?,
            headers: headers(provider)?,
            models: provider.models.clone(),
        })
    }

    /// The wire shape in which this provider takes a call of `dialect`: the same where it has it, else the
    /// one it is best spoken to.
    pub(crate) fn service(&self, dialect: Dialect) -> Option<&Service> {
        let is_embeddings = dialect.is_embeddings();
        self.exact(dialect).or_else(|| {
            self.services.iter().find(|service| {
                service.dialect.is_embeddings() == is_embeddings
                    && service.dialect != Dialect::OpenAiCompletions
            })
        })
    }

    /// The service of this very dialect.
    pub(crate) fn exact(&self, dialect: Dialect) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.dialect == dialect)
    }

    /// Where an operation that is passed through is taken.
    pub(crate) fn operation(&self, operation: Operation) -> Option<&Path> {
        self.operations.get(&operation)
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
    if let (Some(key), Identity::Key) = (&provider.key, &provider.identity) {
        match &provider.row.auth {
            Auth::Bearer | Auth::Aws { .. } => {
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
            Auth::Google => {
                headers.insert("x-goog-api-key", secret(key.expose())?);
            }
            Auth::Azure => {
                headers.insert("api-key", secret(key.expose())?);
            }
        }
    }
    Ok(headers)
}

/// The prices in force: those of the book, and before them those that the configuration writes.
pub fn price_book(config: &Config, prices: &PriceBook) -> Result<PriceBook> {
    prices.with_overrides(&overrides(config)?)
}

/// The prices that the configuration writes, and those of servers that nobody is paid for.
fn overrides(config: &Config) -> Result<Vec<PriceOverride>> {
    let written = config.prices.iter().map(|price| {
        let rates = price.rates.iter().map(|(name, rate)| {
            let bucket = Bucket::ALL
                .into_iter()
                .find(|bucket| bucket.name() == *name);
            let bucket = bucket.ok_or_else(|| unknown_bucket(name))?;
            Ok((bucket, rate.to_decimal()))
        });
        let entry = PriceEntry {
            free: price.free,
            rates: rates.collect::<Result<_>>()?,
            ..PriceEntry::default()
        };
        PriceOverride::new(&format!("{}/{}", price.provider, price.model), entry)
    });
    let is_written = |name: &str| {
        let every = |price: &PriceSetting| price.provider == name && price.model == "*";
        config.prices.iter().any(every)
    };
    // A server of one's own sends no bill.
    let own = config.providers.values().filter(|provider| {
        let is_local = matches!(provider.base_url.reach(), Reach::Loopback | Reach::Private);
        is_local && provider.row.key_optional && !is_written(&provider.name)
    });
    let free = own.map(|provider| {
        let entry = PriceEntry {
            free: true,
            ..PriceEntry::default()
        };
        PriceOverride::new(&format!("{}/*", provider.name), entry)
    });
    written.chain(free).collect()
}

fn unknown_bucket(name: &str) -> Error {
    Error::internal(format!("There is no price for {name}."))
}

/// The configuration was checked before; what still fails here names the provider and the part.
fn unusable(provider: &str, part: &str) -> Error {
    Error::internal(format!(
        "Provider `{provider}` cannot be used: {part} is not valid."
    ))
}
