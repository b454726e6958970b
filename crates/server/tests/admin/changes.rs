//! Rules that are made, removed and made again while a stream is open: they count it once.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::support::{Answer, Service};

/// A provider whose answers begin at once and end when they may. Each costs two dollars and a tenth of a cent.
struct Patient {
    base_url: String,
    may_end: Arc<Notify>,
}

const BEGIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\
    data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
    [{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"begun\"},\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
    [{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":\
    {\"prompt_tokens\":1000,\"completion_tokens\":200000,\"total_tokens\":201000}}\n\ndata: [DONE]\n\n";

impl Patient {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let may_end = Arc::new(Notify::new());
        let ends = may_end.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let ends = ends.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    assert!(stream.read(&mut request).await.unwrap() > 0);
                    stream.write_all(BEGIN.as_bytes()).await.unwrap();
                    ends.notified().await;
                    stream.write_all(END.as_bytes()).await.unwrap();
                });
            }
        });
        Self { base_url, may_end }
    }

    fn settings(&self) -> String {
        format!(
            "[providers.slow]\nkind = \"openai-compatible\"\nbase_url = \"{}\"\napi_key = \"test-canary-slow\"\n\
             [prices.\"slow/m\"]\ninput = 1\noutput = 10\n",
            self.base_url
        )
    }
}

/// A stream whose first words have come.
async fn begin(service: &Service) -> TcpStream {
    let mut stream = service.open(&ask(service).to_text()).await;
    let mut seen = String::new();
    while !seen.contains("begun") {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
    }
    stream
}

fn ask(service: &Service) -> crate::support::Ask {
    let body = json!({"model": "slow/m", "stream": true, "max_tokens": 200_000,
        "messages": [{"role": "user", "content": "hello"}]});
    let ask = service.ask("POST", "/v1/chat/completions").json(&body);
    ask.with_key(&service.model_key)
}

async fn call(service: &Service) -> Answer {
    service.raw(&ask(service).to_text()).await
}

/// The standings of the only budget, and what is used and held of the limits.
async fn standing(service: &Service) -> (String, String, Vec<(Value, Value)>) {
    let answer = service.get("/admin/v1/standings").await;
    let all = answer.json();
    let budget = &all["budgets"][0];
    let limits = all["limits"].as_array().unwrap().iter();
    (
        budget["posted_usd"].to_string(),
        budget["held_usd"].to_string(),
        limits
            .map(|limit| (limit["used"].clone(), limit["held"].clone()))
            .collect(),
    )
}

async fn make_budget(service: &Service) -> String {
    let scope = format!("key:{}", service.model_key_id);
    let budget = json!({"scope": scope, "period": "total", "limit_usd": 2});
    let made = service.post("/admin/v1/budgets", &budget).await;
    assert_eq!(made.status, 201, "{}", made.body);
    format!("/admin/v1/budgets/{}", made.json()["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_made_while_a_stream_is_open_counts_it_and_refuses_the_next_call() {
    let provider = Patient::start().await;
    let service = Service::start_with(&provider.settings());
    let mut stream = begin(&service).await;

    let budget = make_budget(&service).await;
    let scope = format!("key:{}", service.model_key_id);
    for measure in ["concurrent-requests", "tokens-per-day"] {
        let limit = json!({"scope": scope, "measure": measure, "most": 10_000_000});
        let path = "/admin/v1/limits";
        let made = service.post(path, &limit).await;
        assert!(made.status < 300, "{}", made.body);
    }
    let (posted, held, limits) = standing(&service).await;
    assert!(held.starts_with("2.0"), "{held}");
    assert_eq!(posted, "0.0");
    assert!(
        limits.iter().all(|(used, held)| *used == 0 && *held != 0),
        "{limits:?}"
    );
    assert_eq!(
        call(&service).await.outcome(),
        (429, "insufficient_quota".to_owned())
    );

    provider.may_end.notify_one();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("[DONE]"), "{rest}");
    let (posted, held, limits) = standing(&service).await;
    assert_eq!((posted.as_str(), held.as_str()), ("2.001", "0.0"));
    let mut used: Vec<_> = limits
        .iter()
        .map(|(used, _)| used.as_u64().unwrap())
        .collect();
    used.sort_unstable();
    assert_eq!(used, [0, 201_000]);
    assert!(limits.iter().all(|(_, held)| *held == 0), "{limits:?}");
    assert_eq!(
        call(&service).await.outcome(),
        (429, "insufficient_quota".to_owned())
    );

    // Without the budget there are other calls, and made again it counts them.
    service.change("DELETE", &budget, &Value::Null).await;
    let mut stream = begin(&service).await;
    make_budget(&service).await;
    assert_eq!(standing(&service).await.0, "2.001");
    provider.may_end.notify_one();
    stream.read_to_string(&mut rest).await.unwrap();
    let (posted, held, _) = standing(&service).await;
    assert_eq!((posted.as_str(), held.as_str()), ("4.002", "0.0"));
}
