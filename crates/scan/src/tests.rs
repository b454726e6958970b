use std::{fs, path::Path, process::Command};

use tollgate_policy::key::{Role, Token};

use super::*;

/// A text of random-looking letters that no scanner finds in this file.
fn letters(alphabet: &str, length: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()]
    };
    (0..length).map(|_| next()).collect()
}

fn alphanumeric(length: usize) -> String {
    let alphabet = "aB3dE5fG7hJ9kL1mN0pQ2rS4tU6vW8xYzZcCbA";
    letters(alphabet, length)
}

fn hex(length: usize) -> String {
    letters("0f1e2d3c4b5a69788", length)
}

/// A key of each kind.
fn samples() -> Vec<(&'static str, String)> {
    let own = |role| Token::generate(role).unwrap().secret().expose().to_owned();
    let with = |prefix: &str, length| format!("{prefix}{}", alphanumeric(length));
    vec![
        ("tollgate", own(Role::Model)),
        ("tollgate-admin", own(Role::Admin)),
        ("anthropic", with("sk-ant-api03-", 90)),
        ("openrouter", format!("sk-or-v1-{}", hex(64))),
        ("openai-project", with("sk-proj-", 100)),
        ("openai-service", with("sk-svcacct-", 100)),
        ("openai-admin", with("sk-admin-", 100)),
        ("deepseek", format!("sk-{}", hex(32))),
        ("openai", with("sk-", 48)),
        ("google", with("AIza", 35)),
        ("groq", with("gsk_", 52)),
        ("xai", with("xai-", 80)),
        ("hugging-face", with("hf_", 34)),
        ("aws", format!("AKIA{}", letters("A2B3C4D5E6F7G", 16))),
        (
            "aws-session",
            format!("ASIA{}", letters("A2B3C4D5E6F7G", 16)),
        ),
        ("replicate", with("r8_", 37)),
        ("perplexity", with("pplx-", 48)),
        ("fireworks", with("fw_", 24)),
        ("cerebras", with("csk-", 48)),
        ("nvidia", with("nvapi-", 64)),
    ]
}

fn kinds(text: &str) -> Vec<&'static str> {
    let findings = scan_bytes("f", text.as_bytes());
    findings.into_iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_key_of_every_kind_is_found_wherever_it_stands_and_never_repeated() {
    for (kind, key) in samples() {
        for text in [
            key.clone(),
            format!("KEY={key}"),
            format!("\"api_key\": \"{key}\","),
            format!("curl -H 'Authorization: Bearer {key}' https://x"),
            format!("ż {key}."),
            format!("a\r\n{key}\r\nb"),
        ] {
            let findings = scan_bytes("f", text.as_bytes());
            let found: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(found, [kind], "{text}");
            let said = format!("{} {:?}", findings[0], findings[0]);
            assert!(!said.contains(&key[key.len() - 8..]), "{said}");
        }
    }
}

#[test]
fn what_only_looks_like_a_key_is_not_reported() {
    let token = Token::generate(Role::Model).unwrap();
    let mut damaged = token.secret().expose().to_owned();
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'x' { 'y' } else { 'x' });
    for text in [
        damaged,
        format!("sk-proj-{}", "x".repeat(60)),
        "sk-your-openai-api-key-goes-here-please".to_owned(),
        "sk-ant-your-anthropic-api-key-goes-right-here".to_owned(),
        format!("AIza{}", alphanumeric(34)),
        format!("AIza{}", alphanumeric(36)),
        format!("risk-{}", alphanumeric(48)),
        format!("AKIA{}", letters("A2B3C4D5E6F7G", 20)),
        format!("commit {}", hex(40)),
        format!("checksum = {}", hex(32)),
        "task-manager hf_hub xai- gsk_".to_owned(),
    ] {
        assert!(kinds(&text).is_empty(), "{text}: {:?}", kinds(&text));
    }
}

#[test]
fn a_form_that_is_no_vendors_alone_counts_only_beside_the_vendors_name() {
    let key = alphanumeric(32);
    assert_eq!(kinds(&format!("MISTRAL_API_KEY={key}")), ["mistral"]);
    assert!(kinds(&format!("SOME_ID={key}")).is_empty());
}

#[test]
fn a_finding_tells_the_place_and_an_allowed_line_is_passed_over() {
    let key = format!("gsk_{}", alphanumeric(52));
    let text = format!("one\nżó {key} {key}\n{key} # tollgate:allow\n");
    let findings = scan_bytes("dir/f", text.as_bytes());
    let places: Vec<_> = findings.iter().map(|it| (it.line, it.column)).collect();
    assert_eq!(places, [(2, 4), (2, 61)]);
    let said = findings[0].to_string();
    assert_eq!(said, "dir/f:2:4: groq gsk_… (56 characters)");
    assert!(scan_bytes("f", format!("\0{key}").as_bytes()).is_empty());
}

fn write(root: &Path, path: &str, contents: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

fn found(report: &Report, root: &Path) -> Vec<String> {
    let inside = |path: &str| {
        let path = Path::new(path);
        let path = path.strip_prefix(root).unwrap_or(path);
        path.to_string_lossy().into_owned()
    };
    report.findings.iter().map(|it| inside(&it.path)).collect()
}

#[test]
fn a_folder_is_read_whole_but_for_what_is_excluded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let key = format!("gsk_{}", alphanumeric(52));
    for path in [
        "a.txt",
        "b/c.env",
        ".hidden",
        ".git/config",
        "target/x/y",
        "d/skip.me",
        "e/own.rs",
    ] {
        write(root, path, &key);
    }
    write(root, ".tollgateignore", "# built\n/target/\n*.me\n");
    let large = usize::try_from(MAX_FILE).unwrap();
    write(root, "large", &format!("{key}\n{}", "x".repeat(large)));
    let options = Options {
        exclude: vec!["e/*.rs".to_owned()],
    };
    let report = scan_folder(root, &options).unwrap();
    assert_eq!(found(&report, root), [".hidden", "a.txt", "b/c.env"]);
    let one = scan_folder(&root.join("a.txt"), &Options::default()).unwrap();
    assert_eq!((one.files, one.findings.len()), (1, 1));
    assert!(scan_folder(&root.join("absent"), &options).is_err());
}

#[test]
fn what_is_staged_is_read_from_the_index_and_not_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = |arguments: &[&str]| {
        let done = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(arguments)
            .output();
        assert!(done.unwrap().status.success(), "{arguments:?}");
    };
    run(&["init", "-q"]);
    let key = format!("gsk_{}", alphanumeric(52));
    write(root, "staged ż.env", &key);
    write(root, "clean", "nothing");
    run(&["add", "."]);
    write(root, "staged ż.env", "removed on disk, still staged");
    write(root, "clean", &key);
    write(root, "untracked", &key);
    let report = scan_staged(root, &Options::default()).unwrap();
    assert_eq!(found(&report, root), ["staged ż.env"]);
    assert_eq!(report.files, 2);
    run(&["add", "staged ż.env"]);
    let report = scan_staged(root, &Options::default()).unwrap();
    assert!(report.findings.is_empty());
}
