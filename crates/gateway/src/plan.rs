//! Which targets serve a call, in which order. Decides from the snapshot alone; does no IO.

use std::sync::{Arc, LazyLock};

use http::Uri;
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_catalog::{Catalog, Operation};
use tollgate_config::{BUILT_IN_PROVIDER, Disconnect, NearBudget, Strategy};
use tollgate_dialect::{Dialect, ModelTraits};

use crate::{
    call::Call,
    locals::LocalModel,
    snapshot::{Provider, Snapshot},
};

/// The targets of one call, at least one, the first to be tried first.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    /// A request that cannot be carried whole is refused.
    pub(crate) strict: bool,
    /// What is done when a budget has room for a part of the answer only.
    pub(crate) near_budget: NearBudget,
    pub(crate) on_disconnect: Disconnect,
    /// Nobody serves what was asked for; the default model does.
    pub(crate) is_default: bool,
}

/// A model at a place that serves it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// The place's own name of the model.
    pub(crate) model: String,
    /// What is known of the model.
    pub(crate) traits: &'static ModelTraits,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A model of this machine.
    Local(Arc<LocalModel>),
    Provider(Arc<Provider>),
}

/// What is true of every model of this machine: it reads text, and nobody adds anything to what it is sent.
static LOCAL_TRAITS: LazyLock<ModelTraits> = LazyLock::new(|| ModelTraits {
    context_window: Some(0),
    vision: Some(false),
    pdf: Some(false),
    audio_input: Some(false),
    ..ModelTraits::default()
});

impl Target {
    pub(crate) fn new(place: Place, model: String) -> Self {
        let traits = match &place {
            Place::Provider(provider) => provider.traits(&model),
            Place::Local(_) => &LOCAL_TRAITS,
        };
        Self {
            place,
            model,
            traits,
        }
    }

    /// `provider/model`, as it is configured, logged and shown.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.place.name(), self.model)
    }
}

impl Place {
    pub(crate) fn name(&self) -> &str {
        match self {
            Place::Local(_) => BUILT_IN_PROVIDER,
            Place::Provider(provider) => &provider.name,
        }
    }

    fn serves(&self, dialect: Dialect) -> bool {
        match self {
            Place::Local(model) => model.serves(dialect),
            Place::Provider(provider) => provider.service(dialect).is_some(),
        }
    }
}

/// Plans a call. `turn` is a number that differs from call to call, for routes that spread.
pub(crate) fn plan(snapshot: &Snapshot, call: &Call, turn: u64) -> Result<Plan> {
    let mut strict = snapshot.config.strict || call.strict;
    let route = snapshot.config.routes.get(&call.head.model);
    let near_budget = route.map_or(NearBudget::Clamp, |route| route.near_budget);
    let on_disconnect = route.map_or(snapshot.config.ledger.on_disconnect, |route| {
        route.on_disconnect
    });
    let mut targets = match route {
        Some(route) => {
            strict |= route.strict;
            let mut targets = route
                .targets
                .iter()
                // A model of this machine may have been removed: the other targets serve.
                .filter_map(|target| target_at(snapshot, &target.provider, &target.model))
                .collect::<Vec<_>>();
            if route.strategy == Strategy::Spread && !targets.is_empty() {
                let first = usize::try_from(turn % targets.len() as u64).unwrap_or(0);
                targets.rotate_left(first);
            }
            targets
        }
        None => resolve(snapshot, &call.head.model).into_iter().collect(),
    };
    if targets.is_empty() && is_ambiguous(snapshot, &call.head.model) {
        return Err(ambiguous(&call.head.model));
    }
    let is_default = targets.is_empty();
    if is_default
        && let Some(default) = &snapshot.config.default_model
        && default != &call.head.model
    {
        targets.extend(resolve(snapshot, default));
    }
    if targets.is_empty() {
        return Err(unknown(&call.head.model));
    }
    targets.retain(|target| target.place.serves(call.dialect));
    if targets.is_empty() {
        let message = format!(
            "The model {} does not serve this endpoint.",
            quote(&call.head.model)
        );
        return Err(
            Error::new(Kind::InvalidRequest, "unsupported_value", message).with_param("model"),
        );
    }
    Ok(Plan {
        targets,
        strict,
        near_budget,
        on_disconnect,
        is_default,
    })
}

