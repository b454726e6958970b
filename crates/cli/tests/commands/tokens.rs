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
