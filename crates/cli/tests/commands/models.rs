//! `tollgate models`, against a hub on loopback.

use serde_json::Value;
use tollgate_testkit::TestHub;

use crate::program::{Home, Said, until};

const FILE: &str = "demo-Q8_0.gguf";
const MODEL: &str = "lab/tiny-GGUF:Q8_0";

/// The built-in model's file, which is a sound one with everything in its header.
fn demo() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../engine/models/tollgate-demo-q8_0.gguf"
    );
    std::fs::read(path).unwrap()
}

fn lab() -> (Home, TestHub) {
    let home = Home::new();
    let hub = TestHub::start([(FILE.to_owned(), demo())]).unwrap();
    home.configure(&format!("[models]\nhub = \"{}\"\n", hub.url()));
    (home, hub)
}

/// Runs with variables of the environment.
fn run_with(home: &Home, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
    let out = home
        .command()
        .envs(variables.iter().copied())
        .args(arguments)
        .arg("--data")
        .arg(home.data())
        .output()
        .unwrap();
    Said {
        code: out.status.code().unwrap_or(-1),
        data: String::from_utf8(out.stdout).unwrap(),
        words: String::from_utf8(out.stderr).unwrap(),
    }
}

#[test]
fn a_model_is_pulled_listed_shown_verified_and_removed() {
    let (home, _hub) = lab();
    let said = home.run(&["models", "pull", MODEL]);
    assert_eq!(said.code, 0, "{said:?}");
    let path = said.data.trim_end();
    assert_eq!(std::fs::read(path).unwrap(), demo());
    for words in ["3.14 MB", "its checksum is right", "Licence: apache-2.0"] {
        assert!(said.words.contains(words), "{said:?}");
    }
    assert!(
        !said.words.contains('\u{1b}'),
        "no bar where there is no terminal: {said:?}"
    );

    let list = home.ok(&["models", "list"]);
    for cell in [
        "lab/tiny-GGUF/demo-Q8_0.gguf",
        "3.14 MB",
        "llama",
        "Q8_0",
        "1024",
        "apache-2.0",
    ] {
        assert!(list.contains(cell), "{list}");
    }
    let shown = home.ok(&["models", "show", MODEL]);
    for line in [
        "commit 0123456789abcdef",
        "architecture   llama",
        "layers         4",
        "context        1024 tokens",
        "vocabulary     2048",
        "chat template  yes",
        "for each 1,024 tokens",
        "as the hub lists it",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let shown = home.json(&["models", "show", MODEL, "--json"]);
    assert_eq!(shown["facts"]["kv_bytes_per_token"], 2048);
    assert_eq!(shown["memory"]["weights"], demo().len());
    assert!(home.ok(&["models", "verify"]).contains("sound"));

    let asked = home.run(&["models", "rm", MODEL]);
    assert!(
        asked.code == 1 && asked.words.contains("--yes"),
        "{asked:?}"
    );
    home.ok(&["models", "rm", MODEL, "--yes"]);
    assert!(!std::path::Path::new(path).exists());
    home.refused(&["models", "show", MODEL], "no model");
}

#[test]
fn a_pull_that_was_cut_goes_on_and_says_what_is_here() {
    let (home, hub) = lab();
    hub.change(|shelves| shelves.cuts.push_back(1_000_000));
    let said = home.run(&["models", "pull", MODEL]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.words.contains("Trying again") && said.words.contains("1.00 MB are here already"),
        "{said:?}"
    );
    let storage: Vec<_> = hub
        .asked()
        .into_iter()
        .filter(|one| one.of_storage)
        .collect();
    assert_eq!(storage[1].headers["range"], "bytes=1000000-");
}

#[test]
fn a_pull_that_was_killed_goes_on() {
    let (home, hub) = lab();
    hub.change(|shelves| shelves.holds = true);
    let mut pull = home
        .command()
        .args(["models", "pull", MODEL, "--data"])
        .arg(home.data())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    hub.wait_until_held();
    let half = demo().len() as u64 / 2;
    until("half of it is on the disk", || {
        let parts = std::fs::read_dir(home.data().join("models/.partial"));
        parts.into_iter().flatten().flatten().any(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|ending| ending == "part")
                && entry.metadata().is_ok_and(|facts| facts.len() == half)
        })
    });
    home.refused(&["models", "pull", MODEL], "Another program is pulling");
    pull.kill().unwrap();
    pull.wait().unwrap();
    hub.release();
    let list = home.run(&["models", "list"]);
    assert!(list.words.contains("Unfinished: lab/tiny-GGUF"), "{list:?}");
    home.ok(&["models", "pull", MODEL]);
    let last = hub.asked().pop().unwrap();
    assert_eq!(last.headers["range"], format!("bytes={half}-"));
    assert!(home.ok(&["models", "verify", MODEL]).contains("sound"));
}

