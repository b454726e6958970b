//! Keys: from their making to their end, found, rotated, kept secret.

use std::sync::Arc;
use std::time::Duration;

use tollgate_accounts::{Actor, Administration, KeyFilter, MintedKey, NewKey};
use tollgate_base::UnixMillis;
use tollgate_policy::key::{KeyState, Role, Token};
use tollgate_store::SqliteStore;

use crate::{Desk, NOW, code, desk};

#[test]
fn a_key_works_from_its_making_to_its_end() {
    let desk = desk();
    let MintedKey { key, token } = desk.key();
    let (id, text) = (key.value.id, token.expose());
    assert_eq!(desk.call(text, NOW), id);
    desk.desk.revoke_key(&desk.act(), &id).unwrap();
    assert_eq!(desk.call(text, NOW), "key_revoked");
    assert_eq!(code(desk.desk.enable_key(&desk.act(), &id)), "conflict");
    desk.desk.delete_key(&desk.act(), &id).unwrap();
    assert_eq!(desk.call(text, NOW), "invalid_api_key");
    assert_eq!(code(desk.desk.key(&desk.owner, &id)), "not_found");
}

#[test]
fn a_disabled_key_is_out_of_use_until_it_is_enabled() {
    let desk = desk();
    let MintedKey { key, token } = desk.key();
    let id = key.value.id;
    desk.desk.disable_key(&desk.act(), &id).unwrap();
    assert_eq!(desk.call(token.expose(), NOW), "key_disabled");
    desk.desk.enable_key(&desk.act(), &id).unwrap();
    assert_eq!(desk.call(token.expose(), NOW), id);
}

#[test]
fn both_texts_of_a_rotated_key_are_booked_to_it_until_the_overlap_ends() {
    let desk = desk();
    let MintedKey { key, token: old } = desk.key();
    let overlap = Duration::from_mins(1);
    let new = desk
        .desk
        .rotate_key(&desk.act(), &key.value.id, overlap)
        .unwrap();
    assert_eq!(new.key.value.id, key.value.id);
    let end = NOW.plus(overlap);
    let within = UnixMillis(end.0 - 1);
    for token in [&old, &new.token] {
        assert_eq!(desk.call(token.expose(), within), key.value.id);
    }
    assert_eq!(desk.call(old.expose(), end), "key_revoked");
    assert_eq!(desk.call(new.token.expose(), end), key.value.id);
    let too_long = Duration::from_hours(91 * 24);
    let refused = desk.desk.rotate_key(&desk.act(), &key.value.id, too_long);
    assert_eq!(code(refused), "invalid_value");
    desk.desk.revoke_key(&desk.act(), &key.value.id).unwrap();
    assert_eq!(desk.call(old.expose(), NOW), "key_revoked");
}

#[test]
fn keys_are_found_by_what_is_known_of_them_and_search_text_is_literal() {
    let desk = desk();
    let team = desk.team();
    let project = desk.project(Some(&team));
    let make = |name: &str, project_id: Option<&str>| {
        let project_id = project_id.map(str::to_owned);
        let new = NewKey {
            project_id,
            ..NewKey::named(name, Role::Model)
        };
        desk.desk
            .create_key(&desk.act(), &new)
            .unwrap()
            .key
            .value
            .id
    };
    let (plain, percent) = (make("plain", Some(&project)), make("100% Ada's", None));
    desk.desk.revoke_key(&desk.act(), &percent).unwrap();
    let find = |filter: KeyFilter| -> Vec<String> {
        let keys = desk.desk.keys(&desk.owner, &filter, NOW).unwrap();
        keys.into_iter().map(|key| key.value.id).collect()
    };
    let search = |text: &str| KeyFilter {
        search: Some(text.to_owned()),
        ..KeyFilter::default()
    };
    assert_eq!(find(search("%")), [percent.as_str()]);
    assert_eq!(find(search("PLAIN")), [plain.as_str()]);
    assert_eq!(find(search("_____")).len(), 0);
    assert_eq!(
        find(KeyFilter {
            team_id: Some(team),
            ..KeyFilter::default()
        }),
        [plain.as_str()]
    );
    assert_eq!(
        find(KeyFilter {
            project_id: Some(project),
            ..KeyFilter::default()
        }),
        [plain]
    );
    assert_eq!(
        find(KeyFilter {
            state: Some(KeyState::Revoked),
            ..KeyFilter::default()
        }),
        [percent]
    );
    assert_eq!(
        find(KeyFilter {
            role: Some(Role::Admin),
            ..KeyFilter::default()
        })
        .len(),
        0
    );
}

#[test]
fn a1_no_text_of_a_key_reaches_a_record_the_log_or_a_debug_print() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
    let desk = Desk {
        desk: Administration::new(store, |_| true),
        owner: Actor::local("command line"),
    };
    let made = desk.key();
    let id = made.key.value.id.clone();
    let rotated = desk
        .desk
        .rotate_key(&desk.act(), &id, Duration::from_mins(1))
        .unwrap();
    let log = desk.desk.audit(&desk.owner, None, 100).unwrap();
    let printed = format!(
        "{made:?} {rotated:?} {:?} {log:?}",
        desk.desk.accounts(&desk.owner)
    );
    let mut artefacts = vec![printed.into_bytes()];
    for file in std::fs::read_dir(folder.path()).unwrap() {
        artefacts.push(std::fs::read(file.unwrap().path()).unwrap());
    }
    for token in [made.token, rotated.token] {
        // The last four characters are kept on purpose.
        let canary = &token.expose()["sk-tg-".len()..token.expose().len() - 4];
        for artefact in &artefacts {
            let found = artefact
                .windows(canary.len())
                .any(|part| part == canary.as_bytes());
            assert!(!found);
        }
    }
}

#[test]
fn a_key_from_elsewhere_is_taken_over_once() {
    let desk = desk();
    let token = Token::generate(Role::Model).unwrap();
    let new = NewKey::named("from the environment", Role::Model);
    assert!(
        desk.desk
            .adopt_key(&desk.act(), &new, &token)
            .unwrap()
            .is_some()
    );
    assert!(
        desk.desk
            .adopt_key(&desk.act(), &new, &token)
            .unwrap()
            .is_none()
    );
    assert!(desk.call(token.secret().expose(), NOW).starts_with("key_"));
}

#[test]
fn a3_a_revocation_is_in_the_next_snapshot_and_shows_in_the_generation() {
    let desk = desk();
    for n in 0..200 {
        let MintedKey { key, token } = desk.key();
        let before = desk.desk.generation().unwrap();
        assert_eq!(desk.call(token.expose(), NOW), key.value.id, "{n}");
        desk.desk.revoke_key(&desk.act(), &key.value.id).unwrap();
        assert_eq!(desk.desk.generation().unwrap(), before + 1);
        assert_eq!(desk.call(token.expose(), NOW), "key_revoked", "{n}");
    }
}
