//! What every store must do with accounts, and what SQLite does besides.

use rusqlite::{Connection, params};
use tollgate_base::{Money, UnixMillis};
use tollgate_policy::{
    account::{AccountStore, Change, Project, Record, RecordKind, Team},
    audit::{AuditDraft, AuditEntry, verify_chain},
    key::{Digest, KeyRecord, Role, Token},
    rules::{BudgetRule, LimitRule, Measure, Period, Span},
    scope::Scope,
};
use tollgate_store::SqliteStore;

fn key(id: &str, role: Role) -> KeyRecord {
    let token = Token::generate(role).unwrap();
    KeyRecord::new(
        id,
        format!("name of {id}"),
        &token,
        UnixMillis(1_700_000_000_000),
    )
}

fn draft(action: &str) -> AuditDraft {
    AuditDraft {
        at: UnixMillis(5),
        actor: "test".to_owned(),
        action: action.to_owned(),
        object: "x".to_owned(),
        before: None,
        after: Some("{\"ż\":1}".to_owned()),
    }
}

fn commit(store: &dyn AccountStore, changes: &[Change]) -> AuditEntry {
    let generation = store.generation().unwrap();
    let entry = store.commit(generation, changes, &draft("change")).unwrap();
    entry.unwrap()
}

fn put(record: Record) -> Change {
    Change::put(record)
}

pub(super) fn records_come_back_as_they_were_put(store: &dyn AccountStore) {
    let records = [
        Record::Key(key("key_1", Role::Admin)),
        Record::Key(key("key_2", Role::Model)),
        Record::Team(Team {
            id: "team_1".to_owned(),
            name: "a team".to_owned(),
            created_at: UnixMillis(1),
            disabled_at: None,
        }),
        Record::Project(Project {
            id: "project_1".to_owned(),
            name: "a project".to_owned(),
            team_id: Some("team_1".to_owned()),
            created_at: UnixMillis(1),
            disabled_at: Some(UnixMillis(2)),
        }),
        Record::Budget(BudgetRule {
            id: "budget_1".to_owned(),
            scope: Scope::Team("team_1".to_owned()),
            limit: Money::from_nanos(1_000_000_001),
            period: Period::Month,
            zone: "UTC".to_owned(),
            hard: true,
            thresholds: vec![80],
            relief: None,
        }),
        Record::Limit(LimitRule {
            id: "limit_1".to_owned(),
            scope: Scope::Key("key_2".to_owned()),
            measure: Measure::Requests(Span::Minute),
            most: 60,
        }),
    ];
    let changes: Vec<_> = records.iter().cloned().map(put).collect();
    let entry = commit(store, &changes);
    let accounts = store.accounts().unwrap();
    let mut expected = tollgate_policy::account::Accounts::default();
    expected.apply(entry.number, &changes);
    assert_eq!(accounts, expected);

    let renamed = KeyRecord {
        name: "other".to_owned(),
        ..accounts.keys["key_2"].value.clone()
    };
    let later = [
        put(Record::Key(renamed.clone())),
        Change::delete(RecordKind::Limit, "limit_1"),
        Change::delete(RecordKind::Limit, "limit_absent"),
    ];
    let entry = commit(store, &later);
    let accounts = store.accounts().unwrap();
    assert_eq!(accounts.keys["key_2"].value, renamed);
    assert_eq!(accounts.keys["key_2"].version, entry.number);
    assert_eq!(accounts.keys["key_1"].version, entry.number - 1);
    assert!(accounts.limits.is_empty() && accounts.budgets.len() == 1);
}

pub(super) fn a_second_key_with_the_same_text_is_a_conflict_and_changes_nothing(
    store: &dyn AccountStore,
) {
    let first = key("key_1", Role::Model);
    commit(store, &[put(Record::Key(first.clone()))]);
    let (accounts, head) = (store.accounts().unwrap(), store.audit_head().unwrap());
    let twin = KeyRecord {
        id: "key_2".to_owned(),
        ..first
    };
    let changes = [
        put(Record::Key(key("key_3", Role::Model))),
        put(Record::Key(twin)),
    ];
    let refused = store.commit(head.number, &changes, &draft("twin"));
    assert_eq!(refused.unwrap_err().code(), "conflict");
    assert_eq!(store.accounts().unwrap(), accounts);
    assert_eq!(store.audit_head().unwrap(), head);
}

pub(super) fn a_change_decided_on_an_older_generation_is_not_made(store: &dyn AccountStore) {
    let before = store.generation().unwrap();
    commit(store, &[put(Record::Key(key("key_1", Role::Model)))]);
    let accounts = store.accounts().unwrap();
    assert_eq!(accounts.generation, before + 1);
    for stale in [before, before + 2] {
        let late = [Change::delete(RecordKind::Key, "key_1")];
        assert_eq!(store.commit(stale, &late, &draft("late")).unwrap(), None);
    }
    assert_eq!(store.accounts().unwrap(), accounts);
    assert_eq!(store.audit(1, 10).unwrap().len(), 1);
}

