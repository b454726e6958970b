//! What administrators may change, and what comes of it, against the store in memory.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

use std::{sync::Arc, thread, time::Duration};

use tollgate_accounts::{
    Act, Actor, Administration, KeyFilter, KeyPatch, MintedKey, NewBudget, NewKey, NewLimit,
    NewProject, NewTeam, Patch, ProjectPatch, ScopesInput, TeamPatch,
};
use tollgate_base::{Error, Money, UnixMillis};
use tollgate_policy::{
    audit::ChainFault,
    key::{AdminRole, KeyState, Role, Token},
    rules::{Measure, Period, Relief, Span},
    scope::Scope,
};
use tollgate_store::{MemoryStore, SqliteStore};

const NOW: UnixMillis = UnixMillis(1_000_000);

struct Desk {
    desk: Administration,
    owner: Actor,
}

fn desk() -> Desk {
    let is_zone = |zone: &str| matches!(zone, "UTC" | "Europe/Berlin");
    Desk {
        desk: Administration::new(Arc::new(MemoryStore::default()), is_zone),
        owner: Actor::local("command line"),
    }
}

impl Desk {
    fn act(&self) -> Act<'_> {
        Act::new(&self.owner, NOW)
    }

    fn key(&self) -> MintedKey {
        let new = NewKey::named("a key", Role::Model);
        self.desk.create_key(&self.act(), &new).unwrap()
    }

    fn team(&self) -> String {
        let new = NewTeam {
            name: "a team".to_owned(),
        };
        self.desk.create_team(&self.act(), &new).unwrap().value.id
    }

    fn project(&self, team_id: Option<&str>) -> String {
        let new = NewProject {
            name: "a project".to_owned(),
            team_id: team_id.map(str::to_owned),
        };
        let project = self.desk.create_project(&self.act(), &new);
        project.unwrap().value.id
    }

    /// What the call path says to a key's text at a time.
    fn call(&self, token: &str, now: UnixMillis) -> String {
        let ring = self.desk.snapshot().unwrap().keys;
        match ring.check(token, Role::Model, now) {
            Ok(caller) => caller.key_id.clone(),
            Err(error) => error.code().to_owned(),
        }
    }
}

fn budget(scope: Scope, dollars: &str) -> NewBudget {
    NewBudget {
        scope,
        limit: Money::parse(dollars).unwrap(),
        period: Period::Month,
        zone: None,
        hard: true,
        thresholds: vec![100, 80, 80],
    }
}

fn code<T>(result: Result<T, Error>) -> String {
    result.map_or_else(|error| error.code().to_owned(), |_| "done".to_owned())
}

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
fn a_patch_changes_the_fields_it_names_alone() {
    let desk = desk();
    let (team, key) = (desk.team(), desk.key().key.value);
    let patch = KeyPatch {
        owner: Patch::Set("Ada".to_owned()),
        team_id: Patch::Set(team.clone()),
        models: Some(vec!["openai/*".to_owned()]),
        max_output_tokens: Patch::Set(100),
        ..KeyPatch::default()
    };
    let patched = desk.desk.update_key(&desk.act(), &key.id, &patch).unwrap();
    assert_eq!(patched.value.owner.as_deref(), Some("Ada"));
    assert_eq!(patched.value.scopes.max_output_tokens, Some(100));
    assert_eq!(
        (&patched.value.name, patched.value.digest),
        (&key.name, key.digest)
    );
    let cleared = KeyPatch {
        owner: Patch::Clear,
        team_id: Patch::Clear,
        models: Some(Vec::new()),
        max_output_tokens: Patch::Clear,
        ..KeyPatch::default()
    };
    let cleared = desk
        .desk
        .update_key(&desk.act(), &key.id, &cleared)
        .unwrap();
    assert_eq!(cleared.value, key);
    let before = desk.desk.generation().unwrap();
    let nothing = desk
        .desk
        .update_key(&desk.act(), &key.id, &KeyPatch::default());
    assert_eq!(nothing.unwrap().version, cleared.version);
    assert_eq!(desk.desk.generation().unwrap(), before);
}

