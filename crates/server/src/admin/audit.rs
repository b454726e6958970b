//! The audit log.

use std::fmt::Write as _;

use tollgate_api::{AuditCheck, AuditEntry, Page, Timestamp, raw};
use tollgate_base::Result;
use tollgate_policy::audit::{self, Seal};

use super::{Desk, asked::Asked, reply::Reply};

impl Desk {
    pub(super) fn list_audit(&self, asked: &Asked) -> Result<Reply> {
        let size = asked.page_size();
        let found = self
            .accounts
            .audit(&asked.actor, asked.after_number()?, size)?;
        let last = found.last().map(|entry| entry.number);
        let next = last.filter(|number| *number > 1 && found.len() == size);
        Ok(Reply::json(&Page {
            data: found.into_iter().map(shown).collect(),
            next: next.map(|number| number.to_string()),
        }))
    }

    pub(super) fn verify_audit(&self, asked: &Asked) -> Result<Reply> {
        let report = self.accounts.verify_audit(&asked.actor)?;
        Ok(Reply::json(&AuditCheck {
            sound: report.fault.is_none(),
            entries: report.head.number,
            head: hex(&report.head.seal),
            fault_at: report.fault.map(|fault| fault.number),
            fault: report.fault.map(|fault| fault.what),
        }))
    }
}

fn shown(entry: audit::AuditEntry) -> AuditEntry {
    AuditEntry {
        number: entry.number,
        at: Timestamp(entry.what.at),
        actor: entry.what.actor,
        action: entry.what.action,
        object: entry.what.object,
        before: entry.what.before.and_then(raw),
        after: entry.what.after.and_then(raw),
        previous: hex(&entry.previous),
        seal: hex(&entry.seal),
    }
}

fn hex(seal: &Seal) -> String {
    seal.iter().fold(String::new(), |mut out, byte| {
        if write!(out, "{byte:02x}").is_err() {
            // A string does not fail to grow.
        }
        out
    })
}
