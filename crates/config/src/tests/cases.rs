//! Every mistake by name: the text that holds it, and what is said about it.

use super::{load, mistakes, print};

const KEYS: &[(&str, &str)] = &[
    ("OPENAI_API_KEY", "sk-canary"),
    ("GROQ_API_KEY", "gsk-canary"),
    ("EMPTY", ""),
];

/// The text makes exactly these lines; each is given by its beginning.
fn says(text: &str, expected: &[&str]) {
    let said = mistakes(text, KEYS);
    let good = said.len() == expected.len()
        && said
            .iter()
            .zip(expected)
            .all(|(line, start)| line.starts_with(start));
    assert!(
        good,
        "\n--- text\n{text}\n--- said\n{}\n--- expected\n{}",
        said.join("\n"),
        expected.join("\n")
    );
}

#[test]
fn a_hub_that_cannot_be_asked() {
    says(
        "[models]\nhub = \"huggingface.co\"",
        &["tollgate.toml:2:7: models.hub: the URL "],
    );
    says(
        "[models]\ntoken_file = \"nowhere/token\"",
        &["tollgate.toml:2:14: models.token_file: cannot read "],
    );
    says("[models]\nhub = \"http://192.168.0.7:8080\"", &[]);
}

#[test]
fn unknown_keys() {
    says(
        "weather = 1",
        &["tollgate.toml:1:1: unknown key `weather`: known are "],
    );
    says(
        "[server]\nlisen = \"x\"",
        &["tollgate.toml:2:1: server: unknown key `lisen`: did you mean `listen`?"],
    );
    says(
        "[providers.openai]\nmodles = [\"gpt-4o\"]",
        &["tollgate.toml:2:1: providers.openai: unknown key `modles`: did you mean `models`?"],
    );
    says(
        "[provders.openai]",
        &["tollgate.toml:1:2: unknown key `provders`: did you mean `providers`?"],
    );
    says(
        "heartbeat = \"5s\"",
        &["tollgate.toml:1:1: unknown key `heartbeat`: did you mean `streaming.heartbeat`?"],
    );
    says(
        "[server.limits]\nconections = 5",
        &[
            "tollgate.toml:2:1: server.limits: unknown key `conections`: did you mean `connections`?",
        ],
    );
    says(
        "[routes.a]\ntarget = [\"openai/x\"]",
        &[
            "tollgate.toml:1:9: routes.a: `targets` is missing",
            "tollgate.toml:2:1: routes.a: unknown key `target`: did you mean `targets`?",
        ],
    );
}

#[test]
fn syntax() {
    says(
        "[server\nlisten = 1",
        &["tollgate.toml:1:8: not valid TOML: "],
    );
    says(
        "strict = true\nstrict = false",
        &["tollgate.toml:2:1: not valid TOML: duplicate key"],
    );
    says("strict = yes", &["tollgate.toml:1:10: not valid TOML: "]);
    // Several at once, and what is judged is only what the text surely says.
    says(
        "strict = yes\nbuilt_in_model = 1\n[log\nlevel = 5\n",
        &[
            "tollgate.toml:1:10: not valid TOML: ",
            "tollgate.toml:2:18: built_in_model: must be true or false",
            "tollgate.toml:3:5: not valid TOML: ",
        ],
    );
}

#[test]
fn wrong_types() {
    says(
        "strict = \"yes\"",
        &["tollgate.toml:1:10: strict: must be true or false, not a text: write true or false"],
    );
    says(
        "server = 1",
        &["tollgate.toml:1:1: server: must be a table: write [server]"],
    );
    says(
        "providers = 1",
        &["tollgate.toml:1:13: providers: must be a table of tables: write [providers.<name>]"],
    );
    says(
        "[providers]\nopenai = true",
        &["tollgate.toml:2:1: providers.openai: must be a table: write [providers.openai]"],
    );
    says(
        "[retry]\nmax_attempts = \"3\"",
        &["tollgate.toml:2:16: retry.max_attempts: must be a number, not a text"],
    );
    says(
        "[retry]\nmax_attempts = 1.5",
        &["tollgate.toml:2:16: retry.max_attempts: must be a number, not a number with a point"],
    );
    says(
        "data_dir = \"\"",
        &["tollgate.toml:1:12: data_dir: is empty"],
    );
    says(
        "[routes.a]\ntargets = [\"openai/a\", 1, \"openai/a\"]",
        &[
            "tollgate.toml:2:24: routes.a.targets: must hold texts, not a number",
            "tollgate.toml:2:27: routes.a.targets: holds `openai/a` twice: remove one of them",
        ],
    );
}

