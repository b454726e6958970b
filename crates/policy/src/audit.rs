//! The audit log: who changed what, when. Entries form a chain, each sealed over the one before, so that an
//! entry that is edited, taken out or moved is noticed.
//!
//! The chain shows tampering to somebody who knows its head from elsewhere (an exported anchor, a backup): who
//! can write the whole log can also write a new one.

use sha2::{Digest as _, Sha256};
use tollgate_base::UnixMillis;

/// A seal over everything up to an entry.
pub type Seal = [u8; 32];

/// One change, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counted from 1, without gaps.
    pub number: u64,
    pub what: AuditDraft,
    pub previous: Seal,
    pub seal: Seal,
}

/// One change before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditDraft {
    pub at: UnixMillis,
    /// The id of the admin key, or who acted without one (`command line`, `start`).
    pub actor: String,
    /// `key.create`, `budget.delete`, …
    pub action: String,
    /// The id of what was changed.
    pub object: String,
    /// The object as JSON before and after the change; secrets and their digests are left out.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// The number of the newest entry; 0 before the first.
    pub number: u64,
    pub seal: Seal,
}

/// Where a chain is broken: the number that the entry there should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFault {
    pub number: u64,
    pub what: &'static str,
}

/// Checks a chain from its beginning, entry by entry, so that a long log need not be in memory.
#[derive(Debug, Default)]
pub struct ChainCheck(AuditHead);

// === impl AuditHead ===

impl AuditHead {
    /// The entry that follows.
    pub fn next(&self, what: AuditDraft) -> AuditEntry {
        let number = self.number.saturating_add(1);
        AuditEntry {
            number,
            seal: seal(number, &self.seal, &what),
            previous: self.seal,
            what,
        }
    }
}

impl AuditEntry {
    /// The head of a chain that ends with this entry.
    pub fn head(&self) -> AuditHead {
        AuditHead {
            number: self.number,
            seal: self.seal,
        }
    }
}

// === impl ChainCheck ===

impl ChainCheck {
    /// Takes the next entry, in the order of their numbers.
    pub fn push(&mut self, entry: &AuditEntry) -> Result<(), ChainFault> {
        let number = self.0.number.saturating_add(1);
        let fault = |what| Err(ChainFault { number, what });
        if entry.number != number {
            return fault("an entry is missing or out of order");
        }
        if entry.previous != self.0.seal {
            return fault("the entry does not follow the one before it");
        }
        if entry.seal != seal(number, &entry.previous, &entry.what) {
            return fault("the entry was changed");
        }
        self.0 = entry.head();
        Ok(())
    }

    /// Says that all entries were pushed; `head` is what the store, or an anchor, says of the end.
    pub fn finish(self, head: &AuditHead) -> Result<(), ChainFault> {
        if self.0 == *head {
            return Ok(());
        }
        Err(ChainFault {
            number: self.0.number.saturating_add(1),
            what: "the log does not end where it should",
        })
    }
}

/// Checks a whole chain.
pub fn verify_chain<'a>(
    entries: impl IntoIterator<Item = &'a AuditEntry>,
    head: &AuditHead,
) -> Result<(), ChainFault> {
    let mut check = ChainCheck::default();
    for entry in entries {
        check.push(entry)?;
    }
    check.finish(head)
}

