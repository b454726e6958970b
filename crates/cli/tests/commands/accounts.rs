//! `tollgate teams`, `projects`, `budgets`, `limits` and `audit`.

use crate::program::Home;

#[test]
fn every_noun_and_every_verb_explains_itself() {
    let home = Home::new();
    for (noun, verbs) in [
        (
            "keys",
            "generate create list show update rotate revoke disable enable delete",
        ),
        ("teams", "create list show update delete"),
        ("projects", "create list show update delete"),
        ("budgets", "set list show relief remove check"),
        ("limits", "set list remove"),
        ("usage", "project"),
        ("ledger", "export show verify unknown resolve reprice"),
        ("audit", "list verify"),
        ("tokens", ""),
    ] {
        for verb in verbs.split(' ').chain([""]) {
            let words = [noun, verb].into_iter().filter(|word| !word.is_empty());
            let out = home.command().args(words).arg("--help").output().unwrap();
            assert!(out.status.success(), "{noun} {verb}");
        }
    }
}

#[test]
fn a_team_with_a_project_is_deleted_last() {
    let home = Home::new();
    home.ok(&["teams", "create", "ads"]);
    home.ok(&["projects", "create", "site", "--team", "ads"]);
    home.ok(&["keys", "create", "a", "--project", "site"]);
    home.refused(&["teams", "delete", "ads"], "has keys or projects");
    home.refused(&["projects", "delete", "site"], "has keys");
    home.ok(&["projects", "update", "site", "--disable"]);
    assert_eq!(
        home.json(&["keys", "show", "a", "--json"])["state"],
        "disabled"
    );
    home.ok(&["projects", "update", "site", "--enable", "--name", "shop"]);
    assert!(home.ok(&["projects", "list"]).contains("shop"));
    home.ok(&["keys", "delete", "a"]);
    home.ok(&["projects", "delete", "shop"]);
    home.ok(&["teams", "delete", "ads"]);
    assert_eq!(
        home.json(&["teams", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
    home.refused(&["teams", "create", ""], "must not be empty");
}

#[test]
fn a_budget_says_whether_a_call_would_fit() {
    let home = Home::new();
    home.ok(&["keys", "create", "a"]);
    let id = home.ok(&[
        "budgets",
        "set",
        "key:a",
        "0.01",
        "--period",
        "day",
        "--zone",
        "Europe/Berlin",
    ]);
    let check = |tokens: &str| {
        let most = ["--output-tokens", tokens, "--input-tokens", "0"];
        home.run(
            &[
                &["budgets", "check", "--key", "a", "--model", "openai/gpt-4o"],
                &most[..],
            ]
            .concat(),
        )
    };
    let small = check("10");
    assert!(small.code == 0 && small.data.contains("fits"), "{small:?}");
    let large = check("1000000");
    assert!(
        large.code == 1 && large.data.contains("may spend $0.01 a day"),
        "{large:?}"
    );
    home.ok(&["budgets", "relief", &id, "100", "--for", "2h"]);
    assert_eq!(check("1000000").code, 0);
    let shown = home.json(&["budgets", "show", &id, "--json"]);
    assert_eq!(
        (shown["limit"].as_str(), shown["limit_now"].as_str()),
        (Some("0.01"), Some("100.00"))
    );
    home.ok(&["budgets", "relief", &id, "--end"]);
    assert_eq!(check("1000000").code, 1);
    home.ok(&["budgets", "remove", &id]);
    assert_eq!(check("1000000").code, 0);
    assert_eq!(
        home.json(&["budgets", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn rules_that_cannot_be_are_refused_with_the_right_way_to_write_them() {
    let home = Home::new();
    home.ok(&["keys", "create", "a"]);
    for (arguments, says) in [
        (
            &["budgets", "set", "gateway", "1,5"][..],
            "Write it as `12.50`",
        ),
        (&["budgets", "set", "gateway", "-1"], "unexpected argument"),
        (&["budgets", "set", "user:a", "1"], "Write `gateway`"),
        (&["budgets", "set", "key:b", "1"], "There is no key `b`"),
        (
            &["budgets", "set", "gateway", "1", "--zone", "Mars/Base"],
            "Europe/Berlin",
        ),
        (
            &["budgets", "set", "gateway", "1", "--period", "year"],
            "day, week, month and total",
        ),
        (
            &["budgets", "relief", "b", "1", "--for", "1h"],
            "There is no budget `b`",
        ),
        (
            &["limits", "set", "key:a", "dreams", "1"],
            "requests-per-second",
        ),
        (
            &["limits", "set", "key:a", "requests-per-day", "many"],
            "whole number",
        ),
        (&["limits", "remove", "x"], "There is no limit `x`"),
    ] {
        home.refused(arguments, says);
    }
}

#[test]
fn limits_of_the_configuration_are_listed_and_not_removed_here() {
    let home = Home::new();
    home.configure(
        "[limits.all]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = 5\n",
    );
    let id = home.ok(&["limits", "set", "gateway", "tokens-per-day", "1_000"]);
    assert_eq!(
        home.ok(&["limits", "set", "gateway", "tokens-per-day", "2000"]),
        id
    );
    let all = home.json(&["limits", "list", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    home.refused(&["limits", "remove", "config:all"], "configuration");
    home.ok(&["limits", "remove", &id]);
}

#[test]
fn the_audit_log_names_who_did_what_and_its_check_the_entry_that_was_changed() {
    let home = Home::new();
    home.ok(&["teams", "create", "ads"]);
    home.ok(&["teams", "update", "ads", "--name", "sales"]);
    let list = home.ok(&["audit", "list"]);
    assert!(
        list.contains("command line") && list.contains("team.update"),
        "{list}"
    );
    let verified = home.json(&["audit", "verify", "--json"]);
    assert!(
        verified["entries"] == 2 && verified["fault"].is_null(),
        "{verified}"
    );
    let path = home.data().join("tollgate.db");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(12)
        .position(|part| part == b"command line")
        .unwrap();
    let mut changed = bytes.clone();
    changed[at] = b'C';
    std::fs::write(&path, changed).unwrap();
    let said = home.run(&["audit", "verify"]);
    assert!(
        said.code == 1 && said.words.contains("broken at entry"),
        "{said:?}"
    );
}