#[test]
fn values_out_of_range() {
    for (line, start) in [
        (
            "retry.max_attempts = 0",
            "tollgate.toml:1:22: retry.max_attempts: is out of range: write a value from 1 to 10",
        ),
        (
            "retry.max_attempts = -1",
            "tollgate.toml:1:22: retry.max_attempts: is out of range",
        ),
        (
            "retry.max_attempts = 99999999999999999999999",
            "tollgate.toml:1:22: retry.max_attempts: is out of range",
        ),
        (
            "ledger.journal_file_mib = 0",
            "tollgate.toml:1:27: ledger.journal_file_mib: is out of range: write a value from 1 to 1024",
        ),
        (
            "ledger.journal_file_mib = 1025",
            "tollgate.toml:1:27: ledger.journal_file_mib: is out of range",
        ),
        (
            "server.workers = 0",
            "tollgate.toml:1:18: server.workers: is out of range",
        ),
        (
            "streaming.heartbeat = \"0s\"",
            "tollgate.toml:1:23: streaming.heartbeat: is out of range: write a value from 1s to 1h",
        ),
        (
            "streaming.total_timeout = \"3650d\"",
            "tollgate.toml:1:27: streaming.total_timeout: is out of range",
        ),
        (
            "streaming.heartbeat = \"5\"",
            "tollgate.toml:1:23: streaming.heartbeat: is not a duration: write a whole number with a unit, such as",
        ),
        (
            "streaming.heartbeat = \"5 parsecs\"",
            "tollgate.toml:1:23: streaming.heartbeat: is not a duration",
        ),
        (
            "streaming.heartbeat = \"-5s\"",
            "tollgate.toml:1:23: streaming.heartbeat: is not a duration",
        ),
        (
            "streaming.heartbeat = 5",
            "tollgate.toml:1:23: streaming.heartbeat: must be a duration, not a number: write a number with a unit, such as \"5s\"",
        ),
        (
            "server.limits.body_bytes = 33554432",
            "tollgate.toml:1:28: server.limits.body_bytes: must be a size, not a number",
        ),
        (
            "server.limits.body_bytes = \"32\"",
            "tollgate.toml:1:28: server.limits.body_bytes: is not a size",
        ),
        (
            "server.limits.body_bytes = \"1B\"",
            "tollgate.toml:1:28: server.limits.body_bytes: is out of range: write a value from 1KiB to 1GiB",
        ),
        (
            "server.limits.body_bytes = \"1GiB\"",
            "tollgate.toml:1:28: server.limits.body_bytes: is more than `server.limits.in_flight_body_bytes`",
        ),
        (
            "server.listen = \"127.0.0.1\"",
            "tollgate.toml:1:17: server.listen: has no port",
        ),
        (
            "server.listen = \"127.0.0.1:70000\"",
            "tollgate.toml:1:17: server.listen: has a port",
        ),
        (
            "server.listen = \"127.0.0.1:80a\"",
            "tollgate.toml:1:17: server.listen: has a port",
        ),
        (
            "server.listen = \"garbage:80\"",
            "tollgate.toml:1:17: server.listen: is not an address",
        ),
        (
            "log.level = \"inf\"",
            "tollgate.toml:1:13: log.level: is not one of its values: did you mean `info`?",
        ),
        (
            "log.format = \"yaml\"",
            "tollgate.toml:1:14: log.format: is not one of its values: known are `text` and `json`",
        ),
        (
            "retry.base_delay = \"20s\"",
            "tollgate.toml:1:20: retry.base_delay: is longer than `retry.max_delay`",
        ),
    ] {
        says(line, &[start]);
    }
    says(
        "streaming.total_timeout = \"6m\"",
        &["tollgate.toml:1:1: warning: streaming.first_byte_timeout: is longer than"],
    );
}

