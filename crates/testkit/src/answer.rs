//! From a request to a plan: credentials, route, check, script, faults, rendering, in this order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Deserialize;

use crate::ask::Ask;
use crate::dialect::Dialect;
use crate::http::Request;
use crate::record::Record;
use crate::scenario::{BilledUsage, Block, FaultKind, Scenario};
use crate::turn::{Frame, Role, Turn, resolve};
use crate::voice::{self, Refusal, request_id};
use crate::wire::{Answer, Plan};
use crate::{anthropic, builtin, openai};

/// Scripts, counters and prepared answers of one provider.
#[derive(Debug)]
pub(crate) struct Scripts {
    dialect: Dialect,
    /// Skip everything that a benchmark peer need not do: checks of the body, records.
    is_bench: bool,
    registered: RwLock<HashMap<String, Arc<Scenario>>>,
    attempts: Mutex<HashMap<String, u32>>,
    prepared: RwLock<HashMap<String, Arc<Plan>>>,
    serial: AtomicU64,
}

/// The endpoints, told apart by path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Messages,
    CountTokens,
}

/// All that a benchmark needs of a body.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<GlanceOptions>,
}

#[derive(Deserialize)]
struct GlanceOptions {
    #[serde(default)]
    include_usage: bool,
}

impl Endpoint {
    fn of(dialect: Dialect, path: &str) -> Option<Self> {
        match (dialect, path) {
            (Dialect::OpenAi, "/v1/chat/completions") => Some(Self::Chat),
            (Dialect::OpenAi, "/v1/completions") => Some(Self::Completions),
            (Dialect::OpenAi, "/v1/embeddings") => Some(Self::Embeddings),
            (Dialect::Anthropic, "/v1/messages") => Some(Self::Messages),
            (Dialect::Anthropic, "/v1/messages/count_tokens") => Some(Self::CountTokens),
            _ => None,
        }
    }
}

impl Scripts {
    pub(crate) fn new(dialect: Dialect, is_bench: bool) -> Self {
        Self {
            dialect,
            is_bench,
            registered: RwLock::default(),
            attempts: Mutex::default(),
            prepared: RwLock::default(),
            serial: AtomicU64::new(0),
        }
    }

    pub(crate) fn register(&self, scenario: Scenario) {
        self.registered
            .write()
            .insert(scenario.name.clone(), Arc::new(scenario));
    }

