//! What a reservation holds: never less than what the call then costs.

use proptest::prelude::*;
use tollgate_base::{Money, Region, ServiceTier, Usage};

use super::{builtin, dollars, price};
use crate::price::{Ask, Bucket, Price, PriceBook};

/// A built-in price, by a number.
fn any_price(pick: usize) -> &'static Price {
    let prices: Vec<_> = PriceBook::builtin()
        .prices()
        .map(|(_, _, price)| price)
        .collect();
    prices[pick % prices.len()]
}

fn tiers() -> impl Strategy<Value = Option<ServiceTier>> {
    prop::option::of(prop::sample::select(ServiceTier::ALL.to_vec()))
}

proptest! {
    #[test]
    fn no_call_within_its_bounds_costs_more_than_its_bound(
        pick in any::<usize>(),
        input in prop::array::uniform6(0_u64..200_000),
        output in prop::array::uniform4(0_u64..50_000),
        slack in 0_u64..300_000,
        candidates in 1_u32..4,
        us in any::<bool>(),
    ) {
        let price = any_price(pick);
        let region = if us { Region::Us } else { Region::Global };
        let most = {
            let ask = Ask { input: input.iter().sum::<u64>() + slack, candidates, ..Ask::default() };
            price.most(&ask, output.iter().sum::<u64>().div_ceil(u64::from(candidates)))
        };
        let listed = price.tiers().filter(|tier| matches!(tier, ServiceTier::Flex | ServiceTier::Priority));
        for tier in listed.chain([ServiceTier::Standard]) {
            let usage = Usage {
                input: input[0],
                cache_read: Some(input[1]),
                cache_write: Some(input[2]),
                cache_write_1h: Some(input[3]),
                audio_input: Some(input[4]),
                image_input: Some(input[5]),
                output: output[0],
                reasoning: Some(output[1]),
                audio_output: Some(output[2]),
                image_output: Some(output[3]),
                tier,
                region,
                ..Usage::default()
            };
            if let Some(cost) = price.cost(&usage).cost {
                prop_assert!(most.is_some_and(|most| cost <= most), "{tier:?}: {cost} > {most:?}");
            }
        }
    }

    #[test]
    fn the_largest_output_fits_and_one_token_more_does_not(
        pick in any::<usize>(),
        input in 0_u64..2_000_000,
        candidates in 0_u32..5,
        tier in tiers(),
        limit in 0_i128..20_000_000_000,
    ) {
        let (price, limit) = (any_price(pick), Money::from_nanos(limit));
        let ask = Ask { input, candidates, tier, ..Ask::default() };
        match price.output_within(&ask, limit) {
            None => {
                let most = price.most(&ask, 0);
                prop_assert!(most.is_none_or(|most| most > limit), "{most:?}");
            }
            Some(most) if price.is_free() => prop_assert!(most >= u64::MAX / 5),
            Some(most) => {
                prop_assert!(price.most(&ask, most).is_some_and(|cost| cost <= limit));
                prop_assert!(price.most(&ask, most + 1).is_none_or(|cost| cost > limit));
            }
        }
    }
}

#[test]
fn the_bound_is_at_the_dearest_terms_that_the_request_leaves_open() {
    let price = builtin("openai", "gpt-5.6");
    let open = Ask {
        input: 100_000,
        ..Ask::default()
    };
    // Priority 20 for a long write to the cache and 40 for output, a tenth more in the United States.
    assert_eq!(price.most(&open, 10_000), dollars("2.64"));
    let standard = Ask {
        tier: Some(ServiceTier::Standard),
        region: Some(Region::Global),
        without: &[Bucket::CacheWrite, Bucket::CacheWriteLong],
        ..open
    };
    assert_eq!(price.most(&standard, 10_000), dollars("0.6"));
    let long = Ask {
        input: 272_001,
        ..standard
    };
    assert_eq!(price.most(&long, 10_000), dollars("2.476008"));
    let twice = Ask {
        candidates: 2,
        ..standard
    };
    assert_eq!(price.most(&twice, 10_000), dollars("0.8"));
    let searching = Ask {
        pieces: &[(Bucket::Search, 5)],
        ..standard
    };
    assert_eq!(price.most(&searching, 10_000), dollars("0.65"));
}

#[test]
fn what_cannot_be_bounded_is_not_bounded_by_zero_and_an_unlisted_tier_is_no_way_around() {
    let fast = Ask {
        tier: Some(ServiceTier::Fast),
        ..Ask::default()
    };
    // A tier that a model does not list is served as one that it does.
    let tokens = price(r#"{"input":"1","output":"2"}"#);
    assert_eq!(
        tokens.most(&Ask { input: 1, ..fast }, 1),
        dollars("0.000003")
    );
    let price = price(r#"{"input":"1"}"#);
    assert_eq!(price.most(&Ask { input: 1, ..fast }, 1), None);
    let pictures = Ask {
        pieces: &[(Bucket::Image, 1)],
        ..Ask::default()
    };
    assert_eq!(price.most(&pictures, 1), None);
    assert_eq!(price.output_within(&pictures, Money::MAX), None);
    // Embeddings answer without tokens.
    let embedding = builtin("openai", "text-embedding-3-small");
    let ask = Ask {
        input: 1_000_000,
        ..Ask::default()
    };
    assert_eq!(embedding.most(&ask, 0), dollars("0.02"));
    assert_eq!(embedding.most(&ask, 1), None);
}