pub(super) fn each_change_has_one_entry_in_an_unbroken_chain(store: &dyn AccountStore) {
    for n in 0..200 {
        let record = Record::Key(key(&format!("key_{n}"), Role::Model));
        let entry = commit(store, &[put(record)]);
        assert_eq!(
            (entry.number, entry.head()),
            (n + 1, store.audit_head().unwrap())
        );
    }
    let entries = store.audit(1, usize::MAX).unwrap();
    assert_eq!(
        (entries.len(), store.accounts().unwrap().keys.len()),
        (200, 200)
    );
    assert_eq!(verify_chain(&entries, &store.audit_head().unwrap()), Ok(()));
    assert_eq!(entries[0].what, draft("change"));
}

pub(super) fn the_audit_log_is_read_in_pages(store: &dyn AccountStore) {
    assert_eq!(store.audit(1, 10).unwrap(), []);
    for _ in 0..5 {
        commit(store, &[]);
    }
    let numbers = |from, most| -> Vec<u64> {
        let page = store.audit(from, most).unwrap();
        page.iter().map(|entry| entry.number).collect()
    };
    assert_eq!(numbers(0, 2), [1, 2]);
    assert_eq!(numbers(4, 10), [4, 5]);
    assert!(numbers(6, 10).is_empty());
}

pub(super) fn the_last_use_of_a_key_only_moves_forward(store: &dyn AccountStore) {
    let generation = store.generation().unwrap();
    for at in [20, 10] {
        let uses = [("key_1".to_owned(), UnixMillis(at))];
        store.touch_keys(&uses).unwrap();
    }
    let accounts = store.accounts().unwrap();
    assert_eq!(accounts.last_used["key_1"], UnixMillis(20));
    assert_eq!(store.generation().unwrap(), generation);
}

#[test]
fn sqlite_keeps_accounts_over_a_restart_and_another_process_sees_the_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    let one = SqliteStore::open(folder.path()).unwrap();
    let other = SqliteStore::open(folder.path()).unwrap();
    commit(&one, &[put(Record::Key(key("key_1", Role::Model)))]);
    assert_eq!(other.generation().unwrap(), 1);
    commit(&other, &[put(Record::Key(key("key_2", Role::Model)))]);
    assert_eq!(one.generation().unwrap(), 2);
    let kept = one.accounts().unwrap();
    drop((one, other));
    assert_eq!(
        SqliteStore::open(folder.path())
            .unwrap()
            .accounts()
            .unwrap(),
        kept
    );
}

#[test]
fn sqlite_shows_a_log_whose_rows_were_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    for _ in 0..10 {
        commit(&store, &[]);
    }
    let intruder = Connection::open(folder.path().join(SqliteStore::FILE)).unwrap();
    assert!(
        intruder
            .execute("UPDATE audit SET actor = 'x'", [])
            .is_err()
    );
    assert!(intruder.execute("DELETE FROM audit", []).is_err());
    intruder
        .execute_batch("DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_deleted;")
        .unwrap();
    for (statement, fault) in [
        ("UPDATE audit SET actor = 'x' WHERE number = 7", 7),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number >= 3", 3),
    ] {
        intruder.execute(statement, []).unwrap();
        let entries = store.audit(1, usize::MAX).unwrap();
        let found = verify_chain(&entries, &store.audit_head().unwrap());
        assert_eq!(found.unwrap_err().number, fault, "{statement}");
    }
}

#[test]
fn keys_of_the_second_schema_are_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(SqliteStore::FILE);
    let (model, admin) = (key("key_1", Role::Model), key("key_2", Role::Admin));
    let old = Connection::open(&file).unwrap();
    old.execute_batch(
        "CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
            created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) STRICT;
         CREATE TABLE objects (kind TEXT NOT NULL, id TEXT NOT NULL, key_id TEXT NOT NULL, provider TEXT NOT NULL,
            created_at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
         PRAGMA user_version = 2;",
    )
    .unwrap();
    for (key, revoked) in [(&model, Some(9)), (&admin, None)] {
        old.execute(
            "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6)",
            params![
                key.id,
                key.name,
                key.role.as_str(),
                key.digest.0.as_slice(),
                1_700_000_000_000_i64,
                revoked
            ],
        )
        .unwrap();
    }
    drop(old);
    let store = SqliteStore::open(folder.path()).unwrap();
    let accounts = store.accounts().unwrap();
    for (key, revoked) in [(model, Some(UnixMillis(9))), (admin, None)] {
        let expected = KeyRecord {
            last_four: String::new(),
            revoked_at: revoked,
            ..key
        };
        assert_eq!(accounts.keys[&expected.id].value, expected);
    }
    let digest: Digest = accounts.keys["key_1"].value.digest;
    let twin = KeyRecord {
        digest,
        ..key("key_3", Role::Model)
    };
    let refused = store.commit(0, &[put(Record::Key(twin))], &draft("twin"));
    assert_eq!(refused.unwrap_err().code(), "conflict");
}
