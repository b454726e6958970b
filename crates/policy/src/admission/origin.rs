//! What a counter began with, and what of a call's end is in it already.
//!
//! The ledger's journal has one order. A counter that is restored holds every record up to one of them; of what
//! ends afterwards it takes the later ones alone. So each record counts once, whether the call that wrote it
//! ended before the ledger was read, meanwhile or later.

use tollgate_base::UnixMillis;

/// A record of the ledger's journal that says what an attempt came to. Its figures are the ledger's: of what is not
/// exact, at least what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub number: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// What a counter began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Told(Told),
    /// That is being asked, by the restoration of this number: what ends meanwhile waits for the answer.
    Asked(u64),
}

/// What the ledger told a counter: every record up to one of them, of calls that were admitted from an instant on
/// and before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) as_of: u64,
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
}

/// What a counter knows already of a call that ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) has_rows: bool,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Origin::Told(Told::default())
    }
}

impl Origin {
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Origin::Asked(_))
    }

    /// What of these records of a call is in the counter.
    pub(super) fn known(self, admitted: UnixMillis, rows: &[Row]) -> Known {
        let told = match self {
            Origin::Told(told) if told.from <= admitted && admitted < told.until => told,
            Origin::Told(_) | Origin::Asked(_) => return Known::default(),
        };
        let rows = rows.iter().filter(|row| row.number <= told.as_of);
        rows.fold(Known::default(), |known, row| Known {
            has_rows: true,
            input_tokens: known.input_tokens.saturating_add(row.input_tokens),
            output_tokens: known.output_tokens.saturating_add(row.output_tokens),
        })
    }
}
