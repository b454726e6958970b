//! A running gateway with accounts and ledger in a folder, and a client that holds every answer against the
//! OpenAPI document.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tollgate_accounts::{Act, Actor, Administration, NewKey};
use tollgate_api::{ROUTES, openapi};
use tollgate_base::{Clock as _, Secret, SystemClock};
use tollgate_catalog::price::PriceBook;
use tollgate_config::{Config, FileSource, Sources};
use tollgate_gateway::{Books, LocalModels, Shared, Snapshot};
use tollgate_ledger::{Config as LedgerConfig, Ledger};
use tollgate_policy::{
    admission::{Rules, is_zone},
    key::{AdminRole, Role},
    ledger::LedgerStore,
};
use tollgate_server::{Admin, Running, Server};
use tollgate_store::{SqliteLedger, SqliteStore};

/// No answer takes longer than this; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

const SETTINGS: &str = "[ledger]\nunknown_price = \"book\"\n\
    [providers.openai]\nkind = \"openai\"\napi_key = \"test-canary-provider\"\n\
    [prices.\"openai/gold\"]\ninput = \"3\"\noutput = \"6\"\n";

pub(crate) struct Service {
    pub(crate) desk: Arc<Administration>,
    pub(crate) owner: Secret,
    pub(crate) manager: Secret,
    pub(crate) viewer: Secret,
    /// The ids of the three.
    pub(crate) admin_ids: BTreeMap<&'static str, String>,
    pub(crate) model_key: Secret,
    pub(crate) model_key_id: String,
    validators: BTreeMap<String, jsonschema::Validator>,
    address: std::net::SocketAddr,
    _running: Running,
    _data: tempfile::TempDir,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: String,
    body: String,
    key: String,
}

