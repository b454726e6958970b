//! A store that forgets everything when the process ends.

mod accounts;
mod ledger;

pub use ledger::MemoryLedger;

use parking_lot::Mutex;
use tollgate_base::{Result, UnixMillis};
use tollgate_policy::objects::{self, Object, ObjectKind, ObjectStore};

#[derive(Debug, Default)]
pub struct MemoryStore {
    accounts: Mutex<accounts::Held>,
    objects: Mutex<Vec<Object>>,
}

impl ObjectStore for MemoryStore {
    fn put_object(&self, object: &Object) -> Result<()> {
        let mut held = self.objects.lock();
        let is_taken = held.iter().any(|known| {
            is(known, object.kind, &object.id)
                && (known.key_id != object.key_id || known.provider != object.provider)
        });
        if is_taken {
            return Err(objects::taken(object));
        }
        held.retain(|known| !is(known, object.kind, &object.id));
        held.push(object.clone());
        Ok(())
    }

    fn object(&self, kind: ObjectKind, id: &str) -> Result<Option<Object>> {
        let objects = self.objects.lock();
        Ok(objects.iter().find(|object| is(object, kind, id)).cloned())
    }

    fn objects(&self, kind: ObjectKind, key_id: &str) -> Result<Vec<Object>> {
        let objects = self.objects.lock();
        let mut found: Vec<_> = objects
            .iter()
            .rev()
            .filter(|object| object.kind == kind && object.key_id == key_id)
            .cloned()
            .collect();
        found.sort_by_key(|object| std::cmp::Reverse(object.created_at));
        Ok(found)
    }

    fn delete_object(&self, kind: ObjectKind, id: &str) -> Result<bool> {
        let mut objects = self.objects.lock();
        let before = objects.len();
        objects.retain(|object| !is(object, kind, id));
        Ok(objects.len() < before)
    }

    fn forget_objects(&self, kind: ObjectKind, older_than: UnixMillis) -> Result<u64> {
        let mut objects = self.objects.lock();
        let before = objects.len();
        objects.retain(|object| object.kind != kind || object.created_at >= older_than);
        Ok((before - objects.len()) as u64)
    }
}

fn is(object: &Object, kind: ObjectKind, id: &str) -> bool {
    object.kind == kind && object.id == id
}
