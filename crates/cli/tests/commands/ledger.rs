//! `tollgate usage` and `tollgate ledger`, on what a service wrote.

use serde_json::Value;
use tollgate_testkit::{Block, Dialect, Scenario, ScriptedUsage, TestProvider};

use crate::program::{Home, until};

/// A provider of loopback at $3 and $15 per million tokens, whose model `priced` takes 1,000 and gives 200 tokens.
struct Lab {
    _runtime: tokio::runtime::Runtime,
    provider: TestProvider,
}

impl Lab {
    fn start(home: &Home) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let provider = runtime
            .block_on(TestProvider::start(Dialect::OpenAi))
            .unwrap();
        let usage = ScriptedUsage {
            input: Some(1_000),
            output: Some(200),
            ..ScriptedUsage::default()
        };
        provider.register(Scenario::new("priced", vec![Block::text("yes")]).with_usage(usage));
        home.configure(&format!(
            "[providers.lab]\nkind = \"openai-compatible\"\nbase_url = \"{}\"\napi_key_env = \"LAB_KEY\"\n\n\
             [prices.\"lab/*\"]\ninput = 3\noutput = 15\n",
            provider.base_url()
        ));
        Self {
            _runtime: runtime,
            provider,
        }
    }
}

fn export(home: &Home, filter: &[&str]) -> Vec<Value> {
    let text = home.ok(&[&["ledger", "export"], filter].concat());
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn settled(home: &Home) -> usize {
    export(home, &["--state", "settled"]).len()
}

/// The figures of the published example: what a table of rows will cost, and then what its customers did cost.
#[test]
fn rows_are_priced_before_a_run_and_reported_by_customer_after_it() {
    let home = Home::new();
    let lab = Lab::start(&home);
    let before = home.ok(&[
        "prices",
        "project",
        "--model",
        "anthropic/claude-sonnet-4-5",
        "--requests-per-day",
        "1000",
        "--input-tokens",
        "500",
        "--output-tokens",
        "200",
        "--days",
        "30",
    ]);
    assert_eq!(before, "$135.00");
    let key = home.ok(&["keys", "create", "table"]);
    let service = home.serve();
    for customer in ["acme", "beta", "acme"] {
        let tags = format!("customer={customer}");
        assert_eq!(service.chat(&key, "lab/priced", &tags), 200);
    }
    until("three attempts are settled", || settled(&home) == 3);
    until("and in the database", || {
        home.json(&["usage", "--json"])["total"]["attempts"] == 3
    });
    let report = home.json(&[
        "usage",
        "--by",
        "tag:customer",
        "--month",
        "2020-01",
        "--json",
    ]);
    assert_eq!(report["rows"].as_array().unwrap().len(), 0);
    let report = home.json(&[
        "usage",
        "--by",
        "tag:customer,key",
        "--last",
        "1d",
        "--json",
    ]);
    let rows = report["rows"].as_array().unwrap();
    let of = |at: usize| {
        (
            rows[at]["tag:customer"].as_str().unwrap(),
            rows[at]["cost"].as_str().unwrap(),
        )
    };
    assert_eq!((of(0), of(1)), (("acme", "0.012"), ("beta", "0.006")));
    assert_eq!(report["total"]["cost"], "0.018");
    assert_eq!(report["total"]["cost_estimated"], "0.00");
    assert_eq!(report["names"][rows[0]["key"].as_str().unwrap()], "table");
    let csv = home.ok(&["usage", "--by", "tag:customer", "--csv"]);
    assert!(
        csv.starts_with("tag:customer,requests") && csv.contains("acme,2,2,2000,400"),
        "{csv}"
    );
    let one = home.ok(&["usage", "--tag", "customer=beta"]);
    assert!(one.contains("$0.006") && !one.contains("$0.012"), "{one}");
    let month = home.json(&["usage", "project", "--days", "1", "--json"]);
    // 3 requests a day x 30 x (1,000 x $3 + 200 x $15) per million.
    assert_eq!(month["cost"], "0.54");
    home.refused(&["usage", "--by", "weather"], "tag:NAME");
    home.refused(&["usage", "--month", "May"], "2026-11");
    drop(service);
    assert_eq!(lab.provider.records().len(), 3);
}

#[test]
fn an_exported_row_holds_what_the_provider_reported_and_verify_finds_it_sound() {
    let home = Home::new();
    let _lab = Lab::start(&home);
    let key = home.ok(&["keys", "create", "a"]);
    let service = home.serve();
    assert_eq!(service.chat(&key, "lab/priced", "row=7"), 200);
    until("the attempt is settled", || settled(&home) == 1);
    let row = &export(&home, &["--tag", "row=7", "--route", "lab/priced"])[0];
    for (field, value) in [
        ("state", "settled"),
        ("outcome", "complete"),
        ("provider", "lab"),
        ("model", "priced"),
        ("operation", "generation"),
        ("provenance", "reported"),
        ("cost_usd", "0.006"),
    ] {
        assert_eq!(row[field], value, "{field}: {row}");
    }
    assert_eq!(
        (row["input"].as_u64(), row["output"].as_u64()),
        (Some(1_000), Some(200))
    );
    assert_eq!(row.as_object().unwrap().len(), 25, "{row}");
    let request = row["request_id"].as_str().unwrap();
    assert_eq!(row["attempt"], format!("{request}-1"));
    assert!(home.ok(&["ledger", "show", request]).contains("$0.006"));
    assert!(
        home.ok(&["ledger", "export", "--format", "csv"])
            .contains("0.006")
    );
    let verified = home.json(&["ledger", "verify", "--json"]);
    assert!(
        verified["findings"].as_array().unwrap().is_empty(),
        "{verified}"
    );
    let id = format!("{request}-1");
    home.refused(&["ledger", "resolve", &id, "--free"], "admin API");
    home.refused(&["ledger", "show", "nothing"], "no request `nothing`");
    home.refused(&["ledger", "export", "--state", "lost"], "held, dispatched");
    drop(service);
    home.refused(&["ledger", "resolve", &id, "--free"], "is settled");
}

#[test]
fn after_a_kill_the_export_is_whole_and_what_nobody_knows_is_resolved() {
    let home = Home::new();
    let lab = Lab::start(&home);
    let key = home.ok(&["keys", "create", "a"]);
    let budget = home.ok(&["budgets", "set", "key:a", "5"]);
    let service = home.serve();
    let stream = service.begin(&key, "lab/hang-before-head", "");
    until("the provider has it", || {
        lab.provider.open_connections() == 1
    });
    until("it is dispatched", || {
        export(&home, &["--state", "dispatched"]).len() == 1
    });
    drop(service);
    drop(stream);
    let row = &export(&home, &[])[0];
    assert!(
        row["state"] == "dispatched" && row["cost_usd"].is_null(),
        "{row}"
    );
    assert_eq!(
        home.json(&["ledger", "verify", "--json"])["findings"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let held = row["held_usd"].as_str().unwrap().to_owned();
    let shown = home.json(&["budgets", "show", &budget, "--json"]);
    assert_eq!(
        (shown["held"].as_str(), shown["posted"].as_str()),
        (Some(held.as_str()), Some("0.00"))
    );
    let id = row["attempt"].as_str().unwrap();
    home.refused(&["ledger", "resolve", id, "--cost", "1e3"], "`0.12`");
    assert_eq!(
        home.run(&["ledger", "resolve", "--all", "--at-hold"]).code,
        0
    );
    let row = &export(&home, &[])[0];
    assert!(
        row["state"] == "settled" && row["cost_usd"] == held.as_str(),
        "{row}"
    );
    let total = &home.json(&["usage", "--json"])["total"];
    assert!(
        total["cost_estimated"] == held.as_str() && total["cost_reported"] == "0.00",
        "{total}"
    );
    let now = home.ok(&[
        "ledger",
        "reprice",
        "--from",
        "2026-01-01",
        "--to",
        "2126-01-01",
        "--yes",
    ]);
    assert_eq!(
        now, "$0.00 -> $0.00",
        "what was resolved by hand is left alone"
    );
}
