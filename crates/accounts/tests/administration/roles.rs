//! Which role may make which change, and what happens to changes at once.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tollgate_accounts::{
    Act, Actor, Administration, KeyPatch, NewKey, NewLimit, ProjectPatch, TeamPatch,
};
use tollgate_policy::audit::ChainFault;
use tollgate_policy::key::{AdminRole, Role};
use tollgate_policy::rules::Measure;
use tollgate_policy::scope::Scope;
use tollgate_store::SqliteStore;

use crate::{NOW, budget, code, desk};

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