    pub(crate) fn registered_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.registered.read().keys().cloned().collect();
        names.sort();
        names
    }

    /// Every attempt counts as the first again.
    pub(crate) fn reset_attempts(&self) {
        self.attempts.lock().clear();
    }

    /// The plan for a request; fills in what the record should say about it.
    pub(crate) fn answer(&self, request: &Request, record: &mut Record) -> Arc<Plan> {
        if self.is_bench
            && let Some(plan) = self.glance(request)
        {
            return plan;
        }
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        let body = serde_json::from_slice(&request.body).unwrap_or(serde_json::Value::Null);
        record.model = body["model"].as_str().map(ToOwned::to_owned);
        record.stream = body["stream"].as_bool().unwrap_or(false);
        record.body = body;
        match self.script(request, record, serial) {
            Ok(plan) => plan,
            Err(refusal) => {
                record.refused = Some(refusal.message);
                Arc::new(
                    voice::json(self.dialect, refusal.status, refusal.body, serial, &[]).plan(&[]),
                )
            }
        }
    }

    /// A prepared answer, found without reading more of the body than three fields.
    fn glance(&self, request: &Request) -> Option<Arc<Plan>> {
        let glance: Glance<'_> = serde_json::from_slice(&request.body).ok()?;
        if !builtin::is_static(&glance.model) {
            return None;
        }
        let include_usage = glance
            .stream_options
            .is_some_and(|options| options.include_usage);
        let key = prepared_key(&request.path, &glance.model, glance.stream, include_usage);
        self.prepared.read().get(&key).cloned()
    }

    fn script(
        &self,
        request: &Request,
        record: &mut Record,
        serial: u64,
    ) -> Result<Arc<Plan>, Refusal> {
        voice::check_key(self.dialect, request, serial)?;
        if request.method == "GET" && request.path.starts_with("/v1/models") {
            return voice::models(self.dialect, request, &self.registered_names(), serial)
                .map(|answer| Arc::new(answer.plan(&[])));
        }
        let Some(endpoint) = Endpoint::of(self.dialect, &request.path) else {
            return Err(voice::refusal(
                self.dialect,
                404,
                format!("Invalid URL ({} {})", request.method, request.path),
                serial,
            ));
        };
        if request.method != "POST" {
            let message = format!(
                "Not allowed to {} on {} (HINT: Perhaps you meant to use a different HTTP method?)",
                request.method, request.path
            );
            return Err(voice::refusal(self.dialect, 405, message, serial));
        }
        let ask = self.check(endpoint, request, record, serial)?;
        let key = prepared_key(&request.path, &ask.model, ask.stream, ask.include_usage);
        if ask.n == 1
            && let Some(plan) = self.prepared.read().get(&key)
        {
            record.attempt = self.count_attempt(&ask.model);
            return Ok(Arc::clone(plan));
        }
        let Some(scenario) = self.find(&ask, endpoint) else {
            let message = match self.dialect {
                Dialect::OpenAi => format!(
                    "The model `{}` does not exist or you do not have access to it.",
                    ask.model
                ),
                Dialect::Anthropic => format!("model: {}", ask.model),
            };
            return Err(voice::refusal(self.dialect, 404, message, serial));
        };
        record.attempt = self.count_attempt(&ask.model);
        record.faults = scenario
            .faults
            .iter()
            .filter(|fault| fault.first_attempts.is_none_or(|n| record.attempt <= n))
            .map(|fault| fault.kind.clone())
            .collect();
        let plan = Arc::new(self.render(endpoint, &scenario, &ask, record, serial));
        if builtin::is_static(&ask.model) && ask.n == 1 {
            self.prepared.write().insert(key, Arc::clone(&plan));
        }
        Ok(plan)
    }

    fn check(
        &self,
        endpoint: Endpoint,
        request: &Request,
        record: &Record,
        serial: u64,
    ) -> Result<Ask, Refusal> {
        let is_json = request
            .header("content-type")
            .is_some_and(|value| value.starts_with("application/json"));
        if record.body.is_null() || !is_json {
            let message = match self.dialect {
                Dialect::OpenAi => {
                    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
                }
                Dialect::Anthropic => "The request body is not valid JSON",
            };
            return Err(voice::refusal(
                self.dialect,
                400,
                message.to_owned(),
                serial,
            ));
        }
        let body = &record.body;
        let messages = |refused: Box<anthropic::errors::Refused>| Refusal {
            status: refused.status,
            body: refused.body(&request_id(serial)),
            message: refused.message,
        };
        match endpoint {
            Endpoint::Chat => Ok(openai::check::chat(body)?),
            Endpoint::Completions => Ok(openai::check::completion(body)?),
            Endpoint::Embeddings => Ok(openai::check::embeddings(body)?),
            Endpoint::Messages | Endpoint::CountTokens => {
                let version = anthropic::check::version(request.header("anthropic-version"))
                    .map_err(messages)?;
                match endpoint {
                    Endpoint::CountTokens => anthropic::check::count_tokens(body, version),
                    _ => anthropic::check::create(body, version),
                }
                .map_err(messages)
            }
        }
    }

    fn find(&self, ask: &Ask, endpoint: Endpoint) -> Option<Arc<Scenario>> {
        if let Some(scenario) = self.registered.read().get(&ask.model) {
            return Some(Arc::clone(scenario));
        }
        let scenario = builtin::scenario(&ask.model, ask);
        // Any other name is an embedding model: only the fault scripts matter there.
        let embeds = endpoint == Endpoint::Embeddings && ask.model.starts_with("text-embedding-");
        scenario
            .or_else(|| embeds.then(Scenario::default))
            .map(Arc::new)
    }

    fn count_attempt(&self, model: &str) -> u32 {
        let mut attempts = self.attempts.lock();
        if let Some(count) = attempts.get_mut(model) {
            *count += 1;
            return *count;
        }
        attempts.insert(model.to_owned(), 1);
        1
    }

    fn render(
        &self,
        endpoint: Endpoint,
        scenario: &Scenario,
        ask: &Ask,
        record: &Record,
        serial: u64,
    ) -> Plan {
        let faults = &record.faults;
        for fault in faults {
            if let FaultKind::Status {
                status,
                detail,
                retry_after,
                retry_after_ms,
            } = fault
            {
                let body =
                    voice::scripted_error(self.dialect, *status, *detail, &ask.model, serial);
                let mut headers = Vec::new();
                headers.extend(
                    retry_after
                        .clone()
                        .map(|value| ("retry-after".to_owned(), value)),
                );
                headers
                    .extend(retry_after_ms.map(|ms| ("retry-after-ms".to_owned(), ms.to_string())));
                return voice::json(self.dialect, *status, body, serial, &headers).plan(faults);
            }
        }
        let input_only = |input| BilledUsage {
            input,
            ..BilledUsage::default()
        };
        let mut turn = resolve(scenario, faults, ask, serial);
        if self.dialect == Dialect::Anthropic && is_only_refusal(&turn) {
            turn.usage.output = 0;
        }
        let (frames, usage) = match endpoint {
            Endpoint::Chat => (openai::render::chat(&turn, ask), Some(turn.usage)),
            Endpoint::Completions => (openai::render::completion(&turn, ask), Some(turn.usage)),
            Endpoint::Messages => (
                anthropic::render::message(&turn, ask),
                // A refusal before any output is not billed.
                (!is_only_refusal(&turn)).then_some(turn.usage),
            ),
            Endpoint::Embeddings => {
                let (text, tokens) = openai::embeddings::render(&record.body);
                (
                    vec![Frame::new(Role::Content, text)],
                    Some(input_only(tokens)),
                )
            }
            Endpoint::CountTokens => (
                vec![Frame::new(
                    Role::Content,
                    anthropic::render::token_count(turn.usage.input),
                )],
                None,
            ),
        };
        let is_stream =
            ask.stream && !matches!(endpoint, Endpoint::Embeddings | Endpoint::CountTokens);
        let content_type = if is_stream {
            "text/event-stream; charset=utf-8"
        } else {
            "application/json"
        };
        Answer {
            content_type: content_type.to_owned(),
            frames,
            is_stream,
            usage,
            ..voice::json(self.dialect, 200, String::new(), serial, &[])
        }
        .plan(faults)
    }
}

fn is_only_refusal(turn: &Turn) -> bool {
    !turn.blocks.is_empty()
        && turn
            .blocks
            .iter()
            .all(|block| matches!(block, Block::Refusal { .. }))
}

fn prepared_key(path: &str, model: &str, stream: bool, include_usage: bool) -> String {
    format!(
        "{path} {model} {} {}",
        u8::from(stream),
        u8::from(include_usage)
    )
}