/// Finds a model by `provider/model`, by a name of one of this machine's models, or by a bare name that exactly the
/// configuration or the catalogue ties to a provider. Providers are asked in the order of their names.
pub(crate) fn resolve(snapshot: &Snapshot, name: &str) -> Option<Target> {
    if let Some((provider, model)) = name.split_once('/')
        && !model.is_empty()
        && let Some(target) = target_at(snapshot, provider, model)
    {
        return Some(target);
    }
    if let Some(target) = local(snapshot, name) {
        return Some(target);
    }
    // What was meant for this machine does not leave it.
    if is_ambiguous(snapshot, name) {
        return None;
    }
    let knows = |provider: &&Arc<Provider>| match &provider.models {
        Some(models) => models.iter().any(|model| model == name),
        None => Catalog::builtin()
            .models(&provider.row.id)
            .any(|model| model == name),
    };
    let provider = snapshot.providers.values().find(knows)?;
    let place = Place::Provider(provider.clone());
    Some(Target::new(place, name.to_owned()))
}

pub(crate) fn target_at(snapshot: &Snapshot, provider: &str, model: &str) -> Option<Target> {
    if provider == BUILT_IN_PROVIDER {
        return local(snapshot, model);
    }
    let provider = snapshot.providers.get(provider)?;
    if provider
        .models
        .as_ref()
        .is_some_and(|models| !models.iter().any(|known| known == model))
    {
        return None;
    }
    Some(Target::new(
        Place::Provider(provider.clone()),
        model.to_owned(),
    ))
}

/// A model of this machine under its own name, whichever of its names was used.
fn local(snapshot: &Snapshot, name: &str) -> Option<Target> {
    let model = snapshot.local.get(name)?;
    Some(Target::new(Place::Local(model.clone()), model.name.clone()))
}

/// Who passes an operation on, and under which name of the model.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) provider: Arc<Provider>,
    /// The provider's own name; `None` where the caller named none.
    pub(crate) model: Option<String>,
}

impl Served {
    pub(crate) fn name(&self) -> String {
        match &self.model {
            Some(model) => format!("{}/{model}", self.provider.name),
            None => self.provider.name.clone(),
        }
    }

    pub(crate) fn path(&self, operation: Operation) -> Result<Uri> {
        let path = self.provider.operation(operation);
        path.ok_or_else(|| nobody_offers(operation))?
            .of(self.model.as_deref().unwrap_or_default())
    }
}

/// The providers that serve an operation that is passed through, at least one, the first to be tried first.
pub(crate) fn operation(
    snapshot: &Snapshot,
    model: Option<&str>,
    operation: Operation,
) -> Result<Vec<Served>> {
    let Some(model) = model else {
        let first = snapshot
            .providers
            .values()
            .find(|provider| provider.operation(operation).is_some())
            .ok_or_else(|| nobody_offers(operation))?;
        return Ok(vec![Served {
            provider: first.clone(),
            model: None,
        }]);
    };
    let targets = match snapshot.config.routes.get(model) {
        Some(route) => route
            .targets
            .iter()
            .filter_map(|target| target_at(snapshot, &target.provider, &target.model))
            .collect(),
        None => resolve(snapshot, model).into_iter().collect::<Vec<_>>(),
    };
    if targets.is_empty() {
        return Err(unknown(model));
    }
    let served: Vec<_> = targets
        .into_iter()
        .filter_map(|target| match target.place {
            Place::Provider(provider) if provider.operation(operation).is_some() => Some(Served {
                provider,
                model: Some(target.model),
            }),
            Place::Provider(_) | Place::Local(_) => None,
        })
        .collect();
    if served.is_empty() {
        let message = format!(
            "The model {} does not serve {} here.",
            quote(model),
            operation.name()
        );
        return Err(Error::unsupported("model", message));
    }
    Ok(served)
}

pub(crate) fn nobody_offers(operation: Operation) -> Error {
    let message = format!(
        "No provider that is switched on offers {}. `tollgate providers` lists what each offers.",
        operation.name()
    );
    Error::new(Kind::NotFound, "not_found", message).with_should_retry(false)
}

fn is_ambiguous(snapshot: &Snapshot, name: &str) -> bool {
    let own = name.strip_prefix(BUILT_IN_PROVIDER);
    let own = own.and_then(|name| name.strip_prefix('/')).unwrap_or(name);
    snapshot.local.is_ambiguous(own)
}

fn ambiguous(model: &str) -> Error {
    let message = format!(
        "The name {} stands for several models of this machine. `GET /v1/models` lists the name of each.",
        quote(model)
    );
    Error::invalid_value("model", message)
}

fn unknown(model: &str) -> Error {
    let message = match model.split_once('/') {
        Some((BUILT_IN_PROVIDER, local)) => format!(
            "The model {} is not on this machine. `tollgate models list` shows those that are, and \
             `tollgate models pull` gets others.",
            quote(local)
        ),
        _ => format!(
            "The model {} is not known here. `GET /v1/models` lists the models; a provider's model is written \
             `provider/model`.",
            quote(model)
        ),
    };
    Error::new(Kind::NotFound, "model_not_found", message)
        .with_param("model")
        .with_should_retry(false)
}