/// SHA-256 over the previous seal and the content, each part with its length before it, so that no two contents
/// read alike.
fn seal(number: u64, previous: &Seal, what: &AuditDraft) -> Seal {
    let AuditDraft {
        at,
        actor,
        action,
        object,
        before,
        after,
    } = what;
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(b"tollgate audit 1");
    add(previous);
    add(&number.to_be_bytes());
    add(&at.0.to_be_bytes());
    for text in [actor, action, object] {
        add(text.as_bytes());
    }
    for state in [before, after] {
        match state {
            Some(json) => {
                add(b"1");
                add(json.as_bytes());
            }
            None => add(b"0"),
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: u64) -> (Vec<AuditEntry>, AuditHead) {
        let mut head = AuditHead::default();
        let entries: Vec<_> = (0..length)
            .map(|n| {
                let entry = head.next(AuditDraft {
                    at: UnixMillis(n),
                    actor: "key_admin".to_owned(),
                    action: "key.update".to_owned(),
                    object: format!("key_{n}"),
                    before: (n % 3 != 0).then(|| format!("{{\"name\":\"{n}\"}}")),
                    after: (n % 2 == 0).then(|| "{}".to_owned()),
                });
                head = entry.head();
                entry
            })
            .collect();
        (entries, head)
    }

    /// Each way to edit one field of an entry.
    fn edits() -> Vec<fn(&mut AuditEntry)> {
        vec![
            |entry| entry.number += 1,
            |entry| entry.what.at.0 += 1,
            |entry| entry.what.actor.push('x'),
            |entry| entry.what.action.push('x'),
            |entry| entry.what.object.push('x'),
            |entry| {
                // What moves over the border of two fields is noticed, too.
                let last = entry.what.actor.pop().unwrap();
                entry.what.action.insert(0, last);
            },
            |entry| entry.what.before = toggled(entry.what.before.as_ref()),
            |entry| entry.what.after = toggled(entry.what.after.as_ref()),
            |entry| {
                let states = (entry.what.after.take(), Some("{\"x\":1}".to_owned()));
                (entry.what.before, entry.what.after) = states;
            },
            |entry| entry.previous[31] ^= 1,
            |entry| entry.seal[0] ^= 1,
        ]
    }

    fn toggled(state: Option<&String>) -> Option<String> {
        match state {
            Some(_) => None,
            None => Some(String::new()),
        }
    }

    #[test]
    fn an_edit_of_any_of_a_thousand_entries_is_noticed() {
        let (entries, head) = chain(1000);
        assert_eq!(verify_chain(&entries, &head), Ok(()));
        for entry in &entries {
            for (n, edit) in edits().into_iter().enumerate() {
                // What stands before the entry is sound; the check may start there.
                let mut edited = entry.clone();
                edit(&mut edited);
                assert_ne!(edited, *entry);
                let mut check = ChainCheck(AuditHead {
                    number: entry.number - 1,
                    seal: entry.previous,
                });
                let fault = check.push(&edited).unwrap_err();
                assert_eq!(fault.number, entry.number, "edit {n}");
            }
        }
    }

    #[test]
    fn an_entry_resealed_after_an_edit_breaks_the_next_one_or_the_head() {
        let (entries, head) = chain(20);
        for at in 0..entries.len() {
            let mut forged = entries.clone();
            forged[at].what.actor.push('x');
            forged[at].seal = seal(forged[at].number, &forged[at].previous, &forged[at].what);
            assert!(verify_chain(&forged, &head).is_err(), "at {at}");
        }
    }

    #[test]
    fn a_deletion_or_a_swap_of_any_of_a_thousand_entries_is_noticed() {
        let (entries, head) = chain(1000);
        for (at, entry) in entries.iter().enumerate() {
            // What stands before the entry is sound; the check may start there.
            let from_here = |rest: &[&AuditEntry]| {
                let mut check = ChainCheck(AuditHead {
                    number: entry.number - 1,
                    seal: entry.previous,
                });
                rest.iter().try_for_each(|next| check.push(next))?;
                check.finish(&head)
            };
            let rest: Vec<_> = entries[at..].iter().collect();
            let without = from_here(&rest[1..]);
            assert_eq!(without.unwrap_err().number, entry.number);
            if rest.len() > 1 {
                let swapped: Vec<_> = [&[rest[1], rest[0]], &rest[2..]].concat();
                let fault = from_here(&swapped).unwrap_err();
                assert_eq!(fault.number, entry.number);
            }
        }
    }
}
