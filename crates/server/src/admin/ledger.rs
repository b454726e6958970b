//! How the ledger is, and whether it is sound.

use tollgate_api::{Alarms, Finding, LedgerCheck, LedgerHealth};
use tollgate_base::{Error, Kind, Result};
use tollgate_ledger::{Refusal, verify};

use super::{Desk, reply::Reply};

/// How many findings are told.
const MAX_FINDINGS: usize = 1_000;

impl Desk {
    pub(super) fn ledger_health(&self) -> Reply {
        let health = self.shared.books.ledger.health();
        let alarms = health.alarms;
        Reply::json(&LedgerHealth {
            ready: health.ready,
            refuses: health.refuses.map(|refusal| match refusal {
                Refusal::Full => "storage_full",
                Refusal::Unavailable => "storage_unavailable",
            }),
            disk_error: health.disk_error,
            store_error: health.store_error,
            waiting_entries: health.waiting_rows,
            waiting_bytes: health.waiting_bytes,
            alarms: Alarms {
                torn_tails: alarms.torn_tails,
                damaged_files: alarms.damaged_files,
                missing_records: alarms.missing_records,
                dead_letters: alarms.dead_letters,
                write_failures: alarms.write_failures,
                sync_failures: alarms.sync_failures,
                store_failures: alarms.store_failures,
                parked: alarms.parked,
            },
        })
    }

    pub(super) fn ledger_verify(&self) -> Result<Reply> {
        let ledger = &self.shared.books.ledger;
        ledger.flush()?;
        let mut verified = verify::verify(&**ledger.store())?;
        let data = self.shared.snapshot.load().config.data_dir.clone();
        verify::verify_journal(&data, &mut verified).map_err(|_| {
            let message = "The journal could not be read.";
            Error::new(Kind::Overloaded, "storage_unavailable", message)
        })?;
        let findings = verified.findings.into_iter().take(MAX_FINDINGS);
        let findings: Vec<_> = findings
            .map(|found| Finding {
                rule: found.rule,
                message: found.message,
            })
            .collect();
        Ok(Reply::json(&LedgerCheck {
            sound: findings.is_empty(),
            attempts: verified.attempts,
            recomputed: verified.recomputed,
            journal_files: verified.journal_files,
            journal_records: verified.journal_records,
            findings,
        }))
    }
}
