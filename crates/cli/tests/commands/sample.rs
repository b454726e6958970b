//! `tollgate sample`: the distribution of the next token as people and programs see it.

use crate::program::Home;

const PROMPT: &[&str] = &["sample", "--prompt", "A token is"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [PROMPT, more].concat()
}

#[test]
fn each_parameter_does_what_it_says_to_the_probabilities() {
    let home = Home::new();
    let of = |shown: &serde_json::Value, at: usize, step: &str| {
        shown["tokens"][at][step].as_f64().unwrap()
    };
    let plain = home.json(&with(&["--json"]));
    assert_eq!(plain["tokens"].as_array().unwrap().len(), 12);
    let first = of(&plain, 0, "before");
    assert!((of(&plain, 0, "after_min_p") - first).abs() < 1e-9);

    let hot = home.json(&with(&["--json", "--temperature", "2"]));
    let cold = home.json(&with(&["--json", "--temperature", "0.5"]));
    assert!(of(&hot, 0, "after_temperature") < first);
    assert!(of(&cold, 0, "after_temperature") > first);
    let greedy = home.json(&with(&["--json", "--temperature", "0"]));
    assert!((of(&greedy, 0, "after_min_p") - 1.0).abs() < 1e-9);

    let cut = home.json(&with(&["--json", "--temperature", "2", "--top-k", "3"]));
    let left: f64 = (0..3).map(|at| of(&cut, at, "after_top_k")).sum();
    assert!((left - 1.0).abs() < 1e-6 && cut["n_after_top_k"] == 3);
    assert!(of(&cut, 3, "after_top_k").abs() < 1e-12);
    let nucleus = home.json(&with(&["--json", "--temperature", "2", "--top-p", "0.3"]));
    let n = nucleus["n_after_top_p"].as_u64().unwrap();
    assert!(n >= 1 && n < nucleus["vocabulary_size"].as_u64().unwrap());
    let share = home.json(&with(&["--json", "--temperature", "2", "--min-p", "0.5"]));
    assert!(share["n_after_min_p"].as_u64().unwrap() < 12);
}

#[test]
fn people_see_a_table_and_bars_and_a_picture_is_sound_xml() {
    let home = Home::new();
    let said = home.run(&with(&[
        "--temperature",
        "0.7",
        "--top-p",
        "0.9",
        "--svg",
        "plot.svg",
    ]));
    assert_eq!(said.code, 0, "{said:?}");
    for words in [
        "temperature 0.7",
        "top-p 0.9",
        "logit",
        "top-k",
        "█",
        "░",
        "Of 2048 tokens",
    ] {
        assert!(said.data.contains(words), "{words}: {said:?}");
    }
    let svg = std::fs::read_to_string(home.path().join("plot.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
    let bars = svg.matches("<rect x=\"150\" y=").count();
    assert_eq!(
        bars,
        12 * 4 + 1,
        "four bars for each token, and the legend's first"
    );

    let hostile = ["sample", "--prompt", "<script>&\"</svg>", "--svg", "-"];
    let svg = home.ok(&hostile);
    assert!(!svg.contains("<script>") && svg.matches("</svg>").count() == 1);
}

#[test]
fn a_chat_prompt_goes_through_the_template_and_bad_values_are_named() {
    let home = Home::new();
    let raw = home.json(&with(&["--json"]));
    let chat = home.json(&with(&["--json", "--chat"]));
    assert_ne!(raw["tokens"], chat["tokens"]);
    home.refused(&with(&["--temperature", "3"]), "must be between 0 and 2");
    home.refused(&with(&["--top-p", "0"]), "must be above 0");
    home.refused(&with(&["--model", "absent"]), "absent");
    home.refused(&["sample", "--prompt", ""], "must not be empty");
}
