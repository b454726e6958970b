//! What is kept and not written yet: objects are found again at once, and reach the store soon after, in order. And
//! what runs in the background.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    key::Caller,
    objects::{Object, ObjectKind, owned},
};

use super::followed::Followed;
use crate::gateway::Shared;

/// How long a response is remembered, as long as OpenAI keeps one.
pub(super) const KEEP_MILLIS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Objects that are held while the store cannot be written.
const MAX_UNWRITTEN: usize = 1000;

/// What is kept and not written yet, and what runs in the background.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    fresh: Mutex<HashMap<(ObjectKind, String), Object>>,
    /// Held while an object is written or deleted.
    writing: Mutex<()>,
    /// Held from the reading of a conversation to its next state.
    pub(crate) conversing: Mutex<()>,
    pub(super) running: Mutex<HashMap<String, AbortHandle>>,
    /// The responses that providers run in the background.
    pub(super) followed: Mutex<Followed>,
}

// === impl Shared ===

impl Shared {
    /// Keeps an object now and writes it soon, so that no stream on this thread waits for the disk.
    pub(crate) fn keep(self: &Arc<Self>, object: Object) {
        let (kind, id) = (object.kind, object.id.clone());
        let place = (kind, id.clone());
        self.memory.fresh.lock().insert(place, object);
        let shared = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.write(kind, &id) {
                tracing::error!("a {} was not written: {error}", kind.as_str());
                // It stays in memory for a caller who comes back soon, but not without end.
                let mut fresh = shared.memory.fresh.lock();
                if fresh.len() > MAX_UNWRITTEN {
                    fresh.remove(&(kind, id));
                }
            }
        });
    }

    /// Writes the newest state of an object, unless it is written already or was deleted. One writer at a time:
    /// an older state must not come after a newer one.
    fn write(&self, kind: ObjectKind, id: &str) -> Result<()> {
        let place = (kind, id.to_owned());
        let _writer = self.memory.writing.lock();
        let Some(object) = self.memory.fresh.lock().get(&place).cloned() else {
            return Ok(());
        };
        self.objects.put_object(&object)?;
        let oldest = UnixMillis(object.created_at.0.saturating_sub(KEEP_MILLIS));
        if matches!(kind, ObjectKind::Response | ObjectKind::Item) {
            self.objects.forget_objects(kind, oldest)?;
        }
        let mut fresh = self.memory.fresh.lock();
        if fresh.get(&place) == Some(&object) {
            fresh.remove(&place);
        }
        Ok(())
    }

    pub(crate) fn forget(&self, kind: ObjectKind, id: &str) -> Result<()> {
        let _writer = self.memory.writing.lock();
        self.memory.fresh.lock().remove(&(kind, id.to_owned()));
        self.objects.delete_object(kind, id).map(drop)
    }

    pub(crate) fn recent(&self, kind: ObjectKind, id: &str) -> Result<Option<Object>> {
        if let Some(object) = self.memory.fresh.lock().get(&(kind, id.to_owned())) {
            return Ok(Some(object.clone()));
        }
        self.objects.object(kind, id)
    }

    pub(super) fn response(&self, id: &str, caller: &Caller) -> Result<Object> {
        let kind = ObjectKind::Response;
        owned(self.recent(kind, id)?, kind, id, &caller.key_id)
    }
}
