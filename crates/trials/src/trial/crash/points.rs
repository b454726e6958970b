//! The 28 points at which the gateway is killed, and what brings it to each.

use crate::dice::Dice;

/// A named place in the program, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) name: &'static str,
    pub(super) way: Way,
    passes: Passes,
}

/// What is done while calls are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing else.
    Calls,
    /// So many short calls that a file of the journal is full.
    FullJournal,
    /// The key of the calls gets a new text through the admin API.
    Rotation,
    /// Rules are made through the admin API.
    Rules,
    /// The gateway is killed, and dies again at the point as it starts.
    Recovery,
    /// The very first start dies; the calls come after it.
    FirstStart,
}

/// The passes at which the process may die. They leave out those that are made while the streams open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// Each call passes once as it begins, the open streams did.
    OfBeginnings,
    /// Every event of every stream passes; the first few of each come as it opens.
    OfEvents,
    /// Calls pass as they end, which the open streams do not.
    OfEnds,
    /// Each has its turn.
    InTurn { first: u64, last: u64 },
}

/// Requests that are no calls: whether the service is ready is asked until it is.
const MARGIN: u64 = 10;
/// Prime to the number of turns of every point: all of them come, and few kills have early ones and late ones.
const STRIDE: u64 = 7;

/// Each is reached at every kill, or the trial fails.
pub(super) const POINTS: &[Point] = &[
    calls("after-accept", Passes::OfBeginnings),
    calls("after-auth", Passes::OfBeginnings),
    calls("after-limits", Passes::OfBeginnings),
    calls("after-reserve", Passes::OfBeginnings),
    calls("before-open-write", Passes::OfBeginnings),
    calls("after-open-write", Passes::OfBeginnings),
    calls("after-connect", Passes::OfBeginnings),
    calls("after-head-sent", Passes::OfBeginnings),
    calls("mid-body", Passes::OfBeginnings),
    calls("after-body", Passes::OfBeginnings),
    calls("after-resp-head", Passes::OfBeginnings),
    calls("after-first-event", Passes::OfBeginnings),
    calls("mid-stream", Passes::OfEvents),
    calls("after-usage", Passes::OfEnds),
    calls("before-settle-write", Passes::OfEnds),
    calls("after-settle-write", Passes::OfEnds),
    calls("after-client-fin", Passes::OfEnds),
    calls("before-sync", Passes::OfEnds),
    // The first batch of entries may go before all streams are open.
    in_turn("ship-before-send", Way::Calls, 2, 6),
    in_turn("ship-after-send", Way::Calls, 2, 6),
    in_turn("ship-after-commit", Way::Calls, 2, 6),
    in_turn("checkpoint", Way::Calls, 2, 6),
    in_turn("journal-rotate", Way::FullJournal, 1, 1),
    // Once before the change is committed, once after it.
    in_turn("key-rotate-mid", Way::Rotation, 1, 2),
    // The first pass is the service's own look at its start.
    in_turn("config-swap", Way::Rules, 2, 6),
    // Once before the store has what the file holds, once after it.
    in_turn("recovery-replay", Way::Recovery, 1, 2),
    in_turn("recovery-close", Way::Recovery, 1, 40),
    // After each step that brings an empty database to the present schema.
    in_turn("migrate-step", Way::FirstStart, 1, 5),
];

/// A point that calls pass by themselves.
const fn calls(name: &'static str, passes: Passes) -> Point {
    Point {
        name,
        way: Way::Calls,
        passes,
    }
}

const fn in_turn(name: &'static str, way: Way, first: u64, last: u64) -> Point {
    Point {
        name,
        way,
        passes: Passes::InTurn { first, last },
    }
}

impl Point {
    /// The value of `TOLLGATE_CRASH_AT` for one kill with so many streams open.
    pub(super) fn pass(&self, turn: u64, streams: usize, dice: &mut Dice) -> String {
        let streams = streams.max(1) as u64;
        let pass = match self.passes {
            Passes::OfBeginnings => dice.between(streams + MARGIN, streams * 2 + MARGIN),
            Passes::OfEvents => dice.between(streams * 5, streams * 20),
            Passes::OfEnds => dice.between(1, streams),
            Passes::InTurn { first, last } => first + turn * STRIDE % (last - first + 1),
        };
        format!("{}:{pass}", self.name)
    }
}

/// The points that a word names: `all`, `calls` (those that plain calls reach), or names with commas between.
pub(super) fn chosen(word: &str) -> Result<Vec<Point>, String> {
    let all = || POINTS.iter().copied();
    match word {
        "all" => Ok(all().collect()),
        "calls" => Ok(all().filter(|point| point.way == Way::Calls).collect()),
        names => names
            .split(',')
            .map(|name| {
                all().find(|point| point.name == name).ok_or_else(|| {
                    let names: Vec<&str> = all().map(|point| point.name).collect();
                    format!("there is no point `{name}`: one of {}", names.join(", "))
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_28_points_with_names_of_their_own() {
        let names: BTreeSet<&str> = POINTS.iter().map(|point| point.name).collect();
        assert_eq!((POINTS.len(), names.len()), (28, 28));
        assert_eq!(chosen("all").unwrap().len(), 28);
    }

    #[test]
    fn names_choose_points_in_their_order_and_a_wrong_one_is_said() {
        let found = chosen("checkpoint,after-accept").unwrap();
        assert_eq!(
            (found[0].name, found[1].name),
            ("checkpoint", "after-accept")
        );
        assert!(
            chosen("checkpoint,nowhere")
                .unwrap_err()
                .contains("`nowhere`")
        );
    }

    #[test]
    fn a_pass_lies_where_the_point_has_it_and_few_have_their_turns() {
        let mut dice = Dice::new(3);
        let mut passes = |name: &str| -> BTreeSet<u64> {
            let point = chosen(name).unwrap()[0];
            (0..5)
                .map(|turn| {
                    let drawn = point.pass(turn, 50, &mut dice);
                    let (of, pass) = drawn.split_once(':').unwrap();
                    assert_eq!(of, name);
                    pass.parse().unwrap()
                })
                .collect()
        };
        assert_eq!(passes("migrate-step"), BTreeSet::from([1, 2, 3, 4, 5]));
        assert_eq!(passes("config-swap"), BTreeSet::from([2, 3, 4, 5, 6]));
        assert_eq!(passes("key-rotate-mid"), BTreeSet::from([1, 2]));
        assert_eq!(passes("recovery-close"), BTreeSet::from([1, 8, 15, 22, 29]));
        // With 50 streams open the next call is at least the 51st.
        assert!(passes("after-auth").iter().all(|pass| *pass > 50));
        assert!(passes("after-usage").iter().all(|pass| *pass <= 50));
    }
}