#[test]
fn providers() {
    says(
        "[providers.opnai]",
        &[
            "tollgate.toml:1:12: providers.opnai: `kind` is missing, and the name is not a kind: did you mean `[providers.openai]`?",
        ],
    );
    says(
        "[providers.mine]\nkind = \"opnai\"",
        &["tollgate.toml:2:8: providers.mine.kind: is not a known kind: did you mean `openai`?"],
    );
    says(
        "[providers.mine]\nkind = \"openai-compatible\"",
        &["tollgate.toml:1:12: providers.mine: `base_url` is missing"],
    );
    says(
        "[providers.tollgate]\nkind = \"ollama\"",
        &[
            "tollgate.toml:1:12: providers.tollgate: this name belongs to the models of this machine",
        ],
    );
    says(
        "[providers.\"a/b\"]\nkind = \"ollama\"",
        &["tollgate.toml:1:12: providers.\"a/b\": is not a provider's name"],
    );
    says(
        "[providers.ollama]\napi_version = \"1\"",
        &["tollgate.toml:2:15: providers.ollama.api_version: `ollama` has no versions"],
    );
    says(
        "[providers.ollama]\nmodels = []",
        &["tollgate.toml:2:10: providers.ollama.models: allows no model"],
    );
    says(
        "[providers.ollama]\nbase_url = \"http://127.0.0.1:11434/v1/chat/completions\"",
        &[
            "tollgate.toml:2:12: providers.ollama.base_url: ends with `/chat/completions`, the path of one operation",
        ],
    );
    says(
        "disabled_providers = [\"grok\"]",
        &[
            "tollgate.toml:1:23: disabled_providers: names the unknown provider `grok`: did you mean `groq`?",
        ],
    );
    says("[providers.ollama]", &[]);
}

#[test]
fn urls() {
    for url in [
        "http://api.example.com/v1",
        "https://user:canary@api.example.com/v1",
        "file:///etc/passwd",
        "https://[fe80::1%25eth0]/v1",
        "https://api.example.com./v1",
        "https://аpi.example.com/v1",
        "http://2130706433/v1",
        "http://0177.0.0.1/v1",
        "http://0x7f.1/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "http://169.254.169.254/v1",
        "http://10.0.0.1/v1",
        "https://metadata.google.internal/v1",
    ] {
        let text = format!("[providers.ollama]\nbase_url = \"{url}\"");
        says(
            &text,
            &["tollgate.toml:2:12: providers.ollama.base_url: the URL "],
        );
        assert!(!print(&load(&text, KEYS).unwrap_err()).contains("canary"));
    }
    says(
        "[providers.ollama]\nbase_url = \"http://10.0.0.1/v1\"\nallow_private = true",
        &[],
    );
    says(
        "[providers.ollama]\nbase_url = \"http://api.example.com/v1\"\nallow_http = true",
        &[],
    );
    says(
        "[providers.ollama]\nbase_url = \"http://169.254.169.254/v1\"\nallow_private = true\nallow_http = true",
        &[
            "tollgate.toml:2:12: providers.ollama.base_url: the URL leads to an address that serves no models",
        ],
    );
}

#[test]
fn keys() {
    says(
        "[providers.mistral]",
        &[
            "tollgate.toml:1:12: providers.mistral: no key: set the environment variable MISTRAL_API_KEY",
        ],
    );
    says("[providers.mistral]\nenabled = false", &[]);
    says(
        "[providers.openai]\napi_key_env = \"NOT_SET\"",
        &[
            "tollgate.toml:2:15: providers.openai.api_key_env: the environment variable NOT_SET is not set",
        ],
    );
    says(
        "[providers.openai]\napi_key_env = \"EMPTY\"",
        &[
            "tollgate.toml:2:15: providers.openai.api_key_env: the environment variable EMPTY is empty",
        ],
    );
    says(
        "[providers.openai]\napi_key = \"sk-canary\"\napi_key_env = \"GROQ_API_KEY\"",
        &[
            "tollgate.toml:3:15: providers.openai.api_key_env: the key has two sources: `api_key` and `api_key_env`",
        ],
    );
    for placeholder in ["changeme", "sk-1234", "..."] {
        says(
            &format!("[providers.openai]\napi_key = \"{placeholder}\""),
            &["tollgate.toml:2:11: providers.openai.api_key: the key is a placeholder"],
        );
    }
    says(
        "[providers.ollama]\napi_key = \"xxx\"",
        &["tollgate.toml:2:11: warning: providers.ollama.api_key: the key is a placeholder"],
    );
    says(
        "[providers.openai]\napi_key = \"   \"",
        &["tollgate.toml:2:11: providers.openai.api_key: the key is empty"],
    );
    says(
        "[providers.openai]\napi_key = \"a\\nb\"",
        &["tollgate.toml:2:11: providers.openai.api_key: the key holds blanks"],
    );
    // An environment reference is a name, not a template.
    says(
        "[providers.openai]\napi_key_env = \"${OPENAI_API_KEY}\"",
        &[
            "tollgate.toml:2:15: providers.openai.api_key_env: is not the name of an environment variable",
        ],
    );
}

