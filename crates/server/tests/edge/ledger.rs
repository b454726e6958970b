//! What calls are booked with: the provider's own figures, or ours where it says none.

use tokio::io::AsyncWriteExt as _;
use tollgate_base::{Money, Provenance, Usage};
use tollgate_policy::ledger::{Attempt, AttemptOutcome, AttemptState, Cost};
use tollgate_testkit::BilledUsage;

use crate::support::{Service, chat_body, messages_body, read_until};

/// Every bucket has a price of its own, so that no two can be taken for each other.
const PRICES: &str = "[prices.\"oai/*\"]\ninput = 1\noutput = 10\ncache_read = 0.1\nreasoning = 100\n\
                      [prices.\"ant/*\"]\ninput = 2\noutput = 20\ncache_read = 0.2\ncache_write = 3\ncache_write_1h = 5\n\
                      [prices.\"gem/*\"]\ninput = 3\noutput = 30\n";

fn usage(attempt: &Attempt) -> Usage {
    attempt.settlement.as_ref().unwrap().usage
}

fn cost(attempt: &Attempt) -> Option<Money> {
    attempt.settlement.as_ref().unwrap().cost.known()
}

fn outcome(attempt: &Attempt) -> AttemptOutcome {
    attempt.settlement.as_ref().unwrap().outcome
}

/// The provider's own account of what it did, in the ledger's buckets.
fn agrees(usage: &Usage, billed: &BilledUsage) -> bool {
    usage.input == billed.input
        && usage.cache_read.unwrap_or(0) == billed.cache_read
        // A chat provider has one word for both lifetimes.
        && usage.cache_write.unwrap_or(0) + usage.cache_write_1h.unwrap_or(0)
            == billed.cache_write_5m + billed.cache_write_1h
        && usage.output + usage.reasoning.unwrap_or(0) == billed.output + billed.reasoning
}

