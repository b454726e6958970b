//! Limits and budgets between callers and providers.

use tokio::{io::AsyncWriteExt as _, task::JoinSet};
use tollgate_base::Money;

use crate::support::{Answer, Service, chat_body, messages_body, read_answer};

/// A hundred tokens of output cost one cent; a nano-dollar more is held for what goes in.
const CENT: &str = "[prices.\"oai/*\"]\ninput = 0.000000001\noutput = 100\n";

fn hundred_tokens(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":100,"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}

#[tokio::test]
async fn b1_a_dollar_admits_exactly_a_hundred_calls_of_a_cent_however_many_come_at_once() {
    let settings = format!("{CENT}[budgets.wall]\nscope = \"gateway\"\nlimit = 1.000001\n");
    let service = Service::start_with(&settings).await;
    let request = service.post(
        "/v1/chat/completions",
        &hundred_tokens("oai/hang-before-head"),
    );
    let mut calls = JoinSet::new();
    for _ in 0..300 {
        let mut stream = service.connect().await;
        let request = request.clone();
        calls.spawn(async move {
            stream.write_all(request.as_bytes()).await.unwrap();
            read_answer(&mut stream).await
        });
    }
    // Those that are refused answer; those that are admitted hang at their provider.
    for _ in 0..200 {
        let answer = calls.join_next().await.unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "insufficient_quota"),
            "{answer:?}"
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(answer.header("retry-after"), None);
    }
    service
        .openai
        .wait_for_record(|record| record.id == 100)
        .await;
    assert_eq!(service.openai.records().len(), 100);
    calls.abort_all();
}

