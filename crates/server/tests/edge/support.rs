//! A running service, its scripted providers, and a client that writes raw bytes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tollgate_base::{Clock as _, Secret, SystemClock, UnixMillis};
use tollgate_catalog::price::PriceBook;
use tollgate_config::{Config, FileSource, Sources};
use tollgate_engine::Options;
use tollgate_gateway::{Books, LocalModels, ModelFile, Shared, Snapshot};
use tollgate_ledger::{Config as LedgerConfig, Ledger};
use tollgate_policy::{
    admission::Rules,
    key::{KeyRecord, KeyRing, Role, Token},
    ledger::{Attempt, AttemptFilter, AttemptQuery, LedgerStore as _},
};
use tollgate_server::{Running, Server};
use tollgate_testkit::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, Dialect, TestProvider};

use crate::kept::Kept;

/// No answer takes longer than this; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Service {
    pub(crate) running: Option<Running>,
    pub(crate) openai: TestProvider,
    pub(crate) anthropic: TestProvider,
    pub(crate) gemini: TestProvider,
    pub(crate) key: Secret,
    /// The key of another caller.
    pub(crate) other_key: Secret,
    pub(crate) admin_key: Secret,
    /// What the service's threads share.
    pub(crate) shared: Arc<Shared>,
    address: std::net::SocketAddr,
    /// The part of the configuration that names the scripted providers.
    providers: String,
    records: Vec<KeyRecord>,
    kept: Kept,
    data: tempfile::TempDir,
}

