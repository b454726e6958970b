//! A store that forgets everything when the process ends.

use parking_lot::Mutex;
use tollgate_base::{Error, Kind, Result};
use tollgate_policy::key::{KeyRecord, KeyStore};

#[derive(Debug, Default)]
pub struct MemoryStore {
    keys: Mutex<Vec<KeyRecord>>,
}

impl KeyStore for MemoryStore {
    fn keys(&self) -> Result<Vec<KeyRecord>> {
        Ok(self.keys.lock().clone())
    }

    fn add_key(&self, key: &KeyRecord) -> Result<()> {
        let mut keys = self.keys.lock();
        if keys
            .iter()
            .any(|known| known.id == key.id || known.digest == key.digest)
        {
            return Err(Error::new(
                Kind::Conflict,
                "conflict",
                "A key with this id or text exists already.",
            ));
        }
        keys.push(key.clone());
        Ok(())
    }
}
