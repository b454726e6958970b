//! Responses that a provider runs in the background: booked once, with what it says at their end.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write requests as they read"
)]

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tollgate_base::{Clock as _, Money, Provenance, SystemClock};
use tollgate_policy::ledger::{Attempt, AttemptOutcome, AttemptState};
use tollgate_testkit::Record;

use crate::{
    asks::{ask, get, id_of, read},
    support::{Answer, Service, read_until},
};

const PRICES: &str = "[prices.\"full/*\"]\ninput = 1\noutput = 10\nreasoning = 100\n";
async fn begin(service: &Service, model: &str) -> String {
    let body = json!({"model": model, "input": "hello", "background": true});
    let begun = ask(service, "/v1/responses", &body).await;
    assert_eq!(read(&begun)["status"], "queued", "{begun:?}");
    id_of(&begun.body)
}

async fn show(service: &Service, id: &str) -> Answer {
    let path = format!("/v1/responses/{id}");
    service.raw(&get(service, "GET", &path)).await
}

fn is_settled(attempts: &[Attempt]) -> bool {
    attempts
        .iter()
        .all(|attempt| attempt.state == AttemptState::Settled)
}

/// Booked with what the provider says that it bills, in full.
fn check_is_reported(service: &Service, attempt: &Attempt) {
    let settlement = attempt.settlement.as_ref().unwrap();
    let id = attempt.opening.id.to_string();
    let sent = service.openai.records();
    let is_its = |record: &&Record| {
        record.method == "POST" && record.header("x-client-request-id") == Some(&id)
    };
    let billed = sent.iter().find(is_its).unwrap().billed.unwrap();
    assert_eq!(settlement.usage.provenance, Provenance::Reported);
    assert_eq!(settlement.usage.input, billed.input);
    assert_eq!(
        (
            settlement.usage.output,
            settlement.usage.reasoning.unwrap_or(0)
        ),
        (billed.output, billed.reasoning)
    );
    let nanos = 1_000 * settlement.usage.input
        + 10_000 * settlement.usage.output
        + 100_000 * settlement.usage.reasoning.unwrap_or(0);
    let expected = Money::from_nanos(nanos.into());
    assert_eq!(settlement.cost.known(), Some(expected));
}

#[tokio::test]
async fn l10_a_response_in_the_background_is_booked_once_however_many_ask_after_it() {
    let service = Service::start_with(PRICES).await;
    let id = begin(&service, "full/thinking").await;
    let under_way = service.attempts();
    assert_eq!(under_way.len(), 1);
    // On a slow machine the gateway may have asked after it twice already.
    assert!(under_way[0].state == AttemptState::Dispatched || under_way[0].is_reported());

    let poll = async || {
        loop {
            let shown = show(&service, &id).await;
            match (shown.status, read(&shown)["status"].as_str()) {
                (200, Some("completed")) => break,
                (200, Some("in_progress")) => {}
                _ => panic!("{shown:?}"),
            }
        }
        // Who sees the end sees it booked.
        assert!(is_settled(&service.attempts()));
    };
    tokio::join!(poll(), poll(), poll(), poll(), poll());
    for _ in 0..10 {
        assert_eq!(show(&service, &id).await.status, 200);
    }
    let attempts = service.attempts();
    assert_eq!(attempts.len(), 1);
    check_is_reported(&service, &attempts[0]);
}

#[tokio::test]
async fn a_response_that_nobody_waits_for_takes_no_place_among_the_concurrent_ones() {
    let one = "[limits.one]\nscope = \"gateway\"\nmeasure = \"concurrent-requests\"\nmost = 1\n";
    let service = Service::start_with(&format!("{PRICES}{one}")).await;
    let first = begin(&service, "full/text").await;
    begin(&service, "full/text").await;
    assert_eq!(show(&service, &first).await.status, 200);
    assert_eq!(service.attempts().len(), 2);
}

#[tokio::test]
async fn l10_a_response_that_nobody_asks_after_is_booked_all_the_same() {
    let service = Service::start_with(PRICES).await;
    begin(&service, "full/text").await;
    let attempts = service.wait_for_attempts(is_settled).await;
    check_is_reported(&service, &attempts[0]);
}

#[tokio::test]
async fn a_stream_in_the_background_goes_on_without_its_reader_and_is_booked_whole() {
    let service = Service::start_with(PRICES).await;
    let body = json!({"model": "full/tokens:200:20", "input": "hello", "background": true, "stream": true});
    let mut stream = service.connect().await;
    let request = service.post("/v1/responses", &body.to_string());
    stream.write_all(request.as_bytes()).await.unwrap();
    let begun = read_until(&mut stream, "response.output_text.delta").await;
    drop(stream);
    let shown = show(&service, &id_of(&begun)).await;
    assert_eq!(shown.status, 200, "its caller may ask for it: {shown:?}");
    let attempts = service.wait_for_attempts(is_settled).await;
    let settlement = attempts[0].settlement.as_ref().unwrap();
    assert_eq!(settlement.usage.provenance, Provenance::Reported);
    assert_eq!(settlement.usage.output_total(), 200);
    assert_eq!(settlement.outcome, AttemptOutcome::Complete);
}