#[test]
fn p01_to_p10_values_out_of_bounds_are_refused_by_field() {
    let desk = desk();
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    let scoped = |scopes: ScopesInput| NewKey {
        scopes,
        ..NewKey::named("k", Role::Model)
    };
    let named = |name: &str| NewKey::named(name, Role::Model);
    let models = |list: &[&str]| ScopesInput {
        models: texts(list),
        ..ScopesInput::default()
    };
    let operations = |list: &[&str]| ScopesInput {
        operations: texts(list),
        ..ScopesInput::default()
    };
    let sources = |list: &[&str]| ScopesInput {
        sources: texts(list),
        ..ScopesInput::default()
    };
    for (new, param) in [
        (named(""), "name"),
        (named("  "), "name"),
        (named("a\nb"), "name"),
        (named(&"ä".repeat(129)), "name"),
        (
            NewKey {
                owner: Some("\u{7}".to_owned()),
                ..named("k")
            },
            "owner",
        ),
        (
            NewKey {
                expires_at: Some(NOW),
                ..named("k")
            },
            "expires_at",
        ),
        (
            NewKey {
                admin_role: Some(AdminRole::Viewer),
                ..named("k")
            },
            "admin_role",
        ),
        (
            NewKey {
                admin_role: None,
                ..NewKey::named("k", Role::Admin)
            },
            "admin_role",
        ),
        (
            NewKey {
                scopes: models(&["x"]),
                ..NewKey::named("k", Role::Admin)
            },
            "role",
        ),
        (scoped(models(&[""])), "models"),
        (scoped(models(&["*x"])), "models"),
        (scoped(models(&vec!["x"; 1001])), "models"),
        (scoped(operations(&["embedings"])), "operations"),
        (scoped(sources(&["10.0.0.1/8"])), "sources"),
        (
            scoped(ScopesInput {
                max_output_tokens: Some(0),
                ..ScopesInput::default()
            }),
            "max_output_tokens",
        ),
    ] {
        let error = desk.desk.create_key(&desk.act(), &new).unwrap_err();
        assert_eq!(error.param(), Some(param), "{error:?}");
        assert!(matches!(error.code(), "invalid_value" | "missing_field"));
    }
    for name in [
        "<img src=x onerror=alert(1)>",
        "\u{202e}x",
        "🗝",
        "javascript:x",
        &"x".repeat(256),
    ] {
        let made = desk.desk.create_key(&desk.act(), &named(name)).unwrap();
        assert_eq!(made.key.value.name, name);
    }
}

#[test]
fn p02_a_budget_of_zero_blocks_and_what_is_no_amount_is_refused() {
    let desk = desk();
    let zero = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "0"))
        .unwrap();
    assert_eq!(
        (zero.value.limit, &zero.value.thresholds),
        (Money::ZERO, &vec![80, 100])
    );
    for (change, param) in [
        (
            NewBudget {
                limit: Money::from_nanos(-1),
                ..budget(Scope::Gateway, "1")
            },
            "limit",
        ),
        (
            NewBudget {
                limit: Money::MAX,
                ..budget(Scope::Gateway, "1")
            },
            "limit",
        ),
        (
            NewBudget {
                zone: Some("Mars/Base".to_owned()),
                ..budget(Scope::Gateway, "1")
            },
            "zone",
        ),
        (
            NewBudget {
                thresholds: vec![0],
                ..budget(Scope::Gateway, "1")
            },
            "thresholds",
        ),
        (
            NewBudget {
                thresholds: vec![201],
                ..budget(Scope::Gateway, "1")
            },
            "thresholds",
        ),
    ] {
        let error = desk.desk.put_budget(&desk.act(), &change).unwrap_err();
        assert_eq!(error.param(), Some(param));
    }
}

#[test]
fn there_is_one_rule_for_each_scope_and_measure_and_relief_survives_a_replacement() {
    let desk = desk();
    let first = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "10"))
        .unwrap();
    let relief = Relief {
        limit: Money::parse("20").unwrap(),
        until: UnixMillis(NOW.0 + 1),
    };
    desk.desk
        .relieve_budget(&desk.act(), &first.value.id, Some(relief))
        .unwrap();
    let second = desk
        .desk
        .put_budget(&desk.act(), &budget(Scope::Gateway, "5"))
        .unwrap();
    assert_eq!(
        (&second.value.id, second.value.relief),
        (&first.value.id, Some(relief))
    );
    assert_eq!(second.value.limit_at(NOW), relief.limit);
    let past = Relief {
        until: NOW,
        ..relief
    };
    let refused = desk
        .desk
        .relieve_budget(&desk.act(), &first.value.id, Some(past));
    assert_eq!(code(refused), "invalid_value");
    let measure = Measure::Requests(Span::Minute);
    for most in [60, 30] {
        let new = NewLimit {
            scope: Scope::Gateway,
            measure,
            most,
        };
        desk.desk.put_limit(&desk.act(), &new).unwrap();
    }
    let snapshot = desk.desk.snapshot().unwrap();
    assert_eq!((snapshot.limits.len(), snapshot.limits[0].most), (1, 30));
    assert_eq!(snapshot.budgets, [second.value]);
}

