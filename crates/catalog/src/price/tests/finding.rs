//! Which price a name finds, and what the operator's own prices do to it.

use tollgate_base::{Money, Usage};

use super::{PriceBook, PriceEntry, tokens};
use crate::{
    Catalog,
    price::{ChangeKind, PriceOverride, diff},
};

fn over(key: &str, json: &str) -> PriceOverride {
    PriceOverride::new(key, serde_json::from_str::<PriceEntry>(json).unwrap()).unwrap()
}

#[test]
fn the_built_in_book_parses_and_its_providers_are_rows() {
    let book = PriceBook::builtin();
    assert!(
        book.version().starts_with(book.as_of()),
        "{}",
        book.version()
    );
    assert!(book.prices().count() > 500);
    for (provider, model, price) in book.prices() {
        assert!(
            Catalog::builtin().provider(provider).is_some(),
            "{provider}/{model}"
        );
        let usage = Usage::default();
        assert_eq!(
            price.cost(&usage).cost,
            Some(Money::ZERO),
            "{provider}/{model}"
        );
    }
}

#[test]
fn a_dated_snapshot_has_its_models_price_unless_dates_matter() {
    let book = PriceBook::builtin();
    let find = |model| book.find("openai", model);
    assert!(find("gpt-5.4-2027-01-31").is_some_and(|price| Some(price) == find("gpt-5.4")));
    // A snapshot of this model was dearer, so another date says nothing.
    assert!(find("gpt-4o-2024-05-13").is_some_and(|price| Some(price) != find("gpt-4o")));
    assert_eq!(find("gpt-4o-2027-01-31"), None);
    // Other endings are other models.
    for model in [
        "gpt-5.4-latest",
        "gpt-5.4-preview",
        "gpt-5.4-2027",
        "gpt-5",
        "GPT-5.4",
    ] {
        assert!(find(model).is_none_or(|price| Some(price) == book.published("openai", model)));
    }
    assert_eq!(find("gpt-5.4-latest"), None);
    assert_eq!(
        find("ft:gpt-4o-2024-08-06:acme::a1B2"),
        find("ft:gpt-4o-2024-08-06")
    );
    assert_eq!(
        book.find("azure", "gpt-4o"),
        None,
        "another seller's prices are its own"
    );
}

#[test]
fn the_operators_prices_win_and_change_the_version() {
    let book = PriceBook::builtin();
    let own = book
        .with_overrides(&[
            over("openai/gpt-4o", r#"{"input":"1","output":"2"}"#),
            over("openai/*", r#"{"input":"7","output":"8"}"#),
            over("mine/gpt-4o", r#"{"input":"3","output":"4"}"#),
            over("ollama/*", r#"{"free":true}"#),
            over("azure/*", r#"{"same_as":"openai"}"#),
            over("bedrock/*", r#"{"same_as":"anthropic"}"#),
            over("azure/my-deployment", r#"{"same_as":"openai/gpt-4o"}"#),
        ])
        .unwrap();
    let unit = |name, row, model| {
        let price = own.find_named(name, row, model)?;
        Some(price.cost(&tokens(1, 1)).unit_prices)
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(
        unit("openai", "openai", "gpt-4o"),
        is("input=1.00 output=2.00")
    );
    assert_eq!(
        unit("mine", "openai", "gpt-4o"),
        is("input=3.00 output=4.00")
    );
    assert_eq!(
        unit("mine", "openai", "gpt-5.4"),
        is("input=7.00 output=8.00")
    );
    assert_eq!(unit("ollama", "ollama", "anything"), is("free"));
    assert_eq!(
        unit("azure", "azure", "gpt-5.4"),
        is("input=2.50 output=15.00")
    );
    assert_eq!(
        unit("azure", "azure", "my-deployment"),
        is("input=2.50 output=10.00")
    );
    assert_eq!(
        unit("bedrock", "bedrock", "us.anthropic.claude-opus-5-5-v1:0"),
        is("input=4.00 output=20.00")
    );
    assert_eq!(unit("azure", "azure", "unheard-of"), None);

    assert_ne!(own.version(), book.version());
    let again = own.with_overrides(&[]).unwrap();
    assert_eq!(again.version(), book.version());
    assert!(again.find("ollama", "anything").is_none());
}

#[test]
fn a_wrong_override_is_refused_with_its_path() {
    let refused = |overrides: &[PriceOverride]| {
        let error = PriceBook::builtin().with_overrides(overrides).unwrap_err();
        error.message().to_owned()
    };
    let zero = refused(&[over("a/b", r#"{"input":"0"}"#)]);
    assert!(zero.starts_with("prices.\"a/b\".input: is zero"), "{zero}");
    let twice = over("a/b", r#"{"free":true}"#);
    assert!(refused(&[twice.clone(), twice]).contains("twice"));
    let unknown = refused(&[over("a/*", r#"{"same_as":"nobody"}"#)]);
    assert!(unknown.contains("names nothing"), "{unknown}");
    assert!(PriceOverride::new("gpt-4o", PriceEntry::default()).is_err());
}

#[test]
fn the_configurations_form_is_read_from_toml() {
    let entry: PriceEntry = toml::from_str(
        "input = \"2.50\"\noutput = \"10\"\nabove = { tokens = 200000, input = \"5\" }\nus = \"1.1\"",
    )
    .unwrap();
    let figures = entry.check("x").unwrap().figures();
    let figures: Vec<_> = figures
        .iter()
        .map(|(path, of)| format!("{path} {of}"))
        .collect();
    assert_eq!(
        figures,
        [
            "input 2.50",
            "output 10.00",
            "above.input 5.00",
            "above.tokens 200000",
            "us 1.10"
        ]
    );
    let error = toml::from_str::<PriceEntry>("input = 2.5").unwrap_err();
    assert!(error.message().contains("in quotes"), "{error}");
}

#[test]
fn a_difference_is_shown_figure_by_figure() {
    let book = |prices: &str| {
        let file =
            format!(r#"{{"as_of":"2026-11-20","version":"v","prices":{{"p":{{{prices}}}}}}}"#);
        PriceBook::parse(file.as_bytes()).unwrap()
    };
    let old =
        book(r#""a":{"input":"1","batch":{"input":"0.5"}},"b":{"free":true},"c":{"input":"1"}"#);
    let new = book(r#""a":{"input":"2","output":"3"},"c":{"input":"1"},"d":{"input":"1"}"#);
    let changes = diff(&old, &new);
    let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "~ p/a: batch.input 0.50 -> none, input 1.00 -> 2.00, output none -> 3.00",
            "- p/b",
            "+ p/d: input 1.00"
        ]
    );
    assert_eq!(changes[1].kind, ChangeKind::Removed);
    assert!(diff(&old, &old.clone()).is_empty());
}
