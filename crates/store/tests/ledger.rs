//! What every store of the ledger must do, written once and run against each.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

use tollgate_base::{Money, Provenance, Region, ServiceTier, UnixMillis, Usage};
use tollgate_policy::{
    ledger::{
        AttemptFilter, AttemptId, AttemptOutcome, AttemptQuery, AttemptState, Correction, Cost,
        Entry, Group, LedgerStore, Opening, ReportQuery, Settlement,
    },
    scope::Scope,
};
use tollgate_store::{MemoryLedger, SqliteLedger};

const DAY: u64 = 86_400_000;

fn id(n: u64, number: u32) -> AttemptId {
    AttemptId {
        request_id: format!("req_{n}"),
        number,
    }
}

fn opening(n: u64, number: u32) -> Opening {
    Opening {
        id: id(n, number),
        at: UnixMillis(1_700_000_000_000 + n * DAY / 4),
        key_id: format!("key_{}", n % 3),
        project_id: n.is_multiple_of(2).then(|| "project_a".to_owned()),
        team_id: (n % 5 > 1).then(|| format!("team_{}", n % 2)),
        operation: "generation".to_owned(),
        dialect: "openai-chat".to_owned(),
        route: "fast".to_owned(),
        provider: format!("lab_{}", number % 2),
        model: format!("model_{}", n % 4),
        stream: n.is_multiple_of(2),
        held: (n % 7 != 6).then(|| Money::from_nanos(1_000 + i128::from(n))),
        held_input: 10 + n,
        held_output: 20,
        price_version: "2026-01-01".to_owned(),
        tags: vec![
            ("team".to_owned(), format!("żółw \"{}\"", n % 2)),
            ("run".to_owned(), n.to_string()),
        ],
    }
}

fn settlement(n: u64, number: u32) -> Settlement {
    Settlement {
        id: id(n, number),
        at: UnixMillis(1_700_000_000_000 + n * DAY / 4 + 5),
        outcome: AttemptOutcome::ALL[(n % 4) as usize],
        usage: Usage {
            input: n,
            cache_read: (n % 2 == 1).then_some(3),
            cache_write: Some(n),
            cache_write_1h: None,
            audio_input: Some(0),
            image_input: n.is_multiple_of(3).then_some(7),
            output: 2 * n,
            reasoning: Some(5),
            audio_output: None,
            image_output: Some(1),
            searches: Some(2),
            images: None,
            audio_ms: Some(3),
            characters: Some(4),
            tier: ServiceTier::ALL[(n % 5) as usize],
            region: Region::ALL[(n % 2) as usize],
            provenance: Provenance::ALL[(n % 4) as usize],
        },
        cost: if n % 6 == 5 {
            Cost::Unknown
        } else {
            Cost::Known(Money::from_nanos(i128::from(n) * 1_000_000_007))
        },
        unit_prices: "input=2.50 output=10.00".to_owned(),
        code: if n.is_multiple_of(2) {
            ""
        } else {
            "upstream_error"
        }
        .to_owned(),
        first_event_ms: (n % 2 == 1).then_some(12),
        duration_ms: 40 + n,
    }
}

/// Attempts in every state, some requests tried twice.
fn history() -> Vec<Entry> {
    let mut entries = Vec::new();
    for n in 0..60_u64 {
        for number in 1..=(1 + u32::from(n.is_multiple_of(3))) {
            let attempt = id(n, number);
            entries.push(Entry::Opened(opening(n, number)));
            match n % 10 {
                0 => {}
                1 => entries.push(Entry::Released(attempt)),
                2 => entries.push(Entry::Dispatched(attempt)),
                3 | 4 => {
                    entries.push(Entry::Dispatched(attempt.clone()));
                    entries.push(Entry::Lost(attempt.clone(), UnixMillis(9)));
                    if n % 10 == 4 {
                        let cost = Money::from_nanos(77);
                        entries.push(Entry::Resolved(attempt, UnixMillis(10), cost));
                    }
                }
                5 | 6 => {
                    entries.push(Entry::Dispatched(attempt));
                    entries.push(Entry::Settled(settlement(n, number)));
                }
                _ => {
                    // In one record, with or without another one before.
                    if n.is_multiple_of(2) {
                        entries.pop();
                    }
                    entries.push(Entry::Sent(opening(n, number)));
                    entries.push(Entry::Settled(settlement(n, number)));
                }
            }
        }
    }
    entries
}

fn page(limit: usize, newest_first: bool, after: Option<u64>) -> AttemptQuery {
    AttemptQuery {
        filter: AttemptFilter::default(),
        newest_first,
        after,
        limit,
    }
}