impl Service {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self::start_in(data)
    }

    pub(crate) fn start_in(data: tempfile::TempDir) -> Self {
        Self::start_from(data, "")
    }

    /// Starts with more lines at the end of the configuration.
    pub(crate) fn start_with(settings: &str) -> Self {
        Self::start_from(tempfile::tempdir().unwrap(), settings)
    }

    fn start_from(data: tempfile::TempDir, settings: &str) -> Self {
        let sources = Sources {
            file: FileSource::Text {
                name: PathBuf::from("tollgate.toml"),
                text: format!("{SETTINGS}{settings}"),
            },
            environment: BTreeMap::new(),
            overrides: tollgate_config::Overrides {
                listen: Some("127.0.0.1:0".to_owned()),
                data_dir: Some(data.path().to_owned()),
            },
        };
        let config = match Config::load(&sources) {
            Ok(loaded) => loaded.config,
            Err(mistakes) => panic!("{mistakes:?}"),
        };
        let store = Arc::new(SqliteStore::open(data.path()).unwrap());
        let desk = Arc::new(Administration::new(store.clone(), is_zone));
        let admin = |role| mint(&desk, Role::Admin, Some(role));
        let (owner_id, owner) = admin(AdminRole::Owner);
        let (manager_id, manager) = admin(AdminRole::Manager);
        let (viewer_id, viewer) = admin(AdminRole::Viewer);
        let (model_key_id, model_key) = mint(&desk, Role::Model, None);
        let server = Server::bind(config.server.clone()).unwrap();
        let ledger: Arc<dyn LedgerStore> = Arc::new(SqliteLedger::open(data.path()).unwrap());
        let ledger = Ledger::open(
            LedgerConfig::new(data.path()),
            ledger,
            Arc::new(SystemClock),
        );
        let books = Books::new(rules(&desk), ledger.unwrap(), None);
        let snapshot =
            Snapshot::new(config, PriceBook::builtin(), LocalModels::built_in()).unwrap();
        let keys = desk.snapshot().unwrap().keys;
        let shared = Arc::new(Shared::new(
            snapshot,
            keys,
            (store, books),
            Box::new(SystemClock),
        ));
        enforce(&shared, rules(&desk));
        let on_change = {
            let (desk, shared) = (desk.clone(), shared.clone());
            move || {
                shared.keys.store(Arc::new(desk.snapshot().unwrap().keys));
                enforce(&shared, rules(&desk));
            }
        };
        let admin = Admin::new(desk.clone(), Arc::new(on_change));
        let running = server.with_admin(admin).start(&shared).unwrap();
        Self {
            address: running.address(),
            admin_ids: BTreeMap::from([
                ("owner", owner_id),
                ("manager", manager_id),
                ("viewer", viewer_id),
            ]),
            desk,
            owner,
            manager,
            viewer,
            model_key,
            model_key_id,
            validators: validators(),
            _running: running,
            _data: data,
        }
    }

    /// The key of a role.
    pub(crate) fn key_of(&self, role: AdminRole) -> &Secret {
        match role {
            AdminRole::Owner => &self.owner,
            AdminRole::Manager => &self.manager,
            AdminRole::Viewer => &self.viewer,
        }
    }

    pub(crate) fn ask(&self, method: &'static str, path: &str) -> Ask {
        Ask {
            method,
            path: path.to_owned(),
            headers: String::new(),
            body: String::new(),
            key: self.owner.expose().to_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&self.ask("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&self.ask("POST", path).json(body)).await
    }

    /// A change of an object as it is now.
    pub(crate) async fn change(&self, method: &'static str, path: &str, body: &Value) -> Answer {
        let tag = self.get(path).await.header("etag").unwrap().to_owned();
        let mut ask = self.ask(method, path).header("If-Match", &tag);
        if !body.is_null() {
            ask = ask.json(body);
        }
        self.send(&ask).await
    }

    pub(crate) async fn send(&self, ask: &Ask) -> Answer {
        let answer = self.raw(&ask.to_text()).await;
        self.hold_against_document(ask, &answer);
        answer
    }

    /// Sends a request whose answer is read bit by bit.
    pub(crate) async fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            read_answer(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an answer in time")
    }

    /// A call of the built-in model with a key: its status and its error's code.
    pub(crate) async fn call(&self, key: &str) -> (u16, String) {
        let ask = Ask {
            key: key.to_owned(),
            ..self.ask("GET", "/v1/models")
        };
        let answer = self.raw(&ask.to_text()).await;
        (answer.status, answer.code())
    }

    /// Every answer has the shape that the document says, errors too.
    fn hold_against_document(&self, ask: &Ask, answer: &Answer) {
        let path = ask.path.split('?').next().unwrap();
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert!(
            answer.header("access-control-allow-origin").is_none(),
            "{path}"
        );
        let is_json = answer
            .header("content-type")
            .is_some_and(|media| media.starts_with("application/json"));
        if !is_json {
            return;
        }
        let route = ROUTES
            .iter()
            .find(|route| route.method == ask.method && route.matches(path).is_some());
        let name = match route {
            Some(route) if answer.status < 300 => format!("{} {}", route.method, route.path),
            _ => "error".to_owned(),
        };
        let Some(validator) = self.validators.get(&name) else {
            return;
        };
        let body = answer.json();
        let faults: Vec<_> = validator
            .iter_errors(&body)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {body}");
    }
}

impl Ask {
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.headers.push_str("Content-Type: application/json\r\n");
        self.body = body.to_string();
        self
    }

    pub(crate) fn text(mut self, body: &str) -> Self {
        self.headers.push_str("Content-Type: application/json\r\n");
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let line = format!("{name}: {value}\r\n");
        self.headers.push_str(&line);
        self
    }

    pub(crate) fn with_key(mut self, key: &Secret) -> Self {
        key.expose().clone_into(&mut self.key);
        self
    }

    pub(crate) fn to_text(&self) -> String {
        let Self {
            method,
            path,
            headers,
            body,
            key,
        } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {key}\r\n{headers}Connection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// `error.code`; empty where there is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Status and code.
    pub(crate) fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

fn mint(desk: &Administration, role: Role, admin_role: Option<AdminRole>) -> (String, Secret) {
    let actor = Actor::local("test");
    let new = NewKey {
        admin_role,
        ..NewKey::named("a key of the test", role)
    };
    let minted = desk.create_key(&Act::new(&actor, SystemClock.now()), &new);
    let minted = minted.unwrap();
    (minted.key.value.id, minted.token)
}

fn rules(desk: &Administration) -> Rules {
    let snapshot = desk.snapshot().unwrap();
    Rules::new(snapshot.limits, snapshot.budgets).unwrap()
}

/// Puts the rules into force, as the service does.
fn enforce(shared: &Shared, rules: Rules) {
    let (books, rules) = (&shared.books, Arc::new(rules));
    let new = books.admission.begin(&rules, SystemClock.moment());
    books.ledger.flush().unwrap();
    let store = books.ledger.store();
    new.finish(|scope, borders| store.figures(scope, borders))
        .unwrap();
    books.rules.store(rules);
}

/// The schema of each route's answer, and of errors.
fn validators() -> BTreeMap<String, jsonschema::Validator> {
    let document = openapi();
    let compile = |schema: &Value| {
        let whole = json!({"allOf": [schema], "components": document["components"]});
        jsonschema::validator_for(&whole).unwrap()
    };
    let mut validators = BTreeMap::new();
    for route in ROUTES {
        let responses = &document["paths"][route.path][route.method.to_lowercase()]["responses"];
        let good = ["200", "201"]
            .into_iter()
            .find_map(|status| responses.get(status));
        if let Some(good) = good {
            let schema = &good["content"]["application/json"]["schema"];
            validators.insert(format!("{} {}", route.method, route.path), compile(schema));
        }
    }
    let error = json!({"$ref": "#/components/schemas/Error"});
    validators.insert("error".to_owned(), compile(&error));
    validators
}

/// Reads to the end of the connection.
async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}
