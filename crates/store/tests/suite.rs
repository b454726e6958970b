//! What every store must do, written once and run against each.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

#[path = "suite/accounts.rs"]
mod accounts;

use accounts::{
    a_change_decided_on_an_older_generation_is_not_made,
    a_second_key_with_the_same_text_is_a_conflict_and_changes_nothing,
    each_change_has_one_entry_in_an_unbroken_chain, records_come_back_as_they_were_put,
    the_audit_log_is_read_in_pages, the_last_use_of_a_key_only_moves_forward,
};
use tollgate_base::UnixMillis;
use tollgate_policy::objects::{Object, ObjectKind, ObjectStore};
use tollgate_store::{MemoryStore, SqliteStore};

fn object(kind: ObjectKind, id: &str, key_id: &str, at: u64) -> Object {
    Object {
        kind,
        id: id.to_owned(),
        key_id: key_id.to_owned(),
        provider: "lab".to_owned(),
        created_at: UnixMillis(at),
        body: format!("{{\"id\":\"{id}\",\"text\":\"żółw\"}}"),
    }
}

fn objects_come_back_to_their_key_newest_first(store: &dyn ObjectStore) {
    let kept = [
        object(ObjectKind::File, "file-1", "key_a", 1),
        object(ObjectKind::File, "file-2", "key_a", 2),
        object(ObjectKind::File, "file-3", "key_b", 3),
        object(ObjectKind::Response, "file-1", "key_a", 4),
    ];
    for object in &kept {
        store.put_object(object).unwrap();
    }
    let files = store.objects(ObjectKind::File, "key_a").unwrap();
    assert_eq!(files, [kept[1].clone(), kept[0].clone()]);
    let found = store.object(ObjectKind::Response, "file-1").unwrap();
    assert_eq!(found, Some(kept[3].clone()));
    assert_eq!(store.object(ObjectKind::Job, "file-1").unwrap(), None);
}

fn an_object_is_replaced_deleted_and_forgotten(store: &dyn ObjectStore) {
    let mut response = object(ObjectKind::Response, "resp_1", "key_a", 5);
    store.put_object(&response).unwrap();
    "{}".clone_into(&mut response.body);
    store.put_object(&response).unwrap();
    assert_eq!(
        store.objects(ObjectKind::Response, "key_a").unwrap(),
        [response]
    );
    let stolen = object(ObjectKind::Response, "resp_1", "key_b", 6);
    assert_eq!(store.put_object(&stolen).unwrap_err().code(), "conflict");
    assert!(store.delete_object(ObjectKind::Response, "resp_1").unwrap());
    assert!(!store.delete_object(ObjectKind::Response, "resp_1").unwrap());
    for at in [10, 20, 30] {
        let old = object(ObjectKind::Response, &format!("resp_{at}"), "key_a", at);
        store.put_object(&old).unwrap();
    }
    let forgotten = store.forget_objects(ObjectKind::Response, UnixMillis(30));
    assert_eq!(forgotten.unwrap(), 2);
    assert_eq!(
        store.objects(ObjectKind::Response, "key_a").unwrap().len(),
        1
    );
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
    records_come_back_as_they_were_put,
    a_second_key_with_the_same_text_is_a_conflict_and_changes_nothing,
    a_change_decided_on_an_older_generation_is_not_made,
    each_change_has_one_entry_in_an_unbroken_chain,
    the_audit_log_is_read_in_pages,
    the_last_use_of_a_key_only_moves_forward,
    objects_come_back_to_their_key_newest_first,
    an_object_is_replaced_deleted_and_forgotten,
);
