//! `tollgate tokens`.

use crate::program::Home;

#[test]
fn a_text_and_a_request_are_counted_with_method_and_bound() {
    let home = Home::new();
    let file = home.path().join("fox.txt");
    std::fs::write(&file, "The quick brown fox jumps over the lazy dog.").unwrap();
    let file = file.to_str().unwrap();
    let exact = |arguments: &[&str]| {
        let out = home
            .command()
            .arg("tokens")
            .args(arguments)
            .output()
            .unwrap();
        (
            String::from_utf8(out.stdout).unwrap(),
            String::from_utf8(out.stderr).unwrap(),
        )
    };
    let (count, words) = exact(&["--model", "openai/gpt-4o", file, "--data", "data"]);
    assert!(
        count == "10\n" && words.contains("own encoding"),
        "{count} {words}"
    );
    let (_, words) = exact(&[
        "--model",
        "anthropic/claude-opus-4-7",
        file,
        "--data",
        "data",
    ]);
    assert!(
        words.contains("Estimated") && words.contains('%'),
        "{words}"
    );
    let request = home.path().join("request.json");
    std::fs::write(
        &request,
        r#"{"model":"x","messages":[{"role":"user","content":"hello"}]}"#,
    )
    .unwrap();
    let request = request.to_str().unwrap();
    let arguments = [
        "--model",
        "openai/gpt-4o",
        "--dialect",
        "openai-chat",
        "--json",
        request,
        "--data",
        "data",
    ];
    let (counted, _) = exact(&arguments);
    let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
    assert!(
        counted["tokens"] == 8 && counted["exact"] == true,
        "{counted}"
    );
    home.refused(&["tokens", "--model", "gpt-4o", file], "`openai/gpt-4o`");
    home.refused(
        &[
            "tokens",
            "--model",
            "openai/gpt-4o",
            "--dialect",
            "klingon",
            request,
        ],
        "openai-chat",
    );
    home.refused(
        &["tokens", "--model", "openai/gpt-4o", "nofile"],
        "cannot be read",
    );
}

#[test]
fn a_model_of_this_machine_counts_by_its_own_tokenizer_and_template() {
    let home = Home::new();
    let text = home.path().join("text.txt");
    std::fs::write(&text, "What is a token?").unwrap();
    let request = home.path().join("request.json");
    std::fs::write(
        &request,
        r#"{"model":"x","messages":[{"role":"user","content":"What is a token?"}]}"#,
    )
    .unwrap();
    let count = |arguments: &[&str]| {
        let asked = ["tokens", "--model", "tollgate/tollgate-demo", "--json"];
        let counted = home.json(&[&asked, arguments].concat());
        assert_eq!(counted["exact"], true);
        assert_eq!(counted["at_most"], counted["tokens"]);
        counted["tokens"].as_u64().unwrap()
    };
    let alone = count(&[text.to_str().unwrap()]);
    let templated = count(&["--dialect", "openai-chat", request.to_str().unwrap()]);
    assert!(
        (4..=16).contains(&alone) && templated > alone,
        "{alone} {templated}"
    );
    home.refused(
        &[
            "tokens",
            "--model",
            "tollgate/absent",
            text.to_str().unwrap(),
        ],
        "absent",
    );
}
