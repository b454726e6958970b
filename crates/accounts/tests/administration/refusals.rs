//! What is refused: values out of bounds, what is not there, what is in use.

use std::time::Duration;

use tollgate_accounts::{
    KeyPatch, NewKey, NewLimit, NewProject, Patch, ProjectPatch, ScopesInput, TeamPatch,
};
use tollgate_policy::key::{AdminRole, Role};
use tollgate_policy::rules::Measure;
use tollgate_policy::scope::Scope;

use crate::{NOW, budget, code, desk};

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