#[test]
fn p06_what_is_not_there_is_not_found_wherever_it_is_named() {
    let desk = desk();
    let act = desk.act();
    let absent = || Some("x_absent".to_owned());
    let key = |change: fn(&mut NewKey, Option<String>)| {
        let mut new = NewKey::named("k", Role::Model);
        change(&mut new, absent());
        code(desk.desk.create_key(&act, &new))
    };
    let limit = |scope| NewLimit {
        scope,
        measure: Measure::Concurrent,
        most: 1,
    };
    for outcome in [
        key(|new, id| new.project_id = id),
        key(|new, id| new.team_id = id),
        code(desk.desk.create_project(
            &act,
            &NewProject {
                name: "p".to_owned(),
                team_id: absent(),
            },
        )),
        code(
            desk.desk
                .put_limit(&act, &limit(Scope::Key("x".to_owned()))),
        ),
        code(
            desk.desk
                .put_limit(&act, &limit(Scope::Team("x".to_owned()))),
        ),
        code(
            desk.desk
                .put_budget(&act, &budget(Scope::Project("x".to_owned()), "1")),
        ),
        code(desk.desk.update_key(&act, "x", &KeyPatch::default())),
        code(desk.desk.rotate_key(&act, "x", Duration::ZERO)),
        code(desk.desk.revoke_key(&act, "x")),
        code(desk.desk.delete_key(&act, "x")),
        code(desk.desk.update_team(&act, "x", &TeamPatch::default())),
        code(desk.desk.delete_team(&act, "x")),
        code(
            desk.desk
                .update_project(&act, "x", &ProjectPatch::default()),
        ),
        code(desk.desk.delete_project(&act, "x")),
        code(desk.desk.relieve_budget(&act, "x", None)),
        code(desk.desk.delete_budget(&act, "x")),
        code(desk.desk.delete_limit(&act, "x")),
        code(desk.desk.team(&desk.owner, "x")),
    ] {
        assert_eq!(outcome, "not_found");
    }
    assert_eq!(desk.desk.generation().unwrap(), 0);
}

#[test]
fn p07_a_change_of_a_version_that_is_no_more_is_a_conflict() {
    let desk = desk();
    let key = desk.key().key;
    let rename = |name: &str| KeyPatch {
        name: Some(name.to_owned()),
        ..KeyPatch::default()
    };
    let act = desk.act().on_version(key.version);
    let renamed = desk
        .desk
        .update_key(&act, &key.value.id, &rename("b"))
        .unwrap();
    assert_eq!(
        code(desk.desk.update_key(&act, &key.value.id, &rename("c"))),
        "conflict"
    );
    assert_eq!(code(desk.desk.delete_key(&act, &key.value.id)), "conflict");
    let act = desk.act().on_version(renamed.version);
    desk.desk
        .update_key(&act, &key.value.id, &rename("c"))
        .unwrap();
}

#[test]
fn p08_what_is_in_use_and_the_last_owner_stay() {
    let desk = desk();
    let act = desk.act();
    let team = desk.team();
    let project = desk.project(Some(&team));
    let new = NewKey {
        project_id: Some(project.clone()),
        ..NewKey::named("k", Role::Model)
    };
    let key = desk.desk.create_key(&act, &new).unwrap().key.value.id;
    desk.desk
        .put_budget(&act, &budget(Scope::Team(team.clone()), "1"))
        .unwrap();
    assert_eq!(code(desk.desk.delete_team(&act, &team)), "conflict");
    assert_eq!(code(desk.desk.delete_project(&act, &project)), "conflict");
    desk.desk.delete_key(&act, &key).unwrap();
    desk.desk.delete_project(&act, &project).unwrap();
    desk.desk.delete_team(&act, &team).unwrap();
    assert!(desk.desk.snapshot().unwrap().budgets.is_empty());

    let admin = |role| {
        let new = NewKey {
            admin_role: Some(role),
            ..NewKey::named("admin", Role::Admin)
        };
        desk.desk.create_key(&act, &new).unwrap().key.value.id
    };
    let (last, _manager) = (admin(AdminRole::Owner), admin(AdminRole::Manager));
    let demotion = KeyPatch {
        admin_role: Some(AdminRole::Viewer),
        ..KeyPatch::default()
    };
    for refused in [
        code(desk.desk.revoke_key(&act, &last)),
        code(desk.desk.disable_key(&act, &last)),
        code(desk.desk.delete_key(&act, &last)),
        code(desk.desk.update_key(&act, &last, &demotion)),
    ] {
        assert_eq!(refused, "conflict");
    }
    admin(AdminRole::Owner);
    assert_eq!(code(desk.desk.update_key(&act, &last, &demotion)), "done");
}