/// What the plainest implementation says of the same history.
fn check_against_memory(store: &dyn LedgerStore) {
    let plain = MemoryLedger::default();
    plain.apply(&history(), None).unwrap();
    plain.correct(&corrections()).unwrap();
    // Places rise in the order of arrival; how much they rise is the store's own business.
    let listed = |store: &dyn LedgerStore| {
        let all = store.attempts(&page(1_000, false, None)).unwrap();
        assert!(all.is_sorted_by(|one, next| one.place < next.place));
        let all = all.into_iter().map(|one| (one.attempt, one.correction));
        all.collect::<Vec<_>>()
    };
    assert!(listed(store) == listed(&plain));
    assert_eq!(
        store.open_attempts().unwrap(),
        plain.open_attempts().unwrap()
    );
    let all = [
        Group::Key,
        Group::Project,
        Group::Team,
        Group::Model,
        Group::Provider,
        Group::Route,
        Group::Operation,
        Group::Day,
        Group::Tag("team".to_owned()),
        Group::Tag("none".to_owned()),
    ];
    let mut groups: Vec<_> = all.iter().map(|group| vec![group.clone()]).collect();
    groups.push(vec![]);
    groups.push(all.to_vec());
    groups.push(vec![
        Group::Tag("run".to_owned()),
        Group::Tag("team".to_owned()),
    ]);
    for groups in groups {
        for filter in filters() {
            let query = ReportQuery {
                groups: groups.clone(),
                filter,
            };
            assert_eq!(
                store.report(&query).unwrap(),
                plain.report(&query).unwrap(),
                "{query:?}"
            );
        }
    }
    for scope in scopes() {
        for (from, to) in [
            (0, u64::MAX),
            (1_700_000_000_000, 1_700_000_000_000 + 3 * DAY),
        ] {
            let span = [UnixMillis(from), UnixMillis(to)];
            assert_eq!(
                store.figures(&scope, &span).unwrap().parts,
                plain.figures(&scope, &span).unwrap().parts,
                "{scope}"
            );
        }
        let borders: Vec<_> = (0..4)
            .map(|day| UnixMillis(1_700_000_000_000 + day * DAY))
            .collect();
        let figures = store.figures(&scope, &borders).unwrap();
        let expected = plain.figures(&scope, &borders).unwrap();
        assert_eq!(figures.parts, expected.parts, "{scope}");
        assert_eq!(figures.as_of, store.shipped().unwrap());
        for (part, span) in figures.parts.iter().zip(borders.windows(2)) {
            assert_eq!([*part], *store.figures(&scope, span).unwrap().parts);
        }
    }
}

fn filters() -> Vec<AttemptFilter> {
    let some = |text: &str| Some(text.to_owned());
    let none = AttemptFilter::default();
    vec![
        none.clone(),
        AttemptFilter {
            from: Some(UnixMillis(1_700_000_000_000 + DAY)),
            to: Some(UnixMillis(1_700_000_000_000 + 3 * DAY)),
            ..none.clone()
        },
        AttemptFilter {
            key_id: some("key_1"),
            provider: some("lab_1"),
            route: some("fast"),
            ..none.clone()
        },
        AttemptFilter {
            project_id: some("project_a"),
            team_id: some("team_0"),
            operation: some("generation"),
            ..none.clone()
        },
        AttemptFilter {
            model: some("model_3"),
            state: Some(AttemptState::Settled),
            ..none.clone()
        },
        AttemptFilter {
            tag: Some(("team".to_owned(), "żółw \"1\"".to_owned())),
            ..none.clone()
        },
        AttemptFilter {
            request_id: some("req_3"),
            ..none.clone()
        },
        AttemptFilter {
            key_id: some("' OR 1 = 1 --"),
            ..none
        },
    ]
}

fn scopes() -> Vec<Scope> {
    [
        "gateway",
        "key:key_1",
        "team:team_1",
        "project:project_a",
        "provider:lab_1",
        "model:fast",
        "model:lab_1/model_2",
        "model:model_2",
        "key:none",
    ]
    .map(|text| Scope::parse(text).unwrap())
    .to_vec()
}

fn corrections() -> Vec<Correction> {
    let one = |n: u64, cost: i128| Correction {
        id: id(n, 1),
        at: UnixMillis(1),
        cost: Money::from_nanos(cost),
        price_version: "2026-02-01".to_owned(),
        unit_prices: "input=1.00".to_owned(),
    };
    vec![one(5, 11), one(6, 12), one(5, 13), one(1_000, 14)]
}

fn what_is_applied_is_found_again(store: &dyn LedgerStore) {
    let applied = store.apply(&history(), Some(5)).unwrap();
    assert_eq!(applied.changed, history().len());
    assert_eq!(store.correct(&corrections()).unwrap(), 3);
    check_against_memory(store);
}

fn applying_again_in_any_order_changes_nothing(store: &dyn LedgerStore) {
    let entries = history();
    store.apply(&entries, Some(entries.len() as u64)).unwrap();
    store.correct(&corrections()).unwrap();
    // Steps through all entries in ten orders, each a full cycle because 7919 and the like are prime.
    for step in [7919, 6101, 5003, 4001, 3001, 2003, 1009, 503, 211, 101] {
        let order = (0..entries.len()).map(|at| entries[at * step % entries.len()].clone());
        let order: Vec<_> = order.collect();
        for batch in order.chunks(1 + step % 17) {
            let applied = store.apply(batch, None).unwrap();
            assert_eq!((applied.changed, applied.repeated), (0, batch.len()));
            assert_eq!(applied.refused, []);
        }
    }
    check_against_memory(store);
}

