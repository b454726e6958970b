//! Who calls what in the simulated hour, and under which rules.

use super::*;
use crate::scope::Scopes;

/// Choices that a seed repeats.
pub(super) struct Dice(u64);

/// A call as it is planned.
pub(super) struct Wish {
    pub(super) caller: Scopes,
    pub(super) whole: Asked,
    /// The attempts, one after the other: all but the last fail.
    pub(super) attempts: Vec<Try>,
    pub(super) how: How,
}

/// An attempt at one target.
pub(super) struct Try {
    pub(super) own: Scopes,
    pub(super) all: Scopes,
    /// What it can cost at most, and what it uses.
    pub(super) most: u64,
    pub(super) used: (u64, u64, u64),
    /// Until it ends, in microseconds.
    pub(super) takes: u64,
}

/// What is known of how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Exact,
    AtLeast,
    Nothing,
    Dropped,
}

const KEYS: u64 = 40;
const PROJECTS: u64 = 12;
const TEAMS: u64 = 4;
const ROUTES: u64 = 5;
const PROVIDERS: u64 = 3;
const SECOND: u64 = 1_000_000;

// === impl Dice ===

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    pub(super) fn chance(&mut self, of_thousand: u64) -> bool {
        self.below(1_000) < of_thousand
    }

    /// Small ones are as likely as large ones: between 2^`from` and 2^`to`.
    fn of_any_size(&mut self, from: u64, to: u64) -> u64 {
        let size = 1 << (from + self.below(to - from));
        size + self.below(size)
    }
}

// === calls ===

fn caller(number: u64, route: u64) -> Scopes {
    let project = number % PROJECTS;
    vec![
        Scope::Gateway,
        key(&number.to_string()),
        Scope::Team((project % TEAMS).to_string()),
        Scope::Project(project.to_string()),
        Scope::Model(format!("route-{route}")),
    ]
    .into()
}

/// The call of somebody. Keys with a small number call more often.
pub(super) fn wish(dice: &mut Dice) -> Wish {
    let number = dice.below(KEYS).min(dice.below(KEYS));
    let route = dice.below(ROUTES);
    let caller = caller(number, route);
    let whole = Asked {
        counts: true,
        input: dice.of_any_size(4, 13),
        output: dice.of_any_size(2, 11),
        money: None,
    };
    let how = match dice.below(100) {
        0..80 => How::Exact,
        80..92 => How::AtLeast,
        92..97 => How::Nothing,
        _ => How::Dropped,
    };
    let first = dice.below(PROVIDERS);
    let n_attempts = if dice.chance(60) { 2 } else { 1 };
    let attempts = (0..n_attempts).map(|n| {
        let provider = Scope::Provider(((first + n) % PROVIDERS).to_string());
        let target = Scope::Model(format!("{provider}/route-{route}"));
        let own: Scopes = vec![provider, target].into();
        let rate = 1 + (first + n) * 3;
        // A few use more than they asked for.
        let beyond = if dice.chance(30) { 2 } else { 1 };
        let input = dice.below(whole.input * beyond + 1);
        let output = dice.below(whole.output * beyond + 1);
        let takes = match dice.below(2_000) {
            0 => SECOND * (60 + dice.below(7_200)),
            1..1_200 => dice.of_any_size(12, 21),
            _ => dice.of_any_size(17, 28),
        };
        Try {
            all: caller
                .iter()
                .chain(&*own)
                .cloned()
                .collect::<Vec<_>>()
                .into(),
            own,
            most: (whole.input + whole.output * 4) * rate,
            used: (input, output, (input + output * 4) * rate),
            takes,
        }
    });
    Wish {
        attempts: attempts.collect(),
        caller,
        whole,
        how,
    }
}

// === rules ===

/// A limit as it is at first, for about `rate` calls a second in its scope.
fn sized(id: String, scope: Scope, measure: Measure, rate: u64, dice: &mut Dice) -> LimitRule {
    let tokens = match measure {
        Measure::Tokens(Side::Input, _) => 1_400,
        Measure::Tokens(Side::Output, _) => 350,
        Measure::Tokens(Side::Both, _) => 1_750,
        _ => 1,
    };
    let most = match measure {
        Measure::Requests(span) | Measure::Tokens(_, span) => {
            let seconds = match span {
                Span::Second => 1,
                Span::Minute => 60,
                Span::Day => 3_600,
            };
            let bursts = if span == Span::Second { 4 } else { 1 };
            rate * tokens * seconds * bursts
        }
        Measure::Concurrent => rate * 25,
        Measure::LargestRequest => 9_000,
    };
    LimitRule {
        id,
        scope,
        measure,
        most: most * (40 + dice.below(100)) / 100 + 1,
    }
}

