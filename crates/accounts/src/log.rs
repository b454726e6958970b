//! The audit log, read and checked; and entries for what is administered elsewhere.

use tollgate_base::Result;
use tollgate_policy::{
    audit::{AuditDraft, AuditEntry, AuditHead, ChainCheck, ChainFault},
    key::Permission,
};

use crate::{ATTEMPTS, Act, Actor, Administration, conflict};

/// How many entries are read at a time.
const PAGE: usize = 1_000;

/// What a check of the whole log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The end of the log; kept elsewhere, it shows later that the log up to here is still the same.
    pub head: AuditHead,
    /// The first place that is wrong.
    pub fault: Option<ChainFault>,
}

impl Administration {
    /// The newest entries before the number `before`, or of all, the newest first.
    pub fn audit(
        &self,
        actor: &Actor,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<AuditEntry>> {
        actor.role.require(Permission::ReadAudit)?;
        let end = before.unwrap_or(self.store.audit_head()?.number.saturating_add(1));
        let from = end.saturating_sub(most as u64).max(1);
        let wanted = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut entries = self.store.audit(from, wanted)?;
        entries.reverse();
        Ok(entries)
    }

    /// Checks the whole log.
    pub fn verify_audit(&self, actor: &Actor) -> Result<AuditReport> {
        actor.role.require(Permission::ReadAudit)?;
        let head = self.store.audit_head()?;
        let mut check = ChainCheck::default();
        let mut from = 1;
        loop {
            // What is written during the check is left for the next one.
            let mut entries = self.store.audit(from, PAGE)?;
            entries.retain(|entry| entry.number <= head.number);
            let Some(last) = entries.last() else { break };
            from = last.number.saturating_add(1);
            for entry in &entries {
                if let Err(fault) = check.push(entry) {
                    let fault = Some(fault);
                    return Ok(AuditReport { head, fault });
                }
            }
        }
        let fault = check.finish(&head).err();
        Ok(AuditReport { head, fault })
    }

    /// Writes an entry for a change that was made elsewhere: prices, credentials, a lost attempt. The states are
    /// JSON without secrets.
    pub fn note(
        &self,
        act: &Act<'_>,
        action: &str,
        object: &str,
        states: (Option<String>, Option<String>),
    ) -> Result<AuditEntry> {
        let draft = AuditDraft {
            at: act.at,
            actor: act.actor.name.clone(),
            action: action.to_owned(),
            object: object.to_owned(),
            before: states.0,
            after: states.1,
        };
        for _ in 0..ATTEMPTS {
            let generation = self.store.generation()?;
            if let Some(entry) = self.store.commit(generation, &[], &draft)? {
                return Ok(entry);
            }
        }
        Err(conflict(
            "Others change the accounts at the same time. Try again.",
        ))
    }
}