fn one_entry_at_a_time_comes_to_the_same(store: &dyn LedgerStore) {
    for entry in history() {
        assert_eq!(store.apply(&[entry], None).unwrap().changed, 1);
    }
    store.correct(&corrections()).unwrap();
    check_against_memory(store);
}

fn what_contradicts_is_refused_alone(store: &dyn LedgerStore) {
    let entries = [
        Entry::Opened(opening(1, 1)),
        Entry::Settled(settlement(2, 1)),
        Entry::Dispatched(id(1, 1)),
        Entry::Released(id(1, 1)),
        Entry::Settled(settlement(1, 1)),
    ];
    let applied = store.apply(&entries, Some(9)).unwrap();
    let refused: Vec<_> = applied.refused.iter().map(|(at, _)| *at).collect();
    assert_eq!((applied.changed, refused), (3, vec![1, 3]));
    // The place is not remembered before somebody has taken care of what was refused.
    assert_eq!(store.shipped().unwrap(), 0);
    store.apply(&[], Some(9)).unwrap();
    assert_eq!(store.shipped().unwrap(), 9);
    store.apply(&[], Some(4)).unwrap();
    assert_eq!(store.shipped().unwrap(), 9);
    let found = store.attempts(&page(10, false, None)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].attempt.state, AttemptState::Settled);
}

fn pages_hold_every_attempt_once(store: &dyn LedgerStore) {
    store.apply(&history(), None).unwrap();
    for newest_first in [false, true] {
        let whole = store.attempts(&page(1_000, newest_first, None)).unwrap();
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let next = store.attempts(&page(7, newest_first, after)).unwrap();
            let Some(last) = next.last() else { break };
            after = Some(last.place);
            paged.extend(next);
        }
        assert_eq!(paged, whole);
    }
    let newest = store.attempts(&page(1, true, None)).unwrap();
    assert_eq!(newest[0].attempt.opening.id.request_id, "req_59");
}

fn an_unknown_price_is_never_a_cost_of_zero(store: &dyn LedgerStore) {
    let mut entries = vec![Entry::Opened(opening(5, 1)), Entry::Dispatched(id(5, 1))];
    entries.push(Entry::Settled(settlement(5, 1)));
    store.apply(&entries, None).unwrap();
    let rows = store.report(&ReportQuery::default()).unwrap();
    assert_eq!((rows[0].unpriced, rows[0].cost()), (1, Money::ZERO));
    let found = store.attempts(&page(1, false, None)).unwrap();
    assert_eq!(found[0].attempt.cost(), None);
}

fn sums_beyond_64_bits_are_right(store: &dyn LedgerStore) {
    let most = Money::from_nanos(i128::from(i64::MAX));
    for n in 10..13 {
        let mut settled = settlement(n, 1);
        settled.cost = Cost::Known(most);
        settled.usage.input = i64::MAX as u64 - 1_000;
        let entries = [Entry::Opened(opening(n, 1)), Entry::Settled(settled)];
        assert_eq!(store.apply(&entries, None).unwrap().refused, []);
    }
    let rows = store.report(&ReportQuery::default()).unwrap();
    assert_eq!(rows[0].cost(), most.times(3));
    assert_eq!(rows[0].input_tokens, u64::MAX);
    let figures = store.figures(&Scope::Gateway, &[UnixMillis(0), UnixMillis(u64::MAX)]);
    assert_eq!(figures.unwrap().parts[0].money, most.times(3));
}

macro_rules! ledger_suite {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $case() { super::$case(&super::MemoryLedger::default()); })+
        }
        mod sqlite {
            $(#[test] fn $case() {
                let folder = tempfile::tempdir().unwrap();
                super::$case(&super::SqliteLedger::open(folder.path()).unwrap());
            })+
        }
    };
}

ledger_suite!(
    what_is_applied_is_found_again,
    applying_again_in_any_order_changes_nothing,
    one_entry_at_a_time_comes_to_the_same,
    what_contradicts_is_refused_alone,
    pages_hold_every_attempt_once,
    an_unknown_price_is_never_a_cost_of_zero,
    sums_beyond_64_bits_are_right,
);

#[test]
fn sqlite_refuses_a_figure_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteLedger::open(folder.path()).unwrap();
    let mut large = opening(1, 1);
    large.held = Some(Money::from_nanos(i128::from(i64::MAX) + 1));
    let mut settled = settlement(2, 1);
    settled.usage.audio_ms = Some(u64::MAX);
    let entries = [
        Entry::Opened(large),
        Entry::Opened(opening(2, 1)),
        Entry::Settled(settled),
    ];
    let applied = store.apply(&entries, None).unwrap();
    let refused: Vec<_> = applied.refused.iter().map(|(at, _)| *at).collect();
    assert_eq!(refused, [0, 2]);
}

#[test]
fn sqlite_keeps_its_ledger_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteLedger::open(folder.path()).unwrap();
    store.apply(&history(), Some(123)).unwrap();
    store.correct(&corrections()).unwrap();
    drop(store);
    let store = SqliteLedger::open(folder.path()).unwrap();
    assert_eq!(store.shipped().unwrap(), 123);
    check_against_memory(&store);
}
