//! `tollgate keys`.

use std::{fs, path::Path, time::Duration};

use crate::program::{Home, until};

fn holds(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        fs::read(&path)
            .unwrap()
            .windows(needle.len())
            .any(|part| part == needle)
    })
}

#[test]
fn a_key_is_printed_once_and_is_nowhere_in_the_data_folder() {
    let home = Home::new();
    let token = home.ok(&["keys", "create", "ci", "--owner", "ann", "--expires", "30d"]);
    assert!(token.starts_with("sk-tg-") && token.len() == 42, "{token}");
    let rotated = home.ok(&["keys", "rotate", "ci", "--overlap", "1h"]);
    assert_ne!(token, rotated);
    for arguments in [
        &["keys", "list"][..],
        &["keys", "show", "ci"],
        &["audit", "list"],
        &["audit", "list", "--json"],
    ] {
        let said = home.run(arguments);
        assert!(
            !said.data.contains(&token) && !said.data.contains(&rotated),
            "{said:?}"
        );
    }
    assert!(
        holds(&home.data(), b"ann"),
        "the search finds what is there"
    );
    for text in [token, rotated] {
        let random = &text["sk-tg-".len()..];
        assert!(!holds(&home.data(), random.as_bytes()), "{random}");
    }
}

#[test]
fn keys_are_named_by_id_by_name_and_by_the_beginning_of_an_id() {
    let home = Home::new();
    home.ok(&[
        "keys",
        "create",
        "a",
        "--models",
        "gpt-4o,lab/*",
        "--strict",
    ]);
    let id = home.json(&["keys", "show", "a", "--json"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for name in [id.as_str(), &id[..12], &id["key_".len()..12]] {
        assert_eq!(home.json(&["keys", "show", name, "--json"])["name"], "a");
    }
    home.ok(&["keys", "create", "a"]);
    home.refused(&["keys", "revoke", "a"], "stands for several");
    home.refused(
        &["keys", "revoke", "b"],
        "There is no key `b`. `tollgate keys list` shows them.",
    );
}

#[test]
fn a_key_is_changed_field_by_field() {
    let home = Home::new();
    home.ok(&["teams", "create", "ads"]);
    home.ok(&[
        "keys",
        "create",
        "a",
        "--models",
        "gpt-4o",
        "--team",
        "ads",
        "--max-output-tokens",
        "9",
    ]);
    home.ok(&[
        "keys",
        "update",
        "a",
        "--name",
        "b",
        "--clear",
        "models,team",
        "--sources",
        "10.0.0.0/8",
    ]);
    let key = home.json(&["keys", "show", "b", "--json"]);
    assert_eq!(key["models"].as_array().unwrap().len(), 0);
    assert!(
        key["team_id"].is_null() && key["max_output_tokens"] == 9,
        "{key}"
    );
    assert_eq!(key["sources"][0], "10.0.0.0/8");
    for (action, state) in [
        ("disable", "disabled"),
        ("enable", "active"),
        ("revoke", "revoked"),
    ] {
        home.ok(&["keys", action, "b"]);
        assert_eq!(home.json(&["keys", "show", "b", "--json"])["state"], state);
    }
    home.refused(&["keys", "rotate", "b"], "revoked");
    assert_eq!(
        home.json(&["keys", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(
        home.json(&["keys", "list", "--all", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    home.ok(&["keys", "delete", "b"]);
    assert_eq!(
        home.json(&["keys", "list", "--all", "--json"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn what_a_key_cannot_be_is_refused_with_the_right_way_to_write_it() {
    let home = Home::new();
    home.ok(&["keys", "create", "a"]);
    for (arguments, says) in [
        (&["--expires", "yesterday"][..], "(`30d`, `12h`)"),
        (&["--expires", "2020-01-01"], "future"),
        (&["--models", "a*b"], "no name of a model"),
        (&["--operations", "dance"], "generation, embeddings"),
        (&["--sources", "10.1.2.3/8"], "10.0.0.0/8"),
        (&["--team", "nobody"], "There is no team `nobody`"),
        (&["--role", "owner"], "admin"),
    ] {
        let create = [&["keys", "create", "x"], arguments].concat();
        home.refused(&create, says);
    }
    home.refused(&["keys", "rotate", "a", "--overlap", "91d"], "90 days");
    home.refused(&["keys", "rotate", "a", "--overlap", "soon"], "`24h`");
    home.refused(&["keys", "update", "a"], "Nothing to change");
    assert_eq!(
        home.json(&["keys", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn nothing_is_made_by_a_look_at_a_folder_that_is_not_there() {
    let home = Home::new();
    for noun in ["keys", "teams", "projects", "budgets", "limits", "audit"] {
        home.refused(&[noun, "list"], "--data");
    }
    home.refused(&["usage"], "--data");
    home.refused(&["ledger", "export"], "--data");
    assert!(!home.data().exists());
}

#[test]
fn a_running_service_refuses_a_revoked_key_within_a_second() {
    let home = Home::new();
    let key = home.ok(&["keys", "create", "ci"]);
    let service = home.serve();
    assert_eq!(service.chat(&key, "tollgate-demo", ""), 200);
    let second = home.ok(&["keys", "create", "made while it runs"]);
    until("the new key works", || {
        service.chat(&second, "tollgate-demo", "") == 200
    });
    home.ok(&["keys", "revoke", "ci"]);
    let took = until("the key is refused", || {
        service.chat(&key, "tollgate-demo", "") == 401
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(service.chat(&second, "tollgate-demo", ""), 200);
}