#[tokio::test]
async fn a_stream_in_the_background_that_is_read_to_its_end_is_booked_at_once() {
    let service = Service::start_with(PRICES).await;
    let body = json!({"model": "full/text", "input": "hello", "background": true, "stream": true});
    let answer = ask(&service, "/v1/responses", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let attempts = service.attempts();
    assert!(attempts.len() == 1 && is_settled(&attempts));
    check_is_reported(&service, &attempts[0]);
}

#[tokio::test]
async fn a_response_that_is_cancelled_or_deleted_is_booked_as_far_as_it_is_known() {
    let service = Service::start_with(PRICES).await;
    let outcome = |attempt: &Attempt| attempt.settlement.as_ref().unwrap().outcome;
    // A response runs until it was looked at twice, which on a slow machine the gateway may have done: then again.
    let cancelled = loop {
        let id = begin(&service, "full/text").await;
        let cancelled = ask(&service, &format!("/v1/responses/{id}/cancel"), &json!({})).await;
        assert_eq!(read(&cancelled)["status"], "cancelled", "{cancelled:?}");
        let last = service.attempts().pop().unwrap();
        if outcome(&last) != AttemptOutcome::Complete {
            break last;
        }
    };
    assert_eq!(outcome(&cancelled), AttemptOutcome::ClientGone);

    // Looked at once already: the last question finds it whole.
    let id = begin(&service, "full/text").await;
    assert_eq!(show(&service, &id).await.status, 200);
    let delete = get(&service, "DELETE", &format!("/v1/responses/{id}"));
    assert_eq!(service.raw(&delete).await.status, 200);
    let attempts = service.attempts();
    assert!(is_settled(&attempts));
    check_is_reported(&service, attempts.last().unwrap());

    // Deleted while it runs: what it used is counted here, and what was held is not free again.
    let last = loop {
        let id = begin(&service, "full/text").await;
        let delete = get(&service, "DELETE", &format!("/v1/responses/{id}"));
        assert_eq!(service.raw(&delete).await.status, 200);
        let last = service.attempts().pop().unwrap();
        if !last.is_reported() {
            break last;
        }
    };
    let settlement = last.settlement.as_ref().unwrap();
    assert_eq!(settlement.usage.provenance, Provenance::Estimated);
    assert_eq!(settlement.code, "response_deleted");
    assert_eq!(last.posted().unwrap().money, last.opening.held.unwrap());
}

#[tokio::test]
async fn a_response_that_its_provider_does_not_know_any_more_keeps_what_was_held_for_it() {
    let service = Service::start_with(PRICES).await;
    let last = loop {
        let id = begin(&service, "full/text").await;
        let mut provider = TcpStream::connect(service.openai.addr()).await.unwrap();
        let delete = format!(
            "DELETE /v1/responses/{id} HTTP/1.1\r\nHost: provider\r\nAuthorization: Bearer test-canary-openai\r\nContent-Length: 0\r\n\r\n"
        );
        provider.write_all(delete.as_bytes()).await.unwrap();
        read_until(&mut provider, "\"deleted\":true").await;
        let last = service.wait_for_attempts(is_settled).await.pop().unwrap();
        // On a slow machine the gateway may have asked after it twice before.
        if !last.is_reported() {
            break last;
        }
    };
    let settlement = last.settlement.as_ref().unwrap();
    assert_eq!(settlement.usage.provenance, Provenance::Estimated);
    assert_eq!(settlement.outcome, AttemptOutcome::Failed);
    assert!(settlement.usage.input > 0);
    assert_eq!(last.posted().unwrap().money, last.opening.held.unwrap());
}

/// What the only budget counts: what is posted, and what else is kept for calls whose end is not known.
fn budget(service: &Service) -> (Money, Money) {
    let books = &service.shared.books;
    let standings = books
        .admission
        .all_standings(&books.rules.load(), SystemClock.moment());
    let budget = &standings.budgets[0];
    (budget.posted, budget.held.plus(budget.doubtful))
}

#[tokio::test]
async fn a_response_that_a_former_process_began_is_booked_and_its_hold_ends() {
    let settings =
        format!("{PRICES}[budgets.all]\nscope = \"gateway\"\nlimit = 100\nperiod = \"total\"\n");
    let service = Service::start_with(&settings).await;
    let id = begin(&service, "full/thinking").await;
    let held = service.attempts()[0].opening.held.unwrap();
    assert_eq!(budget(&service), (Money::ZERO, held));
    let service = service.restarted_with(&settings);
    let lost = service.attempts().pop().unwrap();
    // Where this test was stopped for seconds, it may have ended.
    if !lost.is_reported() {
        assert_eq!(lost.state, AttemptState::Unknown);
        assert_eq!(budget(&service), (held, Money::ZERO));
    }
    let attempts = service.wait_for_attempts(is_settled).await;
    assert_eq!(attempts.len(), 1);
    check_is_reported(&service, &attempts[0]);
    let cost = attempts[0].cost().unwrap();
    assert!(cost < held);
    // The row is written before the budget is told; who asks while it is booked is answered afterwards.
    assert_eq!(show(&service, &id).await.status, 200);
    assert_eq!(budget(&service), (cost, Money::ZERO));
}

#[tokio::test]
async fn a_response_whose_price_is_gone_when_it_ends_is_booked_without_one() {
    let service = Service::start_with(PRICES).await;
    begin(&service, "full/text").await;
    let service = service.restarted_with("[ledger]\ndrain_time = \"1s\"\n");
    let attempts = service.wait_for_attempts(is_settled).await;
    assert!(attempts[0].is_unpriced() && attempts[0].is_reported());
    assert_eq!(
        attempts[0].posted().unwrap().money,
        attempts[0].opening.held.unwrap()
    );
}
