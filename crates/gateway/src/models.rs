//! Which models can be called: routes, the built-in model, and the models of every provider that is on.
//!
//! A vendor's models come from the catalogue; a self-hosted server is asked what it has loaded, and the
//! answer is kept for a minute.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tollgate_base::{Error, Kind, Result, quote};
use tollgate_catalog::Catalog;
use tollgate_config::BUILT_IN_PROVIDER;
use tollgate_dialect::{Dialect, Family};
use tollgate_upstream::Client;

use crate::{
    plan::{Place, resolve},
    snapshot::{Provider, Snapshot},
};

/// A model that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) owned_by: String,
}

/// The part of an Anthropic list that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub after_id: Option<String>,
    pub before_id: Option<String>,
    /// 1 to 1000, 20 unless said otherwise.
    pub limit: Option<usize>,
}

/// What self-hosted servers said they have, by provider.
#[derive(Debug, Default)]
pub(crate) struct ModelLists(Mutex<BTreeMap<String, (Instant, Vec<String>)>>);

const KEEP: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(2);
const MAX_LIST: usize = 4 * 1024 * 1024;

pub(crate) fn dialect_of(family: Family) -> Dialect {
    match family {
        Family::OpenAi => Dialect::OpenAiChat,
        Family::Anthropic => Dialect::AnthropicMessages,
        Family::Gemini => Dialect::GeminiGenerate,
    }
}

pub(crate) async fn list(snapshot: &Snapshot, lists: &ModelLists, client: &Client) -> Vec<Model> {
    let mut models: Vec<Model> = snapshot
        .config
        .routes
        .keys()
        .map(|route| Model {
            id: route.clone(),
            owned_by: BUILT_IN_PROVIDER.to_owned(),
        })
        .collect();
    models.extend(snapshot.local.iter().map(|model| Model {
        id: model.name.clone(),
        owned_by: BUILT_IN_PROVIDER.to_owned(),
    }));
    for provider in snapshot.providers.values() {
        let names = names_of(provider, lists, client).await;
        models.extend(names.into_iter().map(|name| Model {
            id: format!("{}/{name}", provider.name),
            owned_by: provider.row.owned_by.clone(),
        }));
    }
    models
}

/// The model that a call with this name would reach.
pub(crate) async fn find(
    snapshot: &Snapshot,
    lists: &ModelLists,
    client: &Client,
    id: &str,
) -> Result<Model> {
    let found = list(snapshot, lists, client)
        .await
        .into_iter()
        .find(|model| model.id == id);
    let by_name = || {
        let target = resolve(snapshot, id)?;
        let owned_by = match &target.place {
            Place::Local(_) => BUILT_IN_PROVIDER.to_owned(),
            Place::Provider(provider) if id.starts_with(&format!("{}/", provider.name)) => {
                return None;
            }
            Place::Provider(provider) => provider.row.owned_by.clone(),
        };
        Some(Model {
            id: id.to_owned(),
            owned_by,
        })
    };
    found.or_else(by_name).ok_or_else(|| {
        let message = format!(
            "The model {} is not known here. `GET /v1/models` lists the models.",
            quote(id)
        );
        Error::new(Kind::NotFound, "model_not_found", message).with_param("model")
    })
}

async fn names_of(provider: &Arc<Provider>, lists: &ModelLists, client: &Client) -> Vec<String> {
    if let Some(models) = &provider.models {
        return models.clone();
    }
    let known: Vec<String> = Catalog::builtin()
        .models(&provider.row.id)
        .map(str::to_owned)
        .collect();
    if !known.is_empty() {
        return known;
    }
    let now = Instant::now();
    if let Some((asked, names)) = lists.0.lock().get(&provider.name)
        && now.duration_since(*asked) < KEEP
    {
        return names.clone();
    }
    let names = tokio::time::timeout(PATIENCE, ask(provider, client))
        .await
        .ok()
        .flatten()
        .unwrap_or_default();
    lists
        .0
        .lock()
        .insert(provider.name.clone(), (now, names.clone()));
    names
}

async fn ask(provider: &Provider, client: &Client) -> Option<Vec<String>> {
    let mut headers = provider.headers.clone();
    headers.remove(header::CONTENT_TYPE);
    let path = provider.models_path.as_ref()?.of("").ok()?;
    let response = client
        .send(
            &provider.endpoint,
            Method::GET,
            &path,
            headers,
            Bytes::new(),
        )
        .await
        .ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = response.into_body().collect(MAX_LIST).await.ok()?;
    let list: ServerList = serde_json::from_slice(&body).ok()?;
    Some(list.data.into_iter().map(|model| model.id).collect())
}

#[derive(Deserialize)]
struct ServerList {
    data: Vec<ServerModel>,
}

#[derive(Deserialize)]
struct ServerModel {
    id: String,
}

// --- the shapes of the answers ---

/// OpenAI: `GET /v1/models` (openapi `ListModelsResponse`).
#[derive(Serialize)]
struct OpenAiList<'a> {
    object: &'static str,
    data: Vec<OpenAiModel<'a>>,
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// Anthropic: `GET /v1/models`.
#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    /// Anthropic documents an epoch value for models whose date of release is not known.
    created_at: &'static str,
}