/// Every kind of limit, on every kind of scope.
pub(super) fn limits(dice: &mut Dice, rate: u64) -> Vec<LimitRule> {
    let mut limits = Vec::new();
    let mut add = |dice: &mut Dice, scope: Scope, measure: Measure, share: u64| {
        let id = format!("l{}", limits.len());
        limits.push(sized(id, scope, measure, share.max(1), dice));
    };
    let measures = Measure::ALL.map(|(_, measure)| measure);
    for measure in [
        "requests-per-second",
        "tokens-per-minute",
        "concurrent-requests",
    ] {
        add(
            dice,
            Scope::Gateway,
            Measure::from_word(measure).unwrap(),
            rate,
        );
    }
    for team in 0..TEAMS {
        let scope = Scope::Team(team.to_string());
        add(
            dice,
            scope,
            Measure::Tokens(Side::Both, Span::Day),
            rate / TEAMS,
        );
    }
    for project in 0..PROJECTS {
        let scope = Scope::Project(project.to_string());
        add(
            dice,
            scope,
            Measure::Requests(Span::Minute),
            rate / PROJECTS,
        );
    }
    for number in 0..KEYS {
        let share = rate * 2 * (KEYS - number) / (KEYS * KEYS);
        for n in 0..2 {
            let which = (number * 2 + n) % measures.len() as u64;
            let measure = measures[usize::try_from(which).unwrap()];
            add(dice, key(&number.to_string()), measure, share);
        }
    }
    for provider in 0..PROVIDERS {
        let scope = || Scope::Provider(provider.to_string());
        add(dice, scope(), Measure::Concurrent, rate / PROVIDERS);
        add(
            dice,
            scope(),
            Measure::Tokens(Side::Output, Span::Minute),
            rate / PROVIDERS,
        );
        let target = Scope::Model(format!("{}/route-0", scope()));
        add(
            dice,
            target,
            Measure::Requests(Span::Day),
            rate / PROVIDERS / ROUTES,
        );
    }
    for route in 0..ROUTES {
        let scope = Scope::Model(format!("route-{route}"));
        add(
            dice,
            scope,
            Measure::Tokens(Side::Input, Span::Minute),
            rate / ROUTES,
        );
    }
    limits
}

/// Every kind of budget, on every kind of scope.
pub(super) fn budgets(dice: &mut Dice, rate: u64) -> Vec<BudgetRule> {
    let mut budgets = Vec::new();
    let mut budget = |dice: &mut Dice, scope: Scope, share: u64| {
        let n = budgets.len();
        // An hour at the mean of what a call costs.
        let hour = share.max(1) * 3_600 * 12_000;
        let zones = ["UTC", "Asia/Kolkata", "America/Sao_Paulo"];
        budgets.push(BudgetRule {
            limit: nanos(hour * (15 + dice.below(60)) / 100),
            period: Period::ALL[n % 4].1,
            hard: n % 5 != 4,
            zone: zones[n % 3].to_owned(),
            ..super::budget(&format!("b{n}"), scope, "0")
        });
    };
    for _ in 0..3 {
        budget(dice, Scope::Gateway, rate);
    }
    for team in 0..TEAMS {
        budget(dice, Scope::Team(team.to_string()), rate / TEAMS);
    }
    for project in 0..PROJECTS {
        budget(dice, Scope::Project(project.to_string()), rate / PROJECTS);
    }
    for number in (0..KEYS).step_by(2) {
        let share = rate * 2 * (KEYS - number) / (KEYS * KEYS);
        budget(dice, key(&number.to_string()), share);
    }
    for provider in 0..PROVIDERS {
        budget(
            dice,
            Scope::Provider(provider.to_string()),
            rate / PROVIDERS,
        );
    }
    budgets
}