#[test]
fn headers() {
    for (headers, start) in [
        (
            "{ \"a b\" = \"x\" }",
            "tollgate.toml:2:13: providers.ollama.headers: has a header name that is not valid",
        ),
        (
            "{ Authorization = \"x\" }",
            "tollgate.toml:2:13: providers.ollama.headers: sets `authorization`, which is not yours to set",
        ),
        (
            "{ a = \"x\\ny\" }",
            "tollgate.toml:2:13: providers.ollama.headers: has a value for `a` that no header can carry",
        ),
        (
            "{ a = 1 }",
            "tollgate.toml:2:13: providers.ollama.headers: has a number for `a`",
        ),
        (
            "{ a = \"1\", A = \"2\" }",
            "tollgate.toml:2:13: providers.ollama.headers: sets `a` twice",
        ),
    ] {
        let said = mistakes(&format!("[providers.ollama]\nheaders = {headers}"), KEYS);
        assert_eq!(said.len(), 1, "{headers}: {said:?}");
        assert_eq!(
            said[0].split(": ").nth(1),
            start.split(": ").nth(1),
            "{said:?}"
        );
        assert_eq!(
            said[0].split(": ").nth(2),
            start.split(": ").nth(2),
            "{said:?}"
        );
    }
    says(
        "[providers.x]\nkind = \"anthropic-compatible\"\nbase_url = \"https://api.example.com\"\nheaders = { x-api-key = \"canary\" }",
        &["tollgate.toml:4:11: providers.x.headers: sets `x-api-key`, which carries the key"],
    );
}

#[test]
fn routes() {
    for (targets, start) in [
        ("[]", "routes.a.targets: names no target"),
        (
            "[\"gpt-4o\"]",
            "routes.a.targets: `gpt-4o` is not a target: write it as \"provider/model\"",
        ),
        (
            "[\"opnai/gpt-4o\"]",
            "routes.a.targets: there is no provider `opnai`: did you mean `openai`?",
        ),
        (
            "[\"mistral/x\"]",
            "routes.a.targets: the provider `mistral` is not switched on: set the environment variable MISTRAL_API_KEY, or add [providers.mistral]",
        ),
        (
            "[\"ollama/llama3\"]",
            "routes.a.targets: the provider `ollama` is not switched on: add [providers.ollama]",
        ),
        (
            "[\"b\"]",
            "routes.a.targets: `b` is a route, and a route cannot lead to a route: write its targets here: [\"openai/gpt-4o\"]",
        ),
        ("[\"a\"]", "routes.a.targets: `a` is a route"),
        (
            "[\"openai/x\", \"openai/x\"]",
            "routes.a.targets: holds `openai/x` twice",
        ),
        ("[\"\"]", "routes.a.targets: holds an empty text"),
        (
            "[\"openai/\"]",
            "routes.a.targets: `openai/` is not a target",
        ),
    ] {
        let said = mistakes(
            &format!("[routes.a]\ntargets = {targets}\n[routes.b]\ntargets = [\"openai/gpt-4o\"]"),
            KEYS,
        );
        assert_eq!(said.len(), 1, "{targets}: {said:?}");
        assert!(said[0].starts_with("tollgate.toml:2:"), "{said:?}");
        assert!(said[0].contains(start), "{said:?}\n{start}");
    }
    says(
        "[routes.a]",
        &["tollgate.toml:1:9: routes.a: `targets` is missing"],
    );
    says(
        "[routes.\"a b\"]\ntargets = [\"openai/x\"]",
        &["tollgate.toml:1:9: routes.\"a b\": is not a model name"],
    );
    says(
        "built_in_model = false\n[routes.a]\ntargets = [\"tollgate/tollgate-demo\", \"tollgate/x\"]",
        &[
            "tollgate.toml:3:12: routes.a.targets: `tollgate/tollgate-demo` is the built-in model, which is switched off",
        ],
    );
    says(
        "[providers.openai]\nmodels = [\"gpt-4o\"]\n[routes.a]\ntargets = [\"openai/gpt-5\"]",
        &[
            "tollgate.toml:4:12: routes.a.targets: `gpt-5` is not among the models of `openai`: add it to `providers.openai.models`",
        ],
    );
    says(
        "[providers.openai]\nenabled = false\n[routes.a]\ntargets = [\"openai/gpt-5\"]",
        &[
            "tollgate.toml:4:12: routes.a.targets: the provider `openai` is not switched on: set `enabled = true`",
        ],
    );
    // Each mistake once: the provider's own is not repeated by its routes.
    says(
        "[providers.mistral]\n[routes.a]\ntargets = [\"mistral/x\"]",
        &["tollgate.toml:1:12: providers.mistral: no key"],
    );
}

