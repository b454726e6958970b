//! From a request to a plan: credentials, route, check, script, faults, rendering, in this order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use serde_json::Value;

use crate::ask::Ask;
use crate::dialect::Dialect;
use crate::http::Request;
use crate::operations::form::{self, Form};
use crate::operations::{self, Operation, mistral};
use crate::record::Record;
use crate::route::{Endpoint, Host, Route, Shape};
use crate::scenario::{BilledUsage, Block, Scenario};
use crate::shelf::Shelf;
use crate::turn::{Frame, Role, Turn, resolve};
use crate::voice::{self, Refusal, Vendor};
use crate::wire::{Answer, Plan};
use crate::{anthropic, builtin, gemini, openai, responses, tokens};

/// Scripts, counters and prepared answers of one provider.
#[derive(Debug)]
pub(crate) struct Scripts {
    dialect: Dialect,
    /// Skip everything that a benchmark peer need not do: checks of the body, records.
    is_bench: bool,
    registered: RwLock<HashMap<String, Arc<Scenario>>>,
    attempts: Mutex<HashMap<String, u32>>,
    prepared: RwLock<HashMap<String, Arc<Plan>>>,
    shelf: Shelf,
    serial: AtomicU64,
}

/// An accepted request: what a script may depend on, and what only some endpoints need.
struct Asked {
    ask: Ask,
    /// Responses: the items that this one continues.
    earlier: Vec<Value>,
    /// Gemini's embeddings: texts and the wanted lengths of their vectors.
    inputs: Vec<(String, u64)>,
}