#[tokio::test]
async fn l2_every_call_is_booked_with_what_its_provider_billed_streamed_or_not_in_each_dialect() {
    let service = Service::start_with(PRICES).await;
    for stream in [false, true] {
        for scenario in ["text", "thinking", "cached"] {
            for (provider, records) in [("oai", &service.openai), ("ant", &service.anthropic)] {
                let model = format!("{provider}/{scenario}");
                for (path, body) in [
                    ("/v1/chat/completions", chat_body(&model, stream)),
                    ("/v1/messages", messages_body(&model, stream)),
                ] {
                    let before = service.attempts().len();
                    let answer = service.raw(&service.post(path, &body)).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let attempts = service.attempts();
                    assert_eq!(
                        attempts.len(),
                        before + 1,
                        "{model}: booked before the answer's end"
                    );
                    let attempt = &attempts[before];
                    let record = records.records().pop().unwrap();
                    let billed = record.billed.unwrap();
                    let booked = usage(attempt);
                    assert!(
                        agrees(&booked, &billed),
                        "{path} {model} {stream}: {booked:?} {billed:?}"
                    );
                    assert_eq!(booked.provenance, Provenance::Reported);
                    assert_eq!(attempt.state, AttemptState::Settled);
                    assert_eq!(outcome(attempt), AttemptOutcome::Complete);
                    assert!(cost(attempt).is_some_and(|cost| cost > Money::ZERO));
                    assert!(cost(attempt) <= attempt.opening.held, "{attempt:?}");
                    if !stream {
                        let told = answer.header("x-tollgate-cost-usd").unwrap();
                        assert_eq!(Money::parse(told), cost(attempt));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn l3_a_stream_without_a_report_is_booked_with_what_was_seen_and_says_so() {
    let service = Service::start_with(PRICES).await;
    let answer = service.chat(&chat_body("oai/no-usage", true)).await;
    assert_eq!(answer.status, 200);
    let attempt = service.attempts().pop().unwrap();
    let booked = usage(&attempt);
    assert_eq!(booked.provenance, Provenance::Estimated);
    // "hello" with what wraps it; the text of the answer has about 15 tokens.
    assert!((5..=20).contains(&booked.input), "{booked:?}");
    assert!((10..=25).contains(&booked.output), "{booked:?}");
    assert!(cost(&attempt) <= attempt.opening.held);
}

#[tokio::test]
async fn l3_a_client_that_leaves_is_booked_with_what_it_got() {
    let service = Service::start_with(PRICES).await;
    for model in ["oai/hang-mid-stream", "ant/hang-mid-stream"] {
        let before = service.attempts().len();
        let mut stream = service.connect().await;
        let request = service.post("/v1/chat/completions", &chat_body(model, true));
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "\"content\":\"").await;
        drop(stream);
        let is_settled = |attempts: &[Attempt]| {
            attempts.len() > before
                && attempts
                    .iter()
                    .all(|attempt| attempt.state == AttemptState::Settled)
        };
        let attempts = service.wait_for_attempts(is_settled).await;
        let attempt = &attempts[before];
        assert_eq!(outcome(attempt), AttemptOutcome::ClientGone, "{model}");
        let booked = usage(attempt);
        assert_ne!(booked.provenance, Provenance::Reported, "{model}");
        assert!(booked.input > 0 && booked.output > 0, "{model}: {booked:?}");
        assert!(
            cost(attempt).is_some_and(|cost| cost > Money::ZERO),
            "{model}"
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_booked_with_what_was_sent() {
    let service = Service::start_with(PRICES).await;
    let mut stream = service.connect().await;
    let request = service.post(
        "/v1/chat/completions",
        &chat_body("oai/hang-before-head", true),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    service.openai.wait_for_record(|_| true).await;
    drop(stream);
    let settled = |attempts: &[Attempt]| {
        attempts
            .iter()
            .any(|one| one.state == AttemptState::Settled)
    };
    let attempts = service.wait_for_attempts(settled).await;
    let booked = usage(&attempts[0]);
    assert_eq!(outcome(&attempts[0]), AttemptOutcome::ClientGone);
    assert!(booked.input > 0 && booked.output == 0, "{booked:?}");
}

#[tokio::test]
async fn an_answer_without_a_reader_is_drained_where_that_is_wanted() {
    let settings =
        format!("{PRICES}[ledger]\non_disconnect = \"drain\"\nunknown_price = \"book\"\n");
    let service = Service::start_with(&settings).await;
    let mut stream = service.connect().await;
    let request = service.post("/v1/chat/completions", &chat_body("oai/tokens:40:5", true));
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut stream, "\"content\":\"").await;
    drop(stream);
    let settled = |attempts: &[Attempt]| {
        attempts
            .iter()
            .any(|one| one.state == AttemptState::Settled)
    };
    let attempts = service.wait_for_attempts(settled).await;
    let booked = usage(&attempts[0]);
    assert_eq!(
        (booked.provenance, booked.output),
        (Provenance::Reported, 40)
    );
}

#[tokio::test]
async fn l5_every_attempt_of_a_call_has_its_row_and_a_refusal_costs_nothing() {
    let settings = format!("{PRICES}[routes.both]\ntargets = [\"oai/e503\", \"ant/text\"]\n");
    let service = Service::start_with(&settings).await;
    let answer = service.chat(&chat_body("both", false)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let attempts = service.attempts();
    let told: Vec<_> = attempts
        .iter()
        .map(|one| {
            (
                one.opening.id.number,
                one.opening.provider.as_str(),
                outcome(one),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, "oai", AttemptOutcome::Failed),
            (2, "ant", AttemptOutcome::Complete)
        ]
    );
    assert_eq!(
        attempts[0].opening.id.request_id,
        attempts[1].opening.id.request_id
    );
    assert_eq!(attempts[0].opening.route, "both");
    assert_eq!(cost(&attempts[0]), Some(Money::ZERO));
    let told = answer.header("x-tollgate-cost-usd").unwrap();
    assert_eq!(Money::parse(told), cost(&attempts[1]));
}

#[tokio::test]
async fn what_never_reached_a_provider_is_in_no_books() {
    let service = Service::start_with(PRICES).await;
    let body = r#"{"model":"ant/text","messages":[{"role":"user","content":"x"}],"n":3}"#;
    assert_eq!(service.chat(body).await.status, 400);
    assert!(service.attempts().is_empty());
}

#[tokio::test]
async fn l8_a_model_without_a_price_is_refused_unless_the_settings_say_otherwise() {
    let refusing = Service::start_with("[ledger]\ndrain_time = \"1s\"\n").await;
    let answer = refusing.chat(&chat_body("full/text", false)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "price_unknown")
    );
    assert!(refusing.openai.records().is_empty() && refusing.attempts().is_empty());

    let booking = Service::start().await;
    let answer = booking.chat(&chat_body("full/text", false)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-tollgate-cost-usd"), None);
    let attempt = booking.attempts().pop().unwrap();
    assert_eq!(attempt.settlement.unwrap().cost, Cost::Unknown);
}

#[tokio::test]
async fn l8_a_row_keeps_the_prices_that_it_was_booked_with() {
    let service = Service::start_with(PRICES).await;
    service.chat(&chat_body("oai/text", false)).await;
    let attempt = service.attempts().pop().unwrap();
    assert!(attempt.opening.price_version.contains('+'), "{attempt:?}");
    let prices = attempt.settlement.unwrap().unit_prices;
    assert!(
        prices.contains("input=1.00") && prices.contains("output=10.00"),
        "{prices}"
    );
}

#[tokio::test]
async fn tags_of_the_header_and_of_the_metadata_are_booked_and_the_header_is_not_sent_on() {
    let service = Service::start_with(PRICES).await;
    let body =
        r#"{"model":"oai/text","metadata":{"row":"7"},"messages":[{"role":"user","content":"x"}]}"#;
    let request = service.post("/v1/chat/completions", body).replace(
        "Host: tollgate\r\n",
        "Host: tollgate\r\nX-Tollgate-Tags: customer=acme\r\n",
    );
    assert_eq!(service.raw(&request).await.status, 200);
    let attempt = service.attempts().pop().unwrap();
    let told: Vec<_> = attempt
        .opening
        .tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(told, [("customer", "acme"), ("row", "7")]);
    let sent = &service.openai.records()[0];
    assert!(
        sent.headers
            .iter()
            .all(|(name, _)| name != "x-tollgate-tags")
    );
}

#[tokio::test]
async fn operations_that_are_passed_through_are_booked_too() {
    let settings = "[prices.\"full/*\"]\ninput = 1\noutput = 2\nimage = 40000\naudio_second = 100\ncharacter = 15\n";
    let service = Service::start_with(settings).await;
    for (path, body) in [
        (
            "/v1/images/generations",
            r#"{"model":"full/dall-e-3","prompt":"a gate"}"#,
        ),
        (
            "/v1/audio/speech",
            r#"{"model":"full/tts-1","input":"hello","voice":"alloy"}"#,
        ),
        (
            "/v1/embeddings",
            r#"{"model":"full/text-embedding-3-small","input":"hello"}"#,
        ),
    ] {
        let before = service.attempts().len();
        let answer = service.raw(&service.post(path, body)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let attempts = service.attempts();
        assert_eq!(attempts.len(), before + 1, "{path}");
        assert!(
            cost(&attempts[before]).is_some_and(|cost| cost > Money::ZERO),
            "{path}: {:?}",
            attempts[before]
        );
        assert!(
            cost(&attempts[before]) <= attempts[before].opening.held,
            "{path}: {:?}",
            attempts[before]
        );
    }
}

#[tokio::test]
async fn l3_an_answer_that_breaks_off_before_anybody_was_told_is_booked_for_what_it_may_cost() {
    let service = Service::start_with(PRICES).await;
    for provider in ["oai", "ant"] {
        for scenario in [
            "cut-mid-text",
            "cut-before-first",
            "malformed",
            "error-after-200",
        ] {
            for stream in [false, true] {
                let before = service.attempts().len();
                let model = format!("{provider}/{scenario}");
                service.chat(&chat_body(&model, stream)).await;
                let attempts = service.attempts();
                assert!(attempts.len() > before, "{model} {stream}");
                for attempt in &attempts[before..] {
                    let booked = usage(attempt);
                    assert!(booked.input > 0, "{model} {stream}: {booked:?}");
                    assert_ne!(booked.provenance, Provenance::Reported, "{model} {stream}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_a_server_that_refuses_costs_nothing() {
    let service = Service::start_with(PRICES).await;
    for model in ["oai/e400", "oai/e401", "ant/e400"] {
        service.chat(&chat_body(model, false)).await;
        let attempt = service.attempts().pop().unwrap();
        assert_eq!(cost(&attempt), Some(Money::ZERO), "{model}");
        assert_eq!(outcome(&attempt), AttemptOutcome::Failed, "{model}");
    }
}
