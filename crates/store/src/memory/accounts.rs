//! Accounts in memory.

use tollgate_base::{Result, UnixMillis};
use tollgate_policy::{
    account::{AccountStore, Accounts, Change, Record},
    audit::{AuditDraft, AuditEntry, AuditHead},
};

use super::MemoryStore;
use crate::same_digest;

#[derive(Debug, Default)]
pub(super) struct Held {
    accounts: Accounts,
    audit: Vec<AuditEntry>,
}

impl Held {
    fn head(&self) -> AuditHead {
        self.audit.last().map(AuditEntry::head).unwrap_or_default()
    }
}

impl AccountStore for MemoryStore {
    fn accounts(&self) -> Result<Accounts> {
        Ok(self.accounts.lock().accounts.clone())
    }

    fn generation(&self) -> Result<u64> {
        Ok(self.accounts.lock().accounts.generation)
    }

    fn commit(
        &self,
        based_on: u64,
        changes: &[Change],
        audit: &AuditDraft,
    ) -> Result<Option<AuditEntry>> {
        let mut held = self.accounts.lock();
        if held.accounts.generation != based_on {
            return Ok(None);
        }
        let entry = held.head().next(audit.clone());
        let mut changed = held.accounts.clone();
        for change in changes {
            if let Change::Put(record) = change
                && let Record::Key(key) = &**record
                && changed
                    .keys
                    .values()
                    .any(|known| known.value.id != key.id && known.value.digest == key.digest)
            {
                return Err(same_digest());
            }
            changed.apply(entry.number, std::slice::from_ref(change));
        }
        changed.generation = entry.number;
        held.accounts = changed;
        held.audit.push(entry.clone());
        Ok(Some(entry))
    }

    fn audit(&self, from: u64, most: usize) -> Result<Vec<AuditEntry>> {
        let held = self.accounts.lock();
        let wanted = held.audit.iter().filter(|entry| entry.number >= from);
        Ok(wanted.take(most).cloned().collect())
    }

    fn audit_head(&self) -> Result<AuditHead> {
        Ok(self.accounts.lock().head())
    }

    fn touch_keys(&self, uses: &[(String, UnixMillis)]) -> Result<()> {
        let known = &mut self.accounts.lock().accounts.last_used;
        for (id, at) in uses {
            let last = known.entry(id.clone()).or_default();
            *last = (*last).max(*at);
        }
        Ok(())
    }
}
