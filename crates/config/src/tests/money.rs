//! Prices, limits and budgets.

use tollgate_base::Money;
use tollgate_policy::{
    rules::{Measure, Period, Span},
    scope::Scope,
};

use super::{config, mistakes};

#[test]
fn prices_limits_and_budgets_are_read_without_a_float() {
    let config = config(
        "[providers.lab]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         [prices.\"lab/*\"]\ninput = 0.1\noutput = 2\ncache_read = \"0.000000001\"\n\
         [limits.fast]\nscope = \"key:key_1\"\nmeasure = \"requests-per-minute\"\nmost = 60\n\
         [budgets.all]\nscope = \"gateway\"\nlimit = 12.345678901\nperiod = \"week\"\nthresholds = [\"100%\", \"50%\"]\n",
        &[],
    );
    let rates: Vec<_> = config.prices[0]
        .rates
        .iter()
        .map(|(name, rate)| (*name, rate.0))
        .collect();
    assert_eq!(
        rates,
        [
            ("input", 100_000_000),
            ("output", 2_000_000_000),
            ("cache_read", 1)
        ]
    );
    let limit = &config.limits[0];
    assert_eq!(limit.scope, Scope::Key("key_1".to_owned()));
    assert_eq!(
        (limit.measure, limit.most),
        (Measure::Requests(Span::Minute), 60)
    );
    let budget = &config.budgets[0];
    assert_eq!(budget.limit, Money::from_nanos(12_345_678_901));
    assert_eq!((budget.period, budget.hard), (Period::Week, true));
    assert_eq!(budget.thresholds, [50, 100]);
}

#[test]
fn money_that_cannot_be_is_refused_with_its_place() {
    for (text, said) in [
        (
            "[budgets.a]\nscope = \"gateway\"\nlimit = -1",
            "tollgate.toml:3:9: budgets.a.limit: is no amount in dollars",
        ),
        (
            "[budgets.a]\nscope = \"gateway\"\nlimit = 1e30",
            "tollgate.toml:3:9: budgets.a.limit: is no amount in dollars",
        ),
        (
            "[budgets.a]\nscope = \"gateway\"\nlimit = 0.0000000001",
            "tollgate.toml:3:9: budgets.a.limit: is no amount in dollars",
        ),
        (
            "[budgets.a]\nscope = \"gateway\"\nlimit = true",
            "tollgate.toml:3:9: budgets.a.limit: must be an amount in dollars, not true or false",
        ),
        (
            "[budgets.a]\nscope = \"user:x\"\nlimit = 1",
            "tollgate.toml:2:9: budgets.a.scope: is no scope",
        ),
        (
            "[budgets.a]\nscope = \"gateway\"",
            "tollgate.toml:1:10: budgets.a: `limit` is missing",
        ),
        (
            "[budgets.a]\nscope = \"gateway\"\nlimit = 1\nthresholds = [\"0%\"]",
            "tollgate.toml:4:15: budgets.a.thresholds: is no share",
        ),
        (
            "[limits.a]\nscope = \"gateway\"\nmeasure = \"rpm\"\nmost = 1",
            "tollgate.toml:3:11: limits.a.measure: is not one of its values",
        ),
        (
            "[prices.gpt-4o]\ninput = 1",
            "tollgate.toml:1:9: prices.gpt-4o: is no target",
        ),
        (
            "[prices.\"tollgate/*\"]\nfree = true\ninput = 1",
            "tollgate.toml:1:9: prices.\"tollgate/*\": is free and has prices",
        ),
        (
            "[prices.\"tollgate/*\"]\n",
            "tollgate.toml:1:9: prices.\"tollgate/*\": has no price",
        ),
    ] {
        let all = mistakes(text, &[]);
        assert!(
            all.len() == 1 && all[0].starts_with(said),
            "\n{text}\nsaid     {all:?}\nexpected {said}"
        );
    }
}

#[test]
fn a_free_price_is_no_missing_price() {
    let config = config("[prices.\"tollgate/*\"]\nfree = true\n", &[]);
    assert!(config.prices[0].free && config.prices[0].rates.is_empty());
}