/// Gemini: `GET /v1beta/models`. The token of the next page is the last model of this one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiList<'a> {
    models: Vec<GeminiModel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiModel<'a> {
    name: String,
    base_model_id: &'a str,
    version: &'static str,
    display_name: &'a str,
    supported_generation_methods: [&'static str; 2],
}

impl<'a> From<&'a Model> for GeminiModel<'a> {
    fn from(model: &'a Model) -> Self {
        Self {
            name: format!("models/{}", model.id),
            base_model_id: &model.id,
            version: "",
            display_name: &model.id,
            supported_generation_methods: ["generateContent", "streamGenerateContent"],
        }
    }
}

impl<'a> From<&'a Model> for OpenAiModel<'a> {
    fn from(model: &'a Model) -> Self {
        Self {
            id: &model.id,
            object: "model",
            created: 0,
            owned_by: &model.owned_by,
        }
    }
}

impl<'a> From<&'a Model> for AnthropicModel<'a> {
    fn from(model: &'a Model) -> Self {
        Self {
            kind: "model",
            id: &model.id,
            display_name: &model.id,
            created_at: "1970-01-01T00:00:00Z",
        }
    }
}

pub(crate) fn render_one(family: Family, model: &Model) -> Bytes {
    match family {
        Family::OpenAi => json(&OpenAiModel::from(model)),
        Family::Anthropic => json(&AnthropicModel::from(model)),
        Family::Gemini => json(&GeminiModel::from(model)),
    }
}

pub(crate) fn render_list(family: Family, models: &[Model], page: &Page) -> Result<Bytes> {
    Ok(match family {
        Family::OpenAi => json(&OpenAiList {
            object: "list",
            data: models.iter().map(OpenAiModel::from).collect(),
        }),
        Family::Anthropic => {
            let (part, has_more) = cut(models, page)?;
            json(&AnthropicList {
                data: part.iter().map(AnthropicModel::from).collect(),
                has_more,
                first_id: part.first().map(|model| model.id.as_str()),
                last_id: part.last().map(|model| model.id.as_str()),
            })
        }
        Family::Gemini => {
            let (part, has_more) = cut(models, page)?;
            json(&GeminiList {
                models: part.iter().map(GeminiModel::from).collect(),
                next_page_token: part
                    .last()
                    .filter(|_| has_more)
                    .map(|model| model.id.as_str()),
            })
        }
    })
}

/// The page of a list, and whether more follows in the direction of reading.
fn cut<'m>(models: &'m [Model], page: &Page) -> Result<(&'m [Model], bool)> {
    let limit = page.limit.unwrap_or(20);
    if !(1..=1000).contains(&limit) {
        return Err(Error::invalid_value(
            "limit",
            "`limit` must be between 1 and 1000.",
        ));
    }
    let place = |param: &str, id: &String| {
        models
            .iter()
            .position(|model| &model.id == id)
            .ok_or_else(|| {
                Error::invalid_value(param, format!("`{param}` names no model of this list."))
            })
    };
    let end = page
        .before_id
        .as_ref()
        .map(|id| place("before_id", id))
        .transpose()?;
    let start = page
        .after_id
        .as_ref()
        .map(|id| place("after_id", id))
        .transpose()?
        .map_or(0, |at| at + 1);
    if let Some(end) = end {
        let from = end.saturating_sub(limit).max(start.min(end));
        return Ok((&models[from..end], from > start));
    }
    let to = (start + limit).min(models.len());
    Ok((&models[start..to], to < models.len()))
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(n: usize) -> Vec<Model> {
        (0..n)
            .map(|i| Model {
                id: format!("m{i}"),
                owned_by: "x".to_owned(),
            })
            .collect()
    }

    fn ids(models: &[Model]) -> Vec<&str> {
        models.iter().map(|model| model.id.as_str()).collect()
    }

    #[test]
    fn pages_meet_without_gap_or_overlap() {
        let all = models(45);
        let (first, more) = cut(&all, &Page::default()).unwrap();
        assert_eq!((first.len(), more), (20, true));
        let after = |id: &str| Page {
            after_id: Some(id.to_owned()),
            ..Page::default()
        };
        let (last, more) = cut(&all, &after("m39")).unwrap();
        assert_eq!(
            (ids(last), more),
            (vec!["m40", "m41", "m42", "m43", "m44"], false)
        );
        let before = Page {
            before_id: Some("m3".to_owned()),
            limit: Some(2),
            ..Page::default()
        };
        let (part, more) = cut(&all, &before).unwrap();
        assert_eq!((ids(part), more), (vec!["m1", "m2"], true));
    }

    #[test]
    fn a_limit_out_of_range_or_an_unknown_cursor_is_named() {
        let page = Page {
            limit: Some(0),
            ..Page::default()
        };
        assert_eq!(cut(&models(1), &page).unwrap_err().param(), Some("limit"));
        let page = Page {
            after_id: Some("x".to_owned()),
            ..Page::default()
        };
        assert_eq!(
            cut(&models(1), &page).unwrap_err().param(),
            Some("after_id")
        );
    }
}
