//! What calls cost: published examples, and the ways in which other gateways are known to bill wrongly
//! (numbered as in the project's survey of the field).

use tollgate_base::{Money, Region, ServiceTier, Usage};

use super::{PriceBook, builtin, dollars, price, tokens};
use crate::price::Workload;

#[test]
fn a_published_daily_bill_comes_to_its_right_figure() {
    let dear = price(r#"{"input":"3","output":"15"}"#);
    let cheap = price(r#"{"input":"0.25","output":"1.25"}"#);
    let all = dear.cost(&tokens(2_100_000, 450_000)).cost;
    assert_eq!(all, dollars("13.05"));

    let stays = dear.cost(&tokens(1_260_000, 270_000)).cost.unwrap();
    let moved = cheap.cost(&tokens(840_000, 180_000)).cost.unwrap();
    let saved = all.unwrap().minus(stays.plus(moved));
    assert_eq!(saved, Money::parse("4.785").unwrap(), "the article says $8");
    assert_eq!(
        saved.times(365),
        Money::parse("1746.525").unwrap(),
        "the article says $2,920"
    );
}

#[test]
fn a_published_monthly_projection_comes_to_its_right_figure() {
    let work = |requests_per_day| Workload {
        requests_per_day,
        input: 500,
        output: 200,
        days: 30,
    };
    let dear = price(r#"{"input":"3","output":"6"}"#);
    let cheap = price(r#"{"input":"0.3","output":"0.6"}"#);
    assert_eq!(dear.projection(&work(10_000)), dollars("810"));

    let stays = dear.projection(&work(2_000)).unwrap();
    let moved = cheap.projection(&work(8_000)).unwrap();
    assert_eq!(
        Some(stays.plus(moved)),
        dollars("226.80"),
        "the text says $243"
    );
}

#[test]
fn field_1_cached_tokens_cost_what_cached_tokens_cost() {
    // A stream whose truth is a seventh of the bill at the full price.
    let price = price(r#"{"input":"3","output":"15","cache_read":"0.3","cache_write":"3.75"}"#);
    let usage = Usage {
        input: 12,
        cache_read: Some(640),
        output: 4,
        ..Usage::default()
    };
    // 12 x 3 + 640 x 0.3 + 4 x 15 = 288 millionths of a dollar.
    assert_eq!(price.cost(&usage).cost, dollars("0.000288"));
}

#[test]
fn field_2_tokens_written_to_a_cache_are_charged_once() {
    let price = builtin("anthropic", "claude-sonnet-4-5");
    let usage = Usage {
        input: 10,
        cache_write: Some(1_000),
        cache_write_1h: Some(2_000),
        output: 100,
        ..Usage::default()
    };
    let priced = price.cost(&usage);
    // 10 x 3 + 1,000 x 3.75 + 2,000 x 6 + 100 x 15.
    assert_eq!(priced.cost, dollars("0.01728"));
    assert_eq!(
        priced.unit_prices,
        "input=3.00 output=15.00 cache_write=3.75 cache_write_1h=6.00"
    );
}

#[test]
fn field_4_reasoning_is_charged_beside_the_other_output() {
    let usage = Usage {
        input: 100,
        output: 50,
        reasoning: Some(1_000),
        ..Usage::default()
    };
    let unlisted = price(r#"{"input":"1","output":"10"}"#);
    assert_eq!(unlisted.cost(&usage).cost, dollars("0.0106"));
    let listed = price(r#"{"input":"1","output":"10","reasoning":"12"}"#);
    assert_eq!(listed.cost(&usage).cost, dollars("0.0126"));
    // At the rate of the tier that served it.
    let tiered = price(r#"{"input":"1","output":"10","flex":{"input":"0.5","output":"5"}}"#);
    let flex = Usage {
        tier: ServiceTier::Flex,
        ..usage
    };
    assert_eq!(tiered.cost(&flex).cost, dollars("0.0053"));
}

#[test]
fn field_3_and_8_one_usage_has_one_price_streamed_or_not() {
    // Nothing but the buckets decides: the same figures from any dialect, in any order, cost the same.
    let price = builtin("openai", "gpt-4o");
    let usage = Usage {
        input: 208,
        cache_read: Some(1_792),
        output: 100,
        ..Usage::default()
    };
    // 208 x 2.5 + 1,792 x 1.25 + 100 x 10.
    assert_eq!(price.cost(&usage).cost, dollars("0.00376"));
    assert_eq!(price.cost(&usage), price.cost(&usage.clone()));
}

#[test]
fn field_5_the_tier_that_served_a_call_sets_its_price() {
    let price = builtin("openai", "gpt-5.6");
    let million = |tier| Usage {
        tier,
        ..tokens(100_000, 10_000)
    };
    for (tier, cost) in [
        (ServiceTier::Standard, "0.6"),
        (ServiceTier::Batch, "0.3"),
        (ServiceTier::Flex, "0.3"),
        (ServiceTier::Priority, "1.2"),
    ] {
        assert_eq!(price.cost(&million(tier)).cost, dollars(cost), "{tier:?}");
    }
    let fast = price.cost(&million(ServiceTier::Fast));
    assert_eq!(
        fast.cost, None,
        "a dear tier that is not listed has no price"
    );
    assert_eq!(fast.unpriced, ["input", "output"]);

    let fast = builtin("anthropic", "claude-opus-5-5").cost(&million(ServiceTier::Fast));
    assert_eq!(fast.cost, dollars("1.2"), "twice 4 and 20");
    // A cheap tier that is not listed is never cheaper than the standard one.
    let batch = super::price(r#"{"input":"4","output":"20"}"#).cost(&million(ServiceTier::Batch));
    assert_eq!(batch.cost, dollars("0.6"));
}

#[test]
fn field_6_the_size_of_the_prompt_sets_one_price_for_all_of_it() {
    let price = builtin("openai", "gpt-5.6");
    let at = price.cost(&tokens(272_000, 1_000));
    assert_eq!(at.cost, dollars("1.108"), "the threshold itself is short");
    // One token more: all of the input at 8 and all of the output at 30, nothing graduated.
    let above = price.cost(&tokens(272_001, 1_000));
    assert_eq!(above.cost, dollars("2.206008"));
    assert_eq!(above.unit_prices, "input=8.00 output=30.00");
    // Tokens of the cache are part of the prompt.
    let cached = Usage {
        cache_read: Some(272_000),
        ..tokens(1, 0)
    };
    assert_eq!(
        price.cost(&cached).unit_prices,
        "input=8.00 cache_read=0.80"
    );
    // A batch above the threshold is half of the long price, not half of the short one.
    let batch = Usage {
        tier: ServiceTier::Batch,
        ..tokens(300_000, 0)
    };
    assert_eq!(price.cost(&batch).cost, dollars("1.2"));
    // Flex publishes no long rates here: the standard ones, which are dearer.
    let flex = Usage {
        tier: ServiceTier::Flex,
        ..tokens(300_000, 0)
    };
    assert_eq!(
        builtin("google", "gemini-2.5-pro").cost(&flex).cost,
        dollars("0.75")
    );
}

#[test]
fn field_7_what_has_no_price_has_no_cost() {
    let usage = Usage {
        images: Some(1),
        ..tokens(10, 10)
    };
    let priced = price(r#"{"input":"1","output":"2"}"#).cost(&usage);
    assert_eq!((priced.cost, priced.unpriced), (None, vec!["image"]));
    let priced = price(r#"{"input":"1"}"#).cost(&tokens(10, 1));
    assert_eq!((priced.cost, priced.unpriced), (None, vec!["output"]));

    let free = price(r#"{"free":true}"#).cost(&usage);
    assert_eq!(
        (free.cost, free.unit_prices.as_str()),
        (Some(Money::ZERO), "free")
    );
    for (provider, model) in [
        ("anthropic", "claude-fable-5-2"),
        ("anthropic", "claude-mythos-5-2"),
        ("cohere", "command-a-plus-05-2026"),
        ("mistral", "codestral-2405"),
        ("openai", "no-such-model"),
    ] {
        assert_eq!(PriceBook::builtin().find(provider, model), None, "{model}");
    }
}

#[test]
fn field_9_thousands_of_calls_add_up_to_the_bill() {
    // Each call is exact here, so that the sum is, too: no drift to explain away.
    let price = builtin("anthropic", "claude-haiku-4-5");
    let each = price.cost(&tokens(333, 77)).cost.unwrap();
    let sum: Money = (0..10_000).map(|_| each).sum();
    assert_eq!(price.cost(&tokens(3_330_000, 770_000)).cost, Some(sum));
}

#[test]
fn field_10_a_cached_agent_turn_costs_cents_not_dollars() {
    let price = builtin("anthropic", "claude-opus-5-5");
    let usage = Usage {
        input: 500,
        cache_read: Some(600_000),
        output: 400,
        ..Usage::default()
    };
    // 500 x 4 + 600,000 x 0.2 + 400 x 20; at the full input price it would be $2.41.
    assert_eq!(price.cost(&usage).cost, dollars("0.13"));
}

#[test]
fn a_region_multiplies_tokens_and_nothing_else() {
    let price = builtin("anthropic", "claude-opus-5-5");
    let usage = Usage {
        searches: Some(3),
        region: Region::Us,
        ..tokens(1_000_000, 100_000)
    };
    let priced = price.cost(&usage);
    assert_eq!(
        priced.unit_prices,
        "input=4.40 output=22.00 search=10000.00"
    );
    assert_eq!(priced.cost, dollars("6.63"));
    let fast = Usage {
        tier: ServiceTier::Fast,
        searches: None,
        ..usage
    };
    assert_eq!(price.cost(&fast).cost, dollars("13.2"), "both factors");
}

#[test]
fn what_is_charged_by_the_piece_has_its_unit() {
    let minute = Usage {
        audio_ms: Some(60_000),
        ..Usage::default()
    };
    let priced = builtin("openai", "whisper-1").cost(&minute);
    assert_eq!(priced.cost, dollars("0.006"));
    assert_eq!(priced.unit_prices, "audio_second=100.00");
    let speech = Usage {
        characters: Some(1_000),
        ..Usage::default()
    };
    assert_eq!(
        builtin("openai", "tts-1").cost(&speech).cost,
        dollars("0.015")
    );
    let pictures = Usage {
        images: Some(2),
        ..Usage::default()
    };
    let imagen = builtin("google", "imagen-3.0-generate-001");
    assert_eq!(imagen.cost(&pictures).cost, dollars("0.08"));
}

#[test]
fn a_rate_that_nobody_published_is_never_cheaper_than_its_stand_in() {
    let price = price(
        r#"{"input":"2","output":"8","cache_read":"0.2",
            "above":{"tokens":1000,"input":"4","output":"12"},
            "priority":{"input":"5","output":"20"}}"#,
    );
    let cost = |usage: Usage| price.cost(&usage).unit_prices;
    let kinds = Usage {
        cache_read: Some(1),
        cache_write: Some(1),
        cache_write_1h: Some(1),
        audio_input: Some(1),
        image_input: Some(1),
        reasoning: Some(1),
        audio_output: Some(1),
        image_output: Some(1),
        ..Usage::default()
    };
    assert_eq!(
        cost(kinds),
        "cache_read=0.20 cache_write=2.00 cache_write_1h=2.00 reasoning=8.00 audio_input=2.00 \
         audio_output=8.00 image_input=2.00 image_output=8.00"
    );
    let long = Usage {
        input: 1_000,
        ..kinds
    };
    assert_eq!(
        cost(long),
        "input=4.00 cache_read=4.00 cache_write=4.00 cache_write_1h=4.00 reasoning=12.00 \
         audio_input=4.00 audio_output=12.00 image_input=4.00 image_output=12.00"
    );
    let tier = ServiceTier::Priority;
    assert!(cost(Usage { tier, ..kinds }).starts_with("cache_read=5.00 "));
    // Long and sooner, with no rate for both: the dearest of the two.
    let both = Usage {
        tier,
        ..tokens(2_000, 1)
    };
    assert_eq!(cost(both), "input=5.00 output=20.00");
}
