//! P21: a price file that is wrong anywhere is refused as a whole, with the path of what is wrong.

use super::PriceBook;
use crate::price::LARGEST_FILE;

fn file(prices: &str) -> String {
    format!(r#"{{"as_of":"2026-11-20","version":"v1","prices":{prices}}}"#)
}

fn refusal(text: &str) -> String {
    match PriceBook::parse(text.as_bytes()) {
        Ok(_) => panic!("taken: {}", text.chars().take(200).collect::<String>()),
        Err(error) => error.message().to_owned(),
    }
}

#[test]
fn p21_a_wrong_figure_is_refused_with_its_path() {
    for figure in [
        "-1",
        "0",
        "0.0",
        "0.000000000",
        "NaN",
        "inf",
        "1e3",
        "1E-6",
        "0.0000000001",
        "1,5",
        "$2.50",
        "+1",
        "",
        " 1",
        "1_000",
        "0x1",
        "99999999999999999999",
        "١",
    ] {
        let entry =
            format!(r#"{{"openai":{{"gpt":{{"input":"1","batch":{{"input":"{figure}"}}}}}}}}"#);
        let message = refusal(&file(&entry));
        assert!(
            message.starts_with("prices.openai.gpt.batch.input: "),
            "{figure}: {message}"
        );
    }
    // Numbers that are not in quotes have been a binary fraction on their way.
    for figure in ["2.5", "2", "-1", "1e3", "null", "true", "{}", "[\"1\"]"] {
        let message = refusal(&file(&format!(
            r#"{{"openai":{{"gpt":{{"input":{figure}}}}}}}"#
        )));
        assert!(
            message.contains("openai: gpt: input: "),
            "{figure}: {message}"
        );
    }
}

#[test]
fn p21_a_wrong_shape_is_refused_with_its_path() {
    for (entry, wanted) in [
        ("{}", "prices.p.m: has no rate"),
        (r#"{"inptu":"1"}"#, "p: m: inptu: is not known"),
        (
            r#"{"input":"1","input":"2"}"#,
            "p: m: input: is written twice",
        ),
        (r#"{"output":"1"}"#, "prices.p.m: output has a price"),
        (r#"{"free":true,"input":"1"}"#, "prices.p.m: what is free"),
        (r#"{"same_as":"openai"}"#, "prices.p.m: `same_as`"),
        (r#"{"input":"1","tokens":5}"#, "prices.p.m.tokens: "),
        (
            r#"{"input":"1","above":{"input":"2"}}"#,
            "prices.p.m.above.tokens: ",
        ),
        (
            r#"{"input":"1","above":{"tokens":0,"input":"2"}}"#,
            "prices.p.m.above.tokens: ",
        ),
        (
            r#"{"input":"1","above":{"tokens":9}}"#,
            "prices.p.m.above: has no rate",
        ),
        (
            r#"{"input":"1","above":{"tokens":9,"input":"2","above":{"tokens":10,"input":"3"}}}"#,
            "prices.p.m.above: holds",
        ),
        (
            r#"{"input":"1","batch":{"flex":{"input":"1"},"input":"1"}}"#,
            "prices.p.m.batch: a service",
        ),
        (
            r#"{"input":"1","batch":{"free":true}}"#,
            "prices.p.m.batch: only a whole",
        ),
        (
            r#"{"input":"1","standard":{"input":"1"}}"#,
            "standard: is not known",
        ),
        (r#"{"input":"1","us":"0.9"}"#, "prices.p.m.us: "),
        (r#"{"input":"1","us":"1.0001"}"#, "prices.p.m.us: "),
        (
            r#"{"input":"0.000000001","us":"1.1"}"#,
            "prices.p.m.us: times the price of input",
        ),
        (
            r#"{"audio_second":"0.0000001"}"#,
            "prices.p.m.audio_second: ",
        ),
    ] {
        let message = refusal(&file(&format!(r#"{{"p":{{"m":{entry}}}}}"#)));
        assert!(message.contains(wanted), "{entry}: {message}");
    }
}

#[test]
fn p21_a_wrong_file_is_refused() {
    let price = r#"{"input":"1"}"#;
    for (text, wanted) in [
        (String::new(), "EOF"),
        ("[]".to_owned(), "The price file"),
        (file("{}"), "holds no price"),
        (file(r#"{"p":{}}"#), "holds no price"),
        (file("null"), "The price file"),
        (
            file(&format!(r#"{{"p":{{"m":{price},"m":{price}}}}}"#)),
            "p: m: is written twice",
        ),
        (
            file(&format!(r#"{{"p":{{"m":{price}}},"p":{{"n":{price}}}}}"#)),
            "p: is written twice",
        ),
        (file(&format!(r#"{{"p":{{"":{price}}}}}"#)), "is no name"),
        (
            file(&format!(r#"{{"p":{{"a\u001b[2J":{price}}}}}"#)),
            "is no name",
        ),
        (
            format!(r#"{{"as_of":"today","version":"v","prices":{{"p":{{"m":{price}}}}}}}"#),
            "as_of: ",
        ),
        (
            format!(r#"{{"as_of":"2026-13-01","version":"v","prices":{{"p":{{"m":{price}}}}}}}"#),
            "as_of: ",
        ),
        (
            format!(r#"{{"as_of":"2026-11-20","version":"","prices":{{"p":{{"m":{price}}}}}}}"#),
            "version: ",
        ),
        (
            format!(
                r#"{{"as_of":"2026-11-20","version":"v","x":1,"prices":{{"p":{{"m":{price}}}}}}}"#
            ),
            "x",
        ),
        (
            r#"{"as_of":"2026-11-20","version":"v"}"#.to_owned(),
            "prices",
        ),
        (
            format!("{} ", file(&format!(r#"{{"p":{{"m":{price}}}}}"#))) + "x",
            "trailing",
        ),
    ] {
        let message = refusal(&text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
    let most: Vec<_> = (0..1_000_000).map(|n| format!("\"{n}\":{price}")).collect();
    let million = file(&format!(r#"{{"p":{{{}}}}}"#, most.join(",")));
    let message = refusal(&million);
    assert!(
        message.contains("larger than") || message.contains("more than"),
        "{message}"
    );
    let some = file(&format!(r#"{{"p":{{{}}}}}"#, most[..60_000].join(",")));
    assert!(refusal(&some).contains("more than 50000 names"));
    assert!(refusal(&" ".repeat(LARGEST_FILE + 1)).contains("larger than 16 MiB"));
}

#[test]
fn a_cut_file_is_refused_at_every_byte() {
    let whole = file(r#"{"p":{"m":{"input":"1","above":{"tokens":5,"input":"2"}}}}"#);
    assert!(PriceBook::parse(whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        assert!(PriceBook::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
}