/// One answer, read to the end of its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts with more lines at the beginning of the configuration.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let openai = TestProvider::start(Dialect::OpenAi).await.unwrap();
        let anthropic = TestProvider::start(Dialect::Anthropic).await.unwrap();
        let gemini = TestProvider::start(Dialect::Gemini).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let providers = format!(
            "[providers.oai]\nkind = \"openai-compatible\"\nbase_url = \"{}\"\napi_key = \"test-canary-openai\"\n\
             [providers.ant]\nkind = \"anthropic\"\nbase_url = \"{}\"\napi_key = \"test-canary-anthropic\"\n",
            openai.base_url(),
            anthropic.base_url()
        ) + &format!(
            "[providers.full]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key = \"test-canary-openai\"\n\
             [providers.gem]\nkind = \"gemini-compatible\"\nbase_url = \"{}\"\napi_key = \"test-canary-gemini\"\n\
             [providers.rock]\nkind = \"bedrock\"\nregion = \"eu-central-1\"\nbase_url = \"{}\"\napi_key = \"test-canary-bedrock\"\n\
             [providers.signed]\nkind = \"bedrock\"\nregion = \"eu-central-1\"\nbase_url = \"{}\"\n\
             [providers.vert]\nkind = \"vertex\"\nproject = \"acme\"\nbase_url = \"{}\"\ncredentials_file = \"{}\"\n\
             [providers.azu]\nkind = \"azure\"\nresource = \"acme\"\nbase_url = \"{}\"\napi_key = \"test-canary-azure\"\n",
            openai.base_url(),
            gemini.base_url(),
            anthropic.base_url(),
            anthropic.base_url(),
            gemini.base_url(),
            credentials_file(data.path(), &gemini.base_url()).display(),
            openai.base_url().trim_end_matches("/v1"),
        );
        let kept = Kept::default();
        let (other_key, other) = key("key_other", Role::Model);
        let (key, caller) = key("key_caller", Role::Model);
        let (admin_key, admin) = key_pair_of_admin();
        let records = vec![caller, other, admin];
        let config = configuration(settings, &providers, data.path());
        let (shared, running) = serve(config, &records, &kept, data.path());
        Self {
            address: running.address(),
            running: Some(running),
            openai,
            anthropic,
            gemini,
            key,
            other_key,
            admin_key,
            shared,
            providers,
            records,
            kept,
            data,
        }
    }

    /// Stops, and serves the same data again with other lines at the beginning of the configuration.
    pub(crate) fn restarted_with(self, settings: &str) -> Self {
        let Self {
            running, shared, ..
        } = self;
        running.unwrap().stop();
        // The journal has one owner.
        shared.books.ledger.close().unwrap();
        drop(shared);
        let config = configuration(settings, &self.providers, self.data.path());
        let (shared, running) = serve(config, &self.records, &self.kept, self.data.path());
        Self {
            address: running.address(),
            running: Some(running),
            shared,
            ..self
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A request with this service's key and a JSON body.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: tollgate\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.key.expose(),
            body.len()
        )
    }

    /// Sends raw bytes on a connection of their own and reads one answer.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut stream).await
    }

    /// What is booked, in the order in which it came.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let ledger = &self.shared.books.ledger;
        ledger.flush().unwrap();
        let query = AttemptQuery {
            filter: AttemptFilter::default(),
            newest_first: false,
            after: None,
            limit: 10_000,
        };
        let listed = ledger.store().attempts(&query).unwrap();
        listed.into_iter().map(|listed| listed.attempt).collect()
    }

    /// Waits until the books hold attempts that fit.
    pub(crate) async fn wait_for_attempts(
        &self,
        fits: impl Fn(&[Attempt]) -> bool,
    ) -> Vec<Attempt> {
        let mut changes = self.kept.ledger.changes();
        let waiting = async {
            loop {
                let attempts = self.attempts();
                if fits(&attempts) {
                    return attempts;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("not booked: {:?}", self.attempts()))
    }

    /// Adds a key that may do what `scopes` say.
    pub(crate) fn add_key(&self, id: &str, change: impl FnOnce(&mut KeyRecord)) -> Secret {
        let (secret, mut record) = key(id, Role::Model);
        change(&mut record);
        let token = Token::parse(self.key.expose()).unwrap();
        let caller = KeyRecord::new("key_caller", "", &token, UnixMillis(0));
        self.shared
            .keys
            .store(Arc::new(KeyRing::new(vec![caller, record])));
        secret
    }

    pub(crate) async fn chat(&self, body: &str) -> Answer {
        self.raw(&self.post("/v1/chat/completions", body)).await
    }

    pub(crate) async fn messages(&self, body: &str) -> Answer {
        self.raw(&self.post("/v1/messages", body)).await
    }
}

/// The built-in model, a BERT of random weights, and the built-in model with a template that knows tools.
fn local_models(folder: &std::path::Path) -> LocalModels {
    let engine = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../engine"));
    let file = |name: &str, path| ModelFile {
        name: name.to_owned(),
        aliases: Vec::new(),
        path,
        digest: String::new(),
    };
    let files = vec![
        file(
            "bert-f32",
            engine.join("tests/vectors/embeddings/bert-f32.gguf"),
        ),
        file("tool-demo", with_tools(engine, folder)),
    ];
    let nothing = LocalModels::default();
    LocalModels::new(true, files, &Options::default(), &nothing)
}

/// The built-in model's file with another chat template of the same length.
fn with_tools(engine: &std::path::Path, folder: &std::path::Path) -> PathBuf {
    let mut bytes = std::fs::read(engine.join("models/tollgate-demo-q8_0.gguf")).unwrap();
    let key = b"tokenizer.chat_template";
    let at = bytes
        .windows(key.len())
        .position(|part| part == key)
        .unwrap()
        + key.len();
    // Type and length of the value stand before it.
    let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
    let place = at + 12..at + 12 + usize::try_from(length).unwrap();
    let template = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] or '') + '<|im_end|>\n' }}\
        {% endfor %}{{ '<|im_start|>assistant\n' }}{# <tool_call> #}";
    let padded = format!(
        "{template}{{#{:1$}#}}",
        "",
        place.len() - template.len() - 4
    );
    bytes[place].copy_from_slice(padded.as_bytes());
    let path = folder.join("tool-demo.gguf");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn configuration(settings: &str, providers: &str, data: &std::path::Path) -> Config {
    // The scripted models have no price but where a test gives them one.
    let book = if settings.contains("[ledger]") {
        ""
    } else {
        "[ledger]\nunknown_price = \"book\"\n"
    };
    let sources = Sources {
        file: FileSource::Text {
            name: PathBuf::from("tollgate.toml"),
            text: format!("{settings}\n{providers}{book}"),
        },
        environment: BTreeMap::from([
            ("AWS_ACCESS_KEY_ID".to_owned(), AWS_ACCESS_KEY_ID.to_owned()),
            (
                "AWS_SECRET_ACCESS_KEY".to_owned(),
                AWS_SECRET_ACCESS_KEY.to_owned(),
            ),
        ]),
        overrides: tollgate_config::Overrides {
            listen: Some("127.0.0.1:0".to_owned()),
            data_dir: Some(data.to_owned()),
        },
    };
    match Config::load(&sources) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

/// Serves what is kept.
fn serve(
    config: Config,
    records: &[KeyRecord],
    kept: &Kept,
    data: &std::path::Path,
) -> (Arc<Shared>, Running) {
    let ring = KeyRing::new(records.to_vec());
    let server = Server::bind(config.server.clone()).unwrap();
    let rules = Rules::new(config.limits.clone(), config.budgets.clone()).unwrap();
    let clock = Arc::new(SystemClock);
    let ledger = Ledger::open(LedgerConfig::new(data), kept.ledger.clone(), clock).unwrap();
    let books = Books::new(rules, ledger, None);
    let snapshot = Snapshot::new(config, PriceBook::builtin(), local_models(data)).unwrap();
    let shared = Shared::new(
        snapshot,
        ring,
        (kept.objects.clone(), books),
        Box::new(SystemClock),
    );
    let shared = Arc::new(shared);
    let rules = shared.books.rules.load_full();
    let restoration = shared.books.admission.begin(&rules, SystemClock.moment());
    let told = restoration.finish(|scope, borders| kept.ledger.figures(scope, borders));
    told.unwrap();
    let running = server.start(&shared).unwrap();
    (shared, running)
}

fn key(id: &str, role: Role) -> (Secret, KeyRecord) {
    let token = Token::generate(role).unwrap();
    let record = KeyRecord::new(id, id, &token, UnixMillis(0));
    (token.secret().clone(), record)
}

/// A user's credentials at Google, whose tokens the scripted provider gives out.
fn credentials_file(folder: &std::path::Path, token_host: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let file = folder.join("google.json");
    let text = format!(
        r#"{{"type":"authorized_user","client_id":"me","client_secret":"test-secret","refresh_token":"test-refresh","token_uri":"{token_host}/token"}}"#
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn key_pair_of_admin() -> (Secret, KeyRecord) {
    key("key_admin", Role::Admin)
}

/// A chat request for one user message.
pub(crate) fn chat_body(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}

/// A messages request for one user message.
pub(crate) fn messages_body(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":100,"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}

/// Reads one answer, head and body.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    tokio::time::timeout(PATIENCE, read_whole(stream))
        .await
        .expect("an answer in time")
}

/// Reads until `text` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..read]);
            let so_far = String::from_utf8_lossy(&seen).into_owned();
            if so_far.contains(text) {
                return so_far;
            }
            assert!(read > 0, "the connection ended before {text:?}: {so_far}");
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("no {text:?} in time"))
}

/// Reads to the end of the connection.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("an end in time")
        .unwrap();
    String::from_utf8_lossy(&rest).into_owned()
}

async fn read_whole(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut bytes).await;
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: String::new(),
    };
    let mut body = bytes.split_off(head_end);
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().unwrap();
        while body.len() < length {
            read_more(stream, &mut body).await;
        }
    } else {
        while !body.ends_with(b"0\r\n\r\n") {
            read_more(stream, &mut body).await;
        }
        body = unchunk(&body);
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    answer
}

async fn read_more(stream: &mut TcpStream, into: &mut Vec<u8>) {
    let mut buffer = [0; 8192];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(
        read > 0,
        "the connection ended early after {:?}",
        String::from_utf8_lossy(into)
    );
    into.extend_from_slice(&buffer[..read]);
}

fn unchunk(mut chunked: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let end = chunked
            .windows(2)
            .position(|window| window == b"\r\n")
            .unwrap();
        let size =
            usize::from_str_radix(std::str::from_utf8(&chunked[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&chunked[end + 2..end + 2 + size]);
        chunked = &chunked[end + 2 + size + 2..];
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// `error.code` of an OpenAI-shaped error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// `error.type` of either shape.
    pub(crate) fn error_type(&self) -> String {
        self.json()["error"]["type"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
