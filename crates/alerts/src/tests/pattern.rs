//! When spending counts as unusual.

use proptest::prelude::*;
use tollgate_base::{Money, UnixMillis};
use tollgate_config::AlertingSettings;

use crate::{Pattern, Unusual};

const DOLLAR: u64 = 1_000_000_000;

fn watch(pattern: &mut Pattern, key: &str, hour: u64, nanos: u64) -> Option<Unusual> {
    let at = UnixMillis((400_000 + hour) * 3_600_000 + 1);
    pattern.observe(key, at, Money::from_nanos(i128::from(nanos)))
}

fn pattern() -> Pattern {
    Pattern::new(AlertingSettings::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn steady_spending_never_alerts(
        level in DOLLAR / 10..1_000 * DOLLAR,
        wobble in prop::collection::vec(80_u64..120, 400),
        calls in 1_u64..20,
    ) {
        let mut pattern = pattern();
        for (hour, percent) in wobble.iter().enumerate() {
            for _ in 0..calls {
                let spent = level / 100 * percent / calls;
                prop_assert_eq!(watch(&mut pattern, "k", hour as u64, spent), None);
            }
        }
    }

    #[test]
    fn an_hour_of_six_times_the_usual_alerts_once_however_it_is_cut(
        level in DOLLAR..100 * DOLLAR,
        hours in 24_u64..300,
        calls in 6_u64..50,
        wobble in prop::collection::vec(96_u64..=104, 300),
    ) {
        let mut pattern = pattern();
        for (hour, percent) in (0..hours).zip(&wobble) {
            prop_assert_eq!(watch(&mut pattern, "k", hour, level / 100 * percent), None);
        }
        let alerts: Vec<_> = (0..calls)
            .filter_map(|_| watch(&mut pattern, "k", hours, level * 6 / calls))
            .collect();
        prop_assert_eq!(alerts.len(), 1);
        prop_assert!(alerts[0].spent > alerts[0].limit);
        // The next hours of the same are the same episode.
        for hour in hours + 1..hours + 6 {
            prop_assert_eq!(watch(&mut pattern, "k", hour, level * 6), None);
        }
    }

    #[test]
    fn slow_growth_never_alerts(level in DOLLAR..100 * DOLLAR, percent in 0_u64..=2) {
        let mut pattern = pattern();
        let mut spent = level;
        for hour in 0..500 {
            prop_assert_eq!(watch(&mut pattern, "k", hour, spent), None);
            spent += spent / 100 * percent;
        }
    }

    #[test]
    fn no_spending_breaks_the_arithmetic(
        spends in prop::collection::vec((0_u64..2_000, any::<u64>()), 0..200),
    ) {
        let mut pattern = pattern();
        let mut hour = 0;
        for (step, nanos) in spends {
            hour += step;
            watch(&mut pattern, "k", hour, nanos);
        }
    }
}

#[test]
fn an_episode_ends_with_an_hour_below_half_of_the_limit() {
    let mut pattern = pattern();
    let mut alerts = Vec::new();
    for hour in 0..60 {
        let spent = if matches!(hour, 40 | 41 | 50) { 20 } else { 1 };
        alerts.extend(watch(&mut pattern, "k", hour, spent * DOLLAR).map(|_| hour));
    }
    assert_eq!(alerts, [40, 50]);
}

#[test]
fn little_money_and_little_history_are_no_alert() {
    let mut cheap = pattern();
    for hour in 0..48 {
        assert_eq!(watch(&mut cheap, "k", hour, DOLLAR / 1000), None);
    }
    assert_eq!(watch(&mut cheap, "k", 48, DOLLAR), None, "at the floor");
    let mut young = pattern();
    for hour in 0..23 {
        watch(&mut young, "k", hour, DOLLAR);
    }
    assert_eq!(watch(&mut young, "k", 23, 100 * DOLLAR), None, "too young");
}

#[test]
fn a_key_that_works_by_bursts_is_judged_by_its_bursts() {
    let mut pattern = pattern();
    for hour in 0..400 {
        let spent = if hour % 24 == 9 { 10 * DOLLAR } else { 0 };
        assert_eq!(watch(&mut pattern, "k", hour, spent), None, "{hour}");
    }
}

#[test]
fn the_same_observations_give_the_same_alerts_after_a_restart() {
    let run = || {
        let mut pattern = pattern();
        (0..100)
            .filter_map(|hour| {
                watch(
                    &mut pattern,
                    "k",
                    hour,
                    if hour > 90 { 30 } else { 2 } * DOLLAR,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    assert_eq!(run().len(), 1);
}

#[test]
fn the_key_that_is_longest_unused_is_forgotten_first() {
    let mut pattern = pattern();
    for hour in 0..30 {
        watch(&mut pattern, "old", hour, DOLLAR);
        watch(&mut pattern, "kept", hour, DOLLAR);
    }
    for key in 0..9_999 {
        watch(&mut pattern, &format!("k{key}"), 30, DOLLAR);
        watch(&mut pattern, "kept", 30, 1);
    }
    assert_eq!(
        watch(&mut pattern, "old", 31, 50 * DOLLAR),
        None,
        "its history is gone"
    );
    assert!(watch(&mut pattern, "kept", 31, 50 * DOLLAR).is_some());
}

#[test]
fn switched_off_it_says_nothing() {
    let mut pattern = Pattern::new(AlertingSettings {
        unusual: false,
        ..AlertingSettings::default()
    });
    for hour in 0..100 {
        assert_eq!(watch(&mut pattern, "k", hour, hour * hour * DOLLAR), None);
    }
}