impl From<Ask> for Asked {
    fn from(ask: Ask) -> Self {
        Self {
            ask,
            earlier: Vec::new(),
            inputs: Vec::new(),
        }
    }
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

impl Scripts {
    pub(crate) fn new(dialect: Dialect, is_bench: bool) -> Self {
        Self {
            dialect,
            is_bench,
            registered: RwLock::default(),
            attempts: Mutex::default(),
            prepared: RwLock::default(),
            shelf: Shelf::default(),
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

    /// Every attempt counts as the first again, and nothing is kept from before.
    pub(crate) fn reset(&self) {
        self.attempts.lock().clear();
        self.shelf.clear();
    }

    /// The plan for a request; fills in what the record should say about it.
    pub(crate) fn answer(&self, request: &Request, record: &mut Record) -> Arc<Plan> {
        if self.is_bench
            && let Some(plan) = self.glance(request)
        {
            return plan;
        }
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(answer) = tokens::answer(request, record, serial) {
            return Arc::new(answer.plan(&[]));
        }
        let route = Route::of(self.dialect, &request.path, &request.query);
        let form = form::parse(request);
        let body = match &form {
            Some(form) => form.fields.clone(),
            None => serde_json::from_slice(&request.body).unwrap_or(Value::Null),
        };
        record.files = form.iter().flat_map(Form::uploaded).collect();
        record.model = body["model"].as_str().map(ToOwned::to_owned);
        record.stream = body["stream"].as_bool().unwrap_or(false);
        record.body = body;
        let vendor = match &route {
            Some(route) => {
                record.dialect = route.dialect;
                record.stream = route.stream.unwrap_or(record.stream);
                if route.endpoint.runs_model() {
                    record.model = route.name.clone().or(record.model.take());
                }
                Vendor::from(route)
            }
            None => Vendor {
                dialect: self.dialect,
                host: Host::Own,
            },
        };
        match self.script(request, route.as_ref(), form.as_ref(), record, serial) {
            Ok(plan) => plan,
            Err(refusal) => {
                record.refused = Some(refusal.message);
                let headers = &refusal.headers;
                Arc::new(
                    voice::json(vendor, refusal.status, refusal.body, serial, headers).plan(&[]),
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
        let key = prepared_key(request, &glance.model, glance.stream, include_usage);
        self.prepared.read().get(&key).cloned()
    }

    fn script(
        &self,
        request: &Request,
        route: Option<&Route>,
        form: Option<&Form<'_>>,
        record: &mut Record,
        serial: u64,
    ) -> Result<Arc<Plan>, Refusal> {
        let own = Vendor {
            dialect: self.dialect,
            host: Host::Own,
        };
        let vendor = route.map_or(own, Vendor::from);
        voice::check_key(vendor, request, serial)?;
        let Some(route) = route else {
            let message = format!("Invalid URL ({} {})", request.method, request.path);
            return Err(voice::refusal(vendor, 404, message, serial));
        };
        let is_get = request.method == "GET";
        match route.endpoint {
            Endpoint::Models if is_get => {
                let mut further = self.registered_names();
                further.extend(self.shelf.jobs.models());
                return voice::models(route, request, &further, serial)
                    .map(|answer| Arc::new(answer.plan(&[])));
            }
            Endpoint::Operation(operation) if request.method == "POST" => {
                return self.operate(operation, route, form, record, serial);
            }
            Endpoint::Operation(_) => {}
            _ if request.method == "POST" && route.endpoint.runs_model() => {}
            _ => {
                let kept = self
                    .shelf
                    .answer(route, request, &record.body, form, serial)?;
                if let Some(kept) = kept {
                    let headers = voice::json(vendor, 200, String::new(), serial, &[]).headers;
                    return Ok(Arc::new(Answer { headers, ..kept }.plan(&[])));
                }
            }
        }
        if request.method != "POST" || !route.endpoint.runs_model() {
            let message = format!(
                "Not allowed to {} on {} (HINT: Perhaps you meant to use a different HTTP method?)",
                request.method, request.path
            );
            return Err(voice::refusal(vendor, 405, message, serial));
        }
        let asked = self.check(route, request, record, serial)?;
        let ask = &asked.ask;
        let key = prepared_key(request, &ask.model, ask.stream, ask.include_usage);
        if ask.n == 1
            && let Some(plan) = self.prepared.read().get(&key)
        {
            record.attempt = self.count_attempt(&ask.model);
            return Ok(Arc::clone(plan));
        }
        let Some(scenario) = self.find(ask, route.endpoint) else {
            let message = voice::unknown_model(vendor, &ask.model);
            return Err(voice::refusal(vendor, 404, message, serial));
        };
        record.attempt = self.count_attempt(&ask.model);
        record.faults = scenario.faults_of(record.attempt);
        let plan = Arc::new(self.render(route, &scenario, &asked, record, serial));
        // A response echoes its request: nothing of it can be prepared.
        if builtin::is_static(&ask.model) && ask.n == 1 && route.shape != Shape::Responses {
            self.prepared.write().insert(key, Arc::clone(&plan));
        }
        Ok(plan)
    }

    /// Runs an operation beside text generation, with the faults of the script that its model names.
    fn operate(
        &self,
        operation: Operation,
        route: &Route,
        form: Option<&Form<'_>>,
        record: &mut Record,
        serial: u64,
    ) -> Result<Arc<Plan>, Refusal> {
        let vendor = Vendor::from(route);
        let refused = |refused: Box<openai::errors::Refused>| {
            if !operation.is_cohere() {
                return Refusal::from(refused);
            }
            let body = operations::cohere_refusal(&refused, serial);
            Refusal::new(refused.status, refused.message, body)
        };
        // On Azure the deployment stands in the path; the operation still wants its field.
        let mut body = record.body.clone();
        if let (Some(deployment), Some(fields)) = (&route.name, body.as_object_mut()) {
            fields.insert("model".to_owned(), deployment.as_str().into());
        }
        let model = operations::model(operation, &body).map_err(refused)?;
        let said = operations::run(operation, &body, form, &model, serial).map_err(refused)?;
        let ask = Ask {
            model: model.clone(),
            ..Ask::default()
        };
        record.model = Some(model);
        record.stream = said.is_stream;
        record.attempt = self.count_attempt(&ask.model);
        record.faults = self
            .find(&ask, route.endpoint)
            .map(|script| script.faults_of(record.attempt))
            .unwrap_or_default();
        let error = record
            .faults
            .iter()
            .find_map(|fault| voice::scripted_error(vendor, fault, &ask.model, serial));
        let answer = error.unwrap_or_else(|| Answer {
            content_type: said.content_type.to_owned(),
            frames: said.frames,
            is_stream: said.is_stream,
            usage: Some(BilledUsage {
                input: said.input,
                output: said.output,
                ..BilledUsage::default()
            }),
            ..voice::json(vendor, 200, String::new(), serial, &[])
        });
        Ok(Arc::new(answer.plan(&record.faults)))
    }

    fn check(
        &self,
        route: &Route,
        request: &Request,
        record: &Record,
        serial: u64,
    ) -> Result<Asked, Refusal> {
        let is_json = request
            .header("content-type")
            .is_some_and(|value| value.starts_with("application/json"));
        if record.body.is_null() || !is_json {
            let message = match route.dialect {
                Dialect::OpenAi => {
                    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
                }
                Dialect::Anthropic => "The request body is not valid JSON",
                Dialect::Gemini => "Invalid JSON payload received.",
            };
            let vendor = Vendor::from(route);
            return Err(voice::refusal(vendor, 400, message.to_owned(), serial));
        }
        match route.dialect {
            Dialect::OpenAi => self.check_openai(route, &record.body),
            Dialect::Anthropic => check_anthropic(route, request, &record.body, serial),
            Dialect::Gemini => check_gemini(route, &record.body),
        }
    }

    fn check_openai(&self, route: &Route, body: &Value) -> Result<Asked, Refusal> {
        // On Azure the deployment in the path decides, whatever the body says.
        let body = match (&route.name, body.as_object()) {
            (Some(name), Some(fields)) => {
                let mut fields = fields.clone();
                fields.insert("model".to_owned(), name.as_str().into());
                &Value::Object(fields)
            }
            _ => body,
        };
        match route.endpoint {
            Endpoint::Completions => Ok(openai::check::completion(body)?.into()),
            Endpoint::Embeddings
                if mistral::is_mistral(body["model"].as_str().unwrap_or_default()) =>
            {
                if let Some((message, body)) = mistral::foreign_field(body) {
                    return Err(Refusal::new(422, message, body));
                }
                Ok(openai::check::embeddings(&mistral::as_openai(body))?.into())
            }
            Endpoint::Embeddings => Ok(openai::check::embeddings(body)?.into()),
            Endpoint::Responses | Endpoint::ResponseTokens => {
                let earlier = self
                    .shelf
                    .responses
                    .earlier(&body["previous_response_id"])?;
                let ask = match route.endpoint {
                    Endpoint::Responses => responses::check::create(body, &earlier)?,
                    _ => responses::check::count_tokens(body, &earlier)?,
                };
                Ok(Asked {
                    earlier,
                    ..ask.into()
                })
            }
            _ => Ok(openai::check::chat(body)?.into()),
        }
    }

    /// The script of a model: registered or built in, under its name or under what follows Bedrock's vendor.
    fn find(&self, ask: &Ask, endpoint: Endpoint) -> Option<Arc<Scenario>> {
        let short = ask.model.rsplit_once("anthropic.").map(|(_, name)| name);
        let base = self.shelf.jobs.base_of(&ask.model);
        let names = [Some(ask.model.as_str()), short, base.as_deref()];
        for name in names.into_iter().flatten() {
            if let Some(scenario) = self.registered.read().get(name) {
                return Some(Arc::clone(scenario));
            }
            if let Some(scenario) = builtin::scenario(name, ask) {
                return Some(Arc::new(scenario));
            }
        }
        // Any other name is an embedding model: only the fault scripts matter there.
        let embeds = endpoint.embeds()
            && [
                "text-embedding-",
                "gemini-embedding-",
                "embedding-",
                "embed-",
                "mistral-embed",
                "codestral-embed",
            ]
            .iter()
            .any(|prefix| ask.model.starts_with(prefix));
        embeds.then(|| Arc::new(Scenario::default()))
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
        route: &Route,
        scenario: &Scenario,
        asked: &Asked,
        record: &Record,
        serial: u64,
    ) -> Plan {
        let (faults, ask, vendor) = (&record.faults, &asked.ask, Vendor::from(route));
        let error = faults
            .iter()
            .find_map(|fault| voice::scripted_error(vendor, fault, &ask.model, serial));
        if let Some(error) = error {
            return error.plan(faults);
        }
        let mut turn = resolve(scenario, faults, ask, serial);
        let is_refused = is_only_refusal(&turn) && route.dialect != Dialect::OpenAi;
        if is_refused {
            turn.usage.output = 0;
        }
        let (frames, usage) = self.frames(route, &turn, asked, record);
        // What Anthropic refuses before any output is not billed; Google bills the prompt.
        let usage = usage.filter(|_| !is_refused || route.dialect == Dialect::Gemini);
        let is_stream = ask.stream && route.endpoint.streams();
        let content_type = match route.shape {
            Shape::Bedrock => "application/vnd.amazon.eventstream",
            Shape::GeminiArray => "application/json; charset=UTF-8",
            _ if is_stream => "text/event-stream; charset=utf-8",
            _ => "application/json",
        };
        Answer {
            shape: route.shape,
            content_type: content_type.to_owned(),
            frames,
            is_stream,
            usage,
            ..voice::json(vendor, 200, String::new(), serial, &[])
        }
        .plan(faults)
    }

    /// The frames of an answer, and what it costs when all of it is produced.
    fn frames(
        &self,
        route: &Route,
        turn: &Turn,
        asked: &Asked,
        record: &Record,
    ) -> (Vec<Frame>, Option<BilledUsage>) {
        let ask = &asked.ask;
        let whole = |text: String| vec![Frame::new(Role::Content, text)];
        let input_only = |(text, input): (String, u64)| {
            let usage = BilledUsage {
                input,
                ..BilledUsage::default()
            };
            (whole(text), Some(usage))
        };
        let billed = Some(turn.usage);
        match route.endpoint {
            Endpoint::Completions => (openai::render::completion(turn, ask), billed),
            Endpoint::Messages => (anthropic::render::message(turn, ask, route.host), billed),
            Endpoint::Generate => {
                let is_array = route.shape == Shape::GeminiArray;
                (gemini::render::generate(turn, ask, is_array), billed)
            }
            Endpoint::Responses => (self.respond(turn, asked, record), billed),
            Endpoint::Embeddings => input_only(openai::embeddings::render(
                &mistral::as_openai(&record.body),
                &ask.model,
            )),
            Endpoint::Embed => input_only(gemini::embeddings::render(&asked.inputs, false)),
            Endpoint::BatchEmbed => input_only(gemini::embeddings::render(&asked.inputs, true)),
            Endpoint::CountTokens => (
                whole(anthropic::render::token_count(turn.usage.input)),
                None,
            ),
            Endpoint::GeminiCount => (whole(gemini::render::token_count(turn.usage.input)), None),
            Endpoint::ResponseTokens => (
                whole(responses::render::token_count(turn.usage.input)),
                None,
            ),
            Endpoint::Chat
            | Endpoint::StoredResponse
            | Endpoint::Models
            | Endpoint::Files
            | Endpoint::Jobs
            | Endpoint::Operation(_) => (openai::render::chat(turn, ask, route.host), billed),
        }
    }

    /// Renders a response and keeps it, unless told not to.
    fn respond(&self, turn: &Turn, asked: &Asked, record: &Record) -> Vec<Frame> {
        let body = &record.body;
        let rendered = responses::render::response(turn, &asked.ask, body);
        if body["store"] != false {
            self.shelf
                .responses
                .keep(&rendered.id, &rendered.object, body, &asked.earlier);
        }
        if body["background"] == true && !asked.ask.stream {
            let queued = responses::render::queued(turn, &asked.ask, body);
            return vec![Frame {
                output: turn.usage.output,
                reasoning: turn.usage.reasoning,
                ..Frame::new(Role::Content, queued)
            }];
        }
        let mut frames = rendered.frames;
        if body["background"] == true {
            // It goes on when nobody listens, and all of it is billed.
            for frame in &mut frames {
                (frame.output, frame.reasoning) = (0, 0);
            }
            if let Some(first) = frames.first_mut() {
                (first.output, first.reasoning) = (turn.usage.output, turn.usage.reasoning);
            }
        }
        frames
    }
}

fn check_anthropic(
    route: &Route,
    request: &Request,
    body: &Value,
    serial: u64,
) -> Result<Asked, Refusal> {
    let said = |refused: Box<anthropic::errors::Refused>| {
        voice::refusal(Vendor::from(route), refused.status, refused.message, serial)
    };
    let counts = route.endpoint == Endpoint::CountTokens;
    let (body, version) = match (route.host, counts) {
        (Host::Own, _) => {
            let version = anthropic::check::version(request.header("anthropic-version"));
            (body.clone(), version.map_err(said)?)
        }
        (_, true) => {
            let body = anthropic::cloud::count_body(body).map_err(said)?;
            (body, anthropic::check::Version::V2023)
        }
        (host, false) => {
            let model = route.name.as_deref().unwrap_or_default();
            let stream = route.stream.unwrap_or_default();
            let body = anthropic::cloud::body(body, host, model, stream).map_err(said)?;
            (body, anthropic::check::Version::V2023)
        }
    };
    let ask = if counts {
        anthropic::check::count_tokens(&body, version)
    } else {
        anthropic::check::create(&body, version)
    };
    ask.map(Asked::from).map_err(said)
}

fn check_gemini(route: &Route, body: &Value) -> Result<Asked, Refusal> {
    let called = gemini::check::Called {
        model: route.name.as_deref().unwrap_or_default(),
        stream: route.stream.unwrap_or_default(),
        is_vertex: route.host == Host::Vertex,
    };
    let (ask, inputs) = match route.endpoint {
        Endpoint::GeminiCount => (gemini::check::count_tokens(body, called)?, Vec::new()),
        Endpoint::Embed => gemini::check::embed(body, called)?,
        Endpoint::BatchEmbed => gemini::check::batch_embed(body, called)?,
        _ => (gemini::check::generate(body, called)?, Vec::new()),
    };
    Ok(Asked {
        inputs,
        ..ask.into()
    })
}

fn is_only_refusal(turn: &Turn) -> bool {
    !turn.blocks.is_empty()
        && turn
            .blocks
            .iter()
            .all(|block| matches!(block, Block::Refusal { .. }))
}

fn prepared_key(request: &Request, model: &str, stream: bool, include_usage: bool) -> String {
    format!(
        "{}?{} {model} {} {}",
        request.path,
        request.query,
        u8::from(stream),
        u8::from(include_usage)
    )
}