#[test]
fn a_default_model_of_a_provider_that_is_off() {
    says(
        "default_model = \"mistral/x\"",
        &[
            "tollgate.toml:1:17: default_model: the provider `mistral` is not switched on: set the environment variable MISTRAL_API_KEY",
        ],
    );
    says(
        "default_model = \"openai/x\"\ndisabled_providers = [\"openai\"]",
        &[
            "tollgate.toml:1:17: default_model: the provider `openai` is not switched on: remove it from `disabled_providers`",
        ],
    );
    for good in [
        "openai/x",
        "ollama/llama3",
        "gpt-4o",
        "Qwen/Qwen3-8B",
        "tollgate/any",
    ] {
        says(&format!("default_model = \"{good}\""), &[]);
    }
}

#[test]
fn all_at_once_in_the_order_of_the_file() {
    says(
        "strct = true\n[server]\nlisten = \"x\"\n[providers.mistral]\n[routes.a]\ntargets = [\"nobody/x\"]\n[retry]\nmax_attempts = 99\n",
        &[
            "tollgate.toml:1:1: unknown key `strct`: did you mean `strict`?",
            "tollgate.toml:3:10: server.listen: has no port",
            "tollgate.toml:4:12: providers.mistral: no key",
            "tollgate.toml:6:12: routes.a.targets: there is no provider `nobody`",
            "tollgate.toml:8:16: retry.max_attempts: is out of range",
        ],
    );
}

#[test]
fn the_line_is_shown_with_a_caret() {
    let mistakes = load("[server]\n\tlisten = \"80a\"\n", &[]).unwrap_err();
    assert_eq!(
        print(&mistakes),
        "tollgate.toml:2:11: server.listen: has no port: write an IP address and a port, such as \"127.0.0.1:4321\" or \"[::1]:4321\"\n  2 |  listen = \"80a\"\n    |           ^\n"
    );
}

/// Wherever a secret stands, right or wrong, no message holds it.
#[test]
fn no_message_holds_a_secret() {
    for text in [
        "[providers.openai]\napi_key = \"canary",
        "[providers.openai]\napi_key = canary",
        "[providers.openai]\napi_key = \"\"\"\ncanary\\q\n\"\"\"",
        "[providers.openai]\napi_kye = \"canary\"",
        "[providers.openai]\napi_key = [\"canary\"]",
        "[providers.openai]\napi_key = \"can ary canary\"",
        "[providers.openai]\napi_key_env = \"sk-canary-canary\"",
        "[providers.openai]\napi_key = \"canary\"\napi_key = \"canary\"",
        "[providers.openai]\nbase_url = \"https://me:canary@api.example.com\"",
        "providers.openai = { api_key = \"canary\", base_url = \"nowhere\" }",
        "providers.openai = { api_key = \"canary\", weather = 1 }",
        "providers.openai = \"canary\"",
        "providers = \"canary\"",
        "[providers.openai]\n\"sk-canary\" = 1",
        "[providers.openai]\nheaders = { authorization = \"canary\" }",
        "[providers.openai]\nheaders = \"canary\"",
        "[providers.openai]\nheaders = [\n\"canary\",\n1 2\n]",
        "[providers]\nopenai = \"canary\"",
        "key = \"canary\"",
    ] {
        let mistakes = load(text, &[]).expect_err(text);
        let printed = print(&mistakes);
        assert!(
            !printed.contains("canary"),
            "--- text\n{text}\n--- printed\n{printed}"
        );
        assert!(!format!("{mistakes:?}").contains("canary"), "{mistakes:?}");
    }
}
