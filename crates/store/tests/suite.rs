//! What every store must do, written once and run against each.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

use tollgate_base::UnixMillis;
use tollgate_policy::key::{KeyRecord, KeyStore, Role, Token};
use tollgate_store::{MemoryStore, SqliteStore};

fn key(id: &str, role: Role) -> KeyRecord {
    KeyRecord {
        id: id.to_owned(),
        name: format!("name of {id}"),
        role,
        digest: Token::generate(role).unwrap().digest(),
        created_at: UnixMillis(1_700_000_000_000),
        expires_at: Some(UnixMillis(u64::MAX >> 1)),
        revoked_at: None,
    }
}

fn keys_come_back_as_they_were_added(store: &dyn KeyStore) {
    let keys = [key("key_1", Role::Admin), key("key_2", Role::Model)];
    for key in &keys {
        store.add_key(key).unwrap();
    }
    assert_eq!(store.keys().unwrap(), keys);
}

fn a_second_key_with_the_same_id_or_text_is_a_conflict(store: &dyn KeyStore) {
    let first = key("key_1", Role::Model);
    store.add_key(&first).unwrap();
    let same_id = KeyRecord {
        digest: key("x", Role::Model).digest,
        ..first.clone()
    };
    let same_text = KeyRecord {
        id: "key_2".to_owned(),
        ..first.clone()
    };
    for twin in [same_id, same_text] {
        assert_eq!(store.add_key(&twin).unwrap_err().code(), "conflict");
    }
    assert_eq!(store.keys().unwrap(), [first]);
}

macro_rules! store_suite {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $case() { super::$case(&super::MemoryStore::default()); })+
        }
        mod sqlite {
            $(#[test] fn $case() {
                let folder = tempfile::tempdir().unwrap();
                super::$case(&super::SqliteStore::open(folder.path()).unwrap());
            })+
        }
    };
}

store_suite!(
    keys_come_back_as_they_were_added,
    a_second_key_with_the_same_id_or_text_is_a_conflict
);

#[test]
fn sqlite_keeps_its_keys_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let kept = key("key_1", Role::Model);
    SqliteStore::open(folder.path())
        .unwrap()
        .add_key(&kept)
        .unwrap();
    assert_eq!(
        SqliteStore::open(folder.path()).unwrap().keys().unwrap(),
        [kept]
    );
}