#[test]
fn a5_each_role_may_make_exactly_the_changes_of_the_table() {
    let desk = desk();
    let (model, team, project) = (desk.key().key.value.id, desk.team(), desk.project(None));
    let admin = NewKey::named("admin", Role::Admin);
    let owner_key = desk
        .desk
        .create_key(&desk.act(), &admin)
        .unwrap()
        .key
        .value
        .id;
    let limit = NewLimit {
        scope: Scope::Gateway,
        measure: Measure::Concurrent,
        most: 1,
    };
    for role in AdminRole::ALL {
        let actor = Actor {
            name: "key_actor".to_owned(),
            role,
        };
        let act = Act::new(&actor, NOW);
        let keys = [
            code(desk.desk.create_key(&act, &NewKey::named("k", Role::Model))),
            code(desk.desk.update_key(&act, &model, &KeyPatch::default())),
            code(desk.desk.rotate_key(&act, &model, Duration::ZERO)),
            code(desk.desk.disable_key(&act, &model)),
            code(desk.desk.enable_key(&act, &model)),
            code(desk.desk.update_team(&act, &team, &TeamPatch::default())),
            code(
                desk.desk
                    .update_project(&act, &project, &ProjectPatch::default()),
            ),
            code(desk.desk.put_limit(&act, &limit)),
            code(desk.desk.put_budget(&act, &budget(Scope::Gateway, "1"))),
        ];
        let admins = [
            code(desk.desk.create_key(&act, &admin)),
            code(desk.desk.update_key(&act, &owner_key, &KeyPatch::default())),
            code(desk.desk.rotate_key(&act, &owner_key, Duration::ZERO)),
            code(desk.desk.enable_key(&act, &owner_key)),
        ];
        let word = |may: bool| if may { "done" } else { "role_not_allowed" };
        assert_eq!(keys, [word(role != AdminRole::Viewer); 9], "{role:?}");
        assert_eq!(admins, [word(role == AdminRole::Owner); 4], "{role:?}");
        assert!(desk.desk.accounts(&actor).is_ok() && desk.desk.audit(&actor, None, 1).is_ok());
    }
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
fn l12_changes_at_once_are_each_made_once_with_one_entry_in_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let desks: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
            Administration::new(store, |_| true)
        })
        .collect();
    let owner = Actor::local("command line");
    thread::scope(|scope| {
        for desk in &desks {
            scope.spawn(|| {
                for _ in 0..10 {
                    let new = NewKey::named("k", Role::Model);
                    desk.create_key(&Act::new(&owner, NOW), &new).unwrap();
                }
            });
        }
    });
    let report = desks[0].verify_audit(&owner).unwrap();
    assert_eq!((report.head.number, report.fault), (40, None::<ChainFault>));
    assert_eq!(desks[1].accounts(&owner).unwrap().keys.len(), 40);
    let newest = desks[2].audit(&owner, None, 3).unwrap();
    let numbers: Vec<_> = newest.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [40, 39, 38]);
    let older = desks[2].audit(&owner, Some(3), 10).unwrap();
    let numbers: Vec<_> = older.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [2, 1]);
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

#[test]
fn what_was_meant_and_is_gone_is_not_made_again() {
    let desk = desk();
    let new = NewLimit {
        scope: Scope::Gateway,
        measure: Measure::Concurrent,
        most: 1,
    };
    let made = desk.desk.put_limit(&desk.act(), &new).unwrap();
    desk.desk.delete_limit(&desk.act(), &made.value.id).unwrap();
    let late = desk.act().on_version(made.version);
    let error = desk.desk.put_limit(&late, &new).unwrap_err();
    assert_eq!(error.code(), "conflict");
    // The version 0 asks for there to be none yet.
    let first = desk.act().on_version(0);
    desk.desk.put_limit(&first, &new).unwrap();
    let error = desk.desk.put_limit(&first, &new).unwrap_err();
    assert_eq!(error.code(), "conflict");
}

#[test]
fn nobody_changes_his_own_admin_role() {
    let desk = desk();
    let admin = |name: &str| {
        let new = NewKey::named(name, Role::Admin);
        desk.desk
            .create_key(&desk.act(), &new)
            .unwrap()
            .key
            .value
            .id
    };
    let (own, other) = (admin("own"), admin("other"));
    let actor = Actor {
        name: own.clone(),
        role: AdminRole::Owner,
    };
    let demotion = KeyPatch {
        admin_role: Some(AdminRole::Viewer),
        ..KeyPatch::default()
    };
    let act = Act::new(&actor, NOW);
    let error = desk.desk.update_key(&act, &own, &demotion).unwrap_err();
    assert_eq!(error.code(), "conflict");
    desk.desk.update_key(&act, &other, &demotion).unwrap();
}