#[test]
fn programs_get_an_object_a_line_and_the_model_last() {
    let (home, _hub) = lab();
    let lines: Vec<Value> = home
        .ok(&["models", "pull", MODEL, "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "begins");
    assert_eq!(lines[0]["size"], demo().len());
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["was_here"]),
        (&"pulled".into(), &false.into())
    );
    assert_eq!(last["model"]["facts"]["architecture"], "llama");
    let again = home.json(&["models", "pull", MODEL, "--json"]);
    assert_eq!(again["was_here"], true);
    let list = home.json(&["models", "list", "--json"]);
    assert_eq!(list["models"][0]["origin"]["repository"], "lab/tiny-GGUF");
    assert_eq!(
        home.json(&["models", "verify", "--json"])[0]["is_sound"],
        true
    );
}

#[test]
fn the_hub_and_its_token_come_from_the_option_the_file_or_the_environment() {
    let (home, hub) = lab();
    hub.change(|shelves| shelves.token = Some("hf_canary".to_owned()));
    let url = hub.url();
    home.refused(&["models", "pull", MODEL], "asks for a token");
    let wrong = run_with(
        &home,
        &[("HF_TOKEN", "hf_wrong")],
        &["models", "pull", MODEL],
    );
    assert!(
        wrong.code == 1 && wrong.words.contains("does not accept the token"),
        "{wrong:?}"
    );
    assert!(!wrong.words.contains("hf_wrong"), "{wrong:?}");
    home.configure("");
    let variables = [("HF_TOKEN", "hf_canary"), ("HF_ENDPOINT", url.as_str())];
    let said = run_with(&home, &variables, &["models", "pull", MODEL]);
    assert_eq!(said.code, 0, "{said:?}");
    home.ok(&["models", "rm", MODEL, "--yes"]);

    let token = home.path().join("token");
    std::fs::write(&token, "hf_canary\n").unwrap();
    let token = token.to_str().unwrap();
    home.ok(&[
        "models",
        "pull",
        MODEL,
        "--hub",
        &url,
        "--token-file",
        token,
    ]);
    home.ok(&["models", "rm", MODEL, "--yes"]);
    restrict(token);
    home.configure(&format!(
        "[models]\nhub = \"{url}\"\ntoken_file = \"token\"\n"
    ));
    home.ok(&["models", "pull", MODEL]);
}

#[cfg(unix)]
fn restrict(file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn restrict(_file: &str) {}

#[test]
fn what_is_wrong_with_a_name_is_an_argument_s_fault_and_the_rest_is_not() {
    let (home, _hub) = lab();
    for (name, says) in [
        ("qwen3-06b", "did you mean qwen3-0.6b"),
        ("../lab/tiny", "no GGUF file"),
        ("lab/tiny--GGUF", "neither `--`"),
        ("lab/tiny-GGUF/../x.gguf", "no file's path"),
        ("http://example.com/x.gguf", "https only"),
    ] {
        let said = home.run(&["models", "pull", name]);
        assert!(
            said.words.contains(says)
                || (name.starts_with("..") && said.words.contains("cannot be found")),
            "{name}: {said:?}"
        );
        assert!(said.code != 0 && said.data.is_empty(), "{name}: {said:?}");
    }
    assert_eq!(home.run(&["models", "pull", "lab/tiny--GGUF"]).code, 2);
    let missing = home.run(&["models", "pull", "lab/other-GGUF"]);
    assert!(
        missing.code == 1 && missing.words.contains("There is `lab/tiny-GGUF`"),
        "{missing:?}"
    );
    home.refused(&["models", "rm", "../../etc/passwd", "--yes"], "no model");
    assert!(home.run(&["models", "list"]).words.contains("--curated"));
}

#[test]
fn the_curated_list_has_sizes_memory_and_licences() {
    let home = Home::new();
    let list = home.ok(&["models", "list", "--curated"]);
    for cell in [
        "qwen3-0.6b",
        "639 MB",
        "Llama 3.2 Community License",
        "embeddings",
    ] {
        assert!(list.contains(cell), "{list}");
    }
    let list = home.json(&["models", "list", "--curated", "--json"]);
    assert!(list.as_array().unwrap().len() >= 10);
}