#[tokio::test]
async fn b2_a_refusal_says_whose_budget_how_much_of_it_and_what_was_needed() {
    let settings = format!(
        "{CENT}[budgets.small]\nscope = \"key:key_caller\"\nlimit = 0.0001\n[routes.r]\ntargets = [\"oai/text\"]\nnear_budget = \"refuse\"\n"
    );
    let service = Service::start_with(&settings).await;
    let answer = service.chat(&hundred_tokens("r")).await;
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(answer.code(), "insufficient_quota");
    for part in ["key:key_caller", "$0.0001", "$0.01"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(service.openai.records().is_empty());
    // The other key has no such budget.
    let request = service.post("/v1/chat/completions", &hundred_tokens("oai/text"));
    let other = request.replace(service.key.expose(), service.other_key.expose());
    assert_eq!(service.raw(&other).await.status, 200);
}

#[tokio::test]
async fn near_the_wall_an_answer_is_cut_to_what_is_left_and_the_provider_is_told() {
    let settings = format!("{CENT}[budgets.small]\nscope = \"gateway\"\nlimit = 0.005\n");
    let service = Service::start_with(&settings).await;
    for (path, body) in [
        ("/v1/chat/completions", hundred_tokens("oai/text")),
        ("/v1/messages", messages_body("oai/text", true)),
    ] {
        let answer = service.raw(&service.post(path, &body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let sent = service.openai.records().pop().unwrap().body;
        let most = sent["max_tokens"]
            .as_u64()
            .or(sent["max_completion_tokens"].as_u64());
        assert!(most.is_some_and(|most| (16..50).contains(&most)), "{sent}");
    }
    let spent: Money = service
        .attempts()
        .iter()
        .filter_map(|attempt| attempt.settlement.as_ref()?.cost.known())
        .sum();
    assert!(spent <= Money::parse("0.005").unwrap());
}

#[tokio::test]
async fn a_call_that_names_no_maximum_is_sent_with_the_one_that_was_held() {
    let settings = "[prices.\"oai/*\"]\ninput = 1\noutput = 1\n[budgets.b]\nscope = \"gateway\"\nlimit = 100\n[ledger]\nmax_output_tokens = 777\n";
    let service = Service::start_with(settings).await;
    service.chat(&chat_body("oai/text", false)).await;
    let sent = service.openai.records().pop().unwrap().body;
    let most = sent["max_tokens"]
        .as_u64()
        .or(sent["max_completion_tokens"].as_u64());
    assert_eq!(most, Some(777), "{sent}");
    // Without a budget the bytes stay as they came.
    let free = Service::start().await;
    free.chat(&chat_body("oai/text", false)).await;
    let sent = free.openai.records().pop().unwrap().body;
    assert!(
        sent["max_tokens"].is_null() && sent["max_completion_tokens"].is_null(),
        "{sent}"
    );
}

#[tokio::test]
async fn near_the_wall_a_route_may_go_to_its_cheaper_target() {
    let settings = "[prices.\"oai/*\"]\ninput = 1\noutput = 100\n[prices.\"ant/*\"]\ninput = 1\noutput = 1\n\
                    [budgets.b]\nscope = \"gateway\"\nlimit = 0.005\n\
                    [routes.r]\ntargets = [\"oai/text\", \"ant/text\"]\nnear_budget = \"cheaper\"\n";
    let service = Service::start_with(settings).await;
    let answer = service.chat(&hundred_tokens("r")).await;
    assert_eq!(
        answer.header("x-tollgate-target"),
        Some("ant/text"),
        "{answer:?}"
    );
    assert!(service.openai.records().is_empty());
}

#[tokio::test]
async fn b4_requests_are_limited_and_told_how_long_to_wait_in_each_dialect() {
    let settings =
        "[limits.slow]\nscope = \"key:key_caller\"\nmeasure = \"requests-per-minute\"\nmost = 2\n";
    let service = Service::start_with(settings).await;
    let first = service.chat(&chat_body("oai/text", false)).await;
    assert_eq!(
        first.header("x-ratelimit-limit-requests"),
        Some("2"),
        "{first:?}"
    );
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    let second = service.messages(&messages_body("ant/text", false)).await;
    assert_eq!(
        second.header("anthropic-ratelimit-requests-limit"),
        Some("2"),
        "{second:?}"
    );
    let third = service.chat(&chat_body("oai/text", true)).await;
    assert_eq!(
        (third.status, third.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    let wait: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(
        service.openai.records().len() + service.anthropic.records().len(),
        2
    );
    let fourth = service.messages(&messages_body("ant/text", false)).await;
    assert_eq!(
        (fourth.status, fourth.error_type().as_str()),
        (429, "rate_limit_error")
    );
    // What is no call counts as a request, too.
    let list = service
        .raw(&format!(
            "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            service.key.expose()
        ))
        .await;
    assert_eq!(list.status, 429);
}

#[tokio::test]
async fn b5_tokens_are_limited_and_a_call_larger_than_the_limit_is_told_so() {
    let settings = "[limits.t]\nscope = \"gateway\"\nmeasure = \"tokens-per-minute\"\nmost = 200\n";
    let service = Service::start_with(settings).await;
    let huge =
        r#"{"model":"oai/text","max_tokens":1000,"messages":[{"role":"user","content":"hello"}]}"#;
    let answer = service.chat(huge).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "request_exceeds_limit")
    );
    let answer = service.chat(&hundred_tokens("oai/text")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // What was held and not used is free again: the answer was short.
    let again = service.chat(&hundred_tokens("oai/text")).await;
    assert_eq!(again.status, 200, "{again:?}");
}

/// Calls until the only place is free: a call that its client left ends soon after, and each try is a round trip.
async fn call_until_admitted(service: &Service) -> Answer {
    for _ in 0..1_000 {
        let answer = service.chat(&chat_body("oai/text", false)).await;
        if answer.status != 429 {
            return answer;
        }
    }
    panic!("the place is still taken");
}

#[tokio::test]
async fn b6_a_sequence_of_streams_needs_one_place() {
    let settings =
        "[limits.one]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = 1\n";
    let service = Service::start_with(settings).await;
    for model in ["oai/text", "oai/cut-mid-text", "ant/text", "oai/e400"] {
        for _ in 0..20 {
            let answer = service.chat(&chat_body(model, true)).await;
            assert_ne!(answer.status, 429, "{model}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn b6_a_place_is_free_again_whatever_ended_the_call() {
    let settings =
        "[limits.one]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = 1\n";
    let service = Service::start_with(settings).await;
    for model in [
        "oai/text",
        "oai/e400",
        "oai/cut-mid-text",
        "oai/error-mid-stream",
        "oai/html",
        "nobody/x",
    ] {
        service.chat(&chat_body(model, true)).await;
    }
    for model in ["oai/hang-mid-stream", "oai/hang-before-head"] {
        let mut stream = service.connect().await;
        let request = service.post("/v1/chat/completions", &chat_body(model, true));
        stream.write_all(request.as_bytes()).await.unwrap();
        service
            .openai
            .wait_for_record(|record| record.model.as_deref() == model.strip_prefix("oai/"))
            .await;
        let refused = service.chat(&chat_body("oai/text", false)).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "concurrency_limit_exceeded"),
            "{model}"
        );
        drop(stream);
        assert_eq!(call_until_admitted(&service).await.status, 200);
    }
    let answer = service.chat(&chat_body("oai/text", false)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn b8_a_refusal_of_one_scope_takes_nothing_from_the_others() {
    let settings = "[limits.key]\nscope = \"key:key_caller\"\nmeasure = \"requests-per-minute\"\nmost = 1\n\
                    [limits.all]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = 3\n";
    let service = Service::start_with(settings).await;
    for expected in [200, 429, 429, 429, 429] {
        assert_eq!(
            service.chat(&chat_body("oai/text", false)).await.status,
            expected
        );
    }
    let request = service.post("/v1/chat/completions", &chat_body("oai/text", false));
    let other = request.replace(service.key.expose(), service.other_key.expose());
    for expected in [200, 200, 429] {
        assert_eq!(service.raw(&other).await.status, expected);
    }
}

#[tokio::test]
async fn a_providers_own_limit_sends_the_call_to_the_next_target() {
    let settings = "[limits.p]\nscope = \"provider:oai\"\nmeasure = \"requests-per-minute\"\nmost = 1\n\
                    [routes.r]\ntargets = [\"oai/text\", \"ant/text\"]\n";
    let service = Service::start_with(settings).await;
    for target in ["oai/text", "ant/text", "ant/text"] {
        let answer = service.chat(&chat_body("r", false)).await;
        assert_eq!(
            answer.header("x-tollgate-target"),
            Some(target),
            "{answer:?}"
        );
    }
    assert_eq!(
        service.chat(&chat_body("oai/text", false)).await.status,
        429
    );
}
