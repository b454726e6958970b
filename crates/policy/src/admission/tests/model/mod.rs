//! Random sequences of calls, ends, waits, steps of the wall clock, changes of size and rules that are removed, made
//! and made again, against a list of everything that happened: B1, B2 in both directions, B4 and B5 over all
//! stretches, B6, B8, B10, B11.
//!
//! A rule is made in three steps (its counters begin, the ledger is flushed, the counters are told), and anything may
//! happen in between. From then on it counts what the list says, as if it had always been there.

mod rules;
mod run;

use proptest::prelude::*;

use self::{rules::RULES, run::Run};
use super::{
    list::{Asked, End},
    *,
};

const DAY: u64 = 86_400_000;

#[derive(Clone, Debug)]
enum Op {
    Call(Place, Asked),
    /// A call, by somebody who read the rules before they changed.
    LateCall(Place, Asked),
    /// One of the open calls ends.
    End(usize, End),
    /// The ledger has how one of the open calls ends; its hold has not ended yet.
    Write(usize, End),
    /// An attempt of one of the open calls failed, and used this.
    Attempt(usize, u64, u64),
    /// What was written down comes into the store.
    Ship,
    /// A rule is removed, or made: its counters begin.
    Toggle(usize),
    /// A rule is removed and begins to be made again.
    Again(usize),
    /// The next step of that: the ledger is flushed, or the rules come into force.
    Proceed,
    /// The ledger cannot be asked.
    Fail,
    /// Both clocks go on.
    Wait(u64),
    /// The wall clock is set, by so many milliseconds.
    Step(i64),
    /// A rule is given another size.
    Resize(usize, u64),
}

/// Where a call comes from and goes to.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The key `a`, in the team; else `b`, in none.
    pub(super) in_team: bool,
    /// Whether the attempt goes to the model that has limits of its own.
    pub(super) to_model: bool,
    /// How long the call took from its look at the clock to the counters.
    pub(super) late: u64,
}

fn call() -> impl Strategy<Value = (Place, Asked)> {
    let late = prop_oneof![3 => Just(0_u64), 1 => 0_u64..300];
    let place = (any::<bool>(), any::<bool>(), late);
    let place = place.prop_map(|(in_team, to_model, late)| Place {
        in_team,
        to_model,
        late,
    });
    let asked = (
        prop::bool::weighted(0.9),
        0_u64..60,
        0_u64..60,
        prop::option::weighted(0.8, 0_u64..60),
    );
    let asked = asked.prop_map(|(counts, input, output, money)| Asked {
        counts,
        input,
        output,
        money,
    });
    (place, asked)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let used = || (0_u64..70, 0_u64..70, 0_u64..70);
    let end = prop_oneof![
        4 => used().prop_map(|(input, output, cost)| End::Exact(input, output, cost)),
        1 => used().prop_map(|(input, output, cost)| End::AtLeast(input, output, cost)),
        1 => Just(End::Nothing),
        1 => Just(End::Dropped),
    ];
    let wait = prop_oneof![0_u64..50, 0_u64..2_000, 0_u64..70_000, 0_u64..DAY];
    let step = prop_oneof![-3_600_000_i64..3_600_000, -40_i64..40];
    let op = prop_oneof![
        10 => call().prop_map(|(place, asked)| Op::Call(place, asked)),
        1 => call().prop_map(|(place, asked)| Op::LateCall(place, asked)),
        2 => (any::<usize>(), end.clone()).prop_map(|(which, end)| Op::Write(which, end)),
        1 => (any::<usize>(), 0_u64..30, 0_u64..30)
            .prop_map(|(which, input, output)| Op::Attempt(which, input, output)),
        1 => Just(Op::Ship),
        2 => (0..RULES).prop_map(Op::Toggle),
        2 => (0..RULES).prop_map(Op::Again),
        8 => Just(Op::Proceed),
        1 => Just(Op::Fail),
        5 => (any::<usize>(), end).prop_map(|(which, end)| Op::End(which, end)),
        4 => wait.prop_map(Op::Wait),
        2 => step.prop_map(Op::Step),
        1 => (0..RULES, 0_u64..8).prop_map(|(which, size)| Op::Resize(which, size)),
    ];
    prop::collection::vec(op, 1..50)
}

proptest! {
    #![proptest_config(super::cases(10_000))]

    #[test]
    fn every_decision_is_the_one_that_the_list_of_all_events_demands(
        sizes in prop::collection::vec(1_u64..8, RULES),
        on in prop::array::uniform13(prop::bool::weighted(0.6)),
        ops in ops(),
    ) {
        let mut run = Run::new(sizes, on);
        for op in ops {
            match op {
                Op::Call(place, asked) => run.call(place, asked, false)?,
                Op::LateCall(place, asked) => run.call(place, asked, true)?,
                Op::End(which, end) => run.end(which, end),
                Op::Write(which, end) => run.write(which, end),
                Op::Attempt(which, input, output) => run.attempt(which, input, output),
                Op::Ship => run.shipped = run.written,
                Op::Toggle(which) => run.toggle(which),
                Op::Again(which) => {
                    while run.making.is_some() || run.on[which] {
                        run.toggle(which);
                        run.proceed();
                    }
                    run.toggle(which);
                }
                Op::Proceed => run.proceed(),
                Op::Fail => drop(run.making.take()),
                Op::Wait(millis) => {
                    run.now += ms(millis);
                    run.wall += millis;
                }
                Op::Step(millis) => run.wall = run.wall.saturating_add_signed(millis),
                Op::Resize(which, size) => {
                    run.sizes[which] = size;
                    run.enforce();
                    run.resized = true;
                }
            }
        }
        run.holds_everywhere()?;
        run.conserves()?;
    }
}
