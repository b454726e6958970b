//! Files, the environment and the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{config, load, mistakes, print, sources};
use crate::{
    BUILT_IN_PROVIDER, Config, FileSource, Origin, Overrides, Provider, Reach, Severity, Sources,
};

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn load_file(path: &Path) -> Result<crate::Loaded, Vec<crate::Mistake>> {
    let mut sources = sources("", &[]);
    sources.file = FileSource::Named(path.to_owned());
    Config::load(&sources)
}

#[test]
fn a_fresh_machine_needs_nothing() {
    let config = config("", &[]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4321");
    assert_eq!(
        config.data_dir,
        Path::new("/home/user/.local/share/tollgate")
    );
    assert!(config.server.workers >= 1);
    assert!(config.built_in_model && config.detect_local_servers && !config.strict);
    assert!(config.providers.is_empty() && config.routes.is_empty());
}

#[test]
fn the_data_folder_follows_the_xdg_rules() {
    let folder = |environment: &[(&str, &str)]| config("", environment).data_dir;
    assert_eq!(
        folder(&[("XDG_DATA_HOME", "/data")]),
        Path::new("/data/tollgate")
    );
    assert_eq!(
        folder(&[("XDG_DATA_HOME", "data")]),
        Path::new("/home/user/.local/share/tollgate")
    );
    let written = config("data_dir = \"~/tollgate\"", &[]).data_dir;
    assert_eq!(written, Path::new("/home/user/tollgate"));

    let homeless = Config::load(&Sources::default()).unwrap();
    assert_eq!(homeless.config.data_dir, Path::new("tollgate-data"));
    assert!(homeless.warnings[0].message.contains("no home folder"));
}

#[test]
fn the_command_line_goes_before_the_file() {
    let mut sources = sources("data_dir = \"/a\"\n[server]\nlisten = \"127.0.0.1:1\"", &[]);
    sources.overrides = Overrides {
        listen: Some("127.0.0.1:0".to_owned()),
        data_dir: Some(PathBuf::from("/b")),
    };
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 0);
    assert_eq!(loaded.config.data_dir, Path::new("/b"));

    sources.overrides.listen = Some("127.0.0.1:70000".to_owned());
    let mistakes = Config::load(&sources).unwrap_err();
    assert!(
        mistakes[0].to_string().starts_with("--listen: "),
        "{}",
        print(&mistakes)
    );
}

#[test]
fn a_key_in_the_environment_switches_its_provider_on() {
    let config = config(
        "",
        &[
            ("GROQ_API_KEY", " gsk-canary\n"),
            ("PPLX_API_KEY", "pplx-canary"),
            ("OPENAI_API_KEY", ""),
        ],
    );
    assert_eq!(
        config.providers.keys().collect::<Vec<_>>(),
        ["groq", "perplexity"]
    );
    let groq = &config.providers["groq"];
    assert_eq!(groq.key.as_ref().unwrap().expose(), "gsk-canary");
    assert_eq!(groq.origin, Origin::Environment("GROQ_API_KEY".to_owned()));
    assert_eq!(groq.base_url.as_str(), "https://api.groq.com/openai/v1");
}

#[test]
fn what_is_written_goes_before_the_environment() {
    let environment = [
        ("OPENAI_API_KEY", "sk-canary"),
        ("MY_KEY", "sk-mine"),
        ("GROQ_API_KEY", "gsk-canary"),
    ];
    let text = "disabled_providers = [\"groq\"]\n[providers.openai]\napi_key_env = \"MY_KEY\"\nmodels = [\"gpt-4o\"]";
    let config = config(text, &environment);
    assert_eq!(config.providers.len(), 1);
    let openai = &config.providers["openai"];
    assert_eq!(openai.key.as_ref().unwrap().expose(), "sk-mine");
    assert_eq!(openai.models.as_deref(), Some(&["gpt-4o".to_owned()][..]));
    assert_eq!(openai.origin, Origin::File);

    let off = super::config("[providers.openai]\nenabled = false", &environment[..1]);
    assert!(off.providers.is_empty());
    assert_eq!(off.disabled_providers, ["openai"]);
}

#[test]
fn a_placeholder_in_the_environment_does_not_stop_the_start() {
    let loaded = load("", &[("OPENAI_API_KEY", "changeme")]).unwrap();
    assert!(loaded.config.providers.is_empty());
    assert_eq!(
        loaded.warnings[0].to_string(),
        "$OPENAI_API_KEY: warning: the key is a placeholder: `openai` stays off until it holds a key"
    );
}

#[test]
fn a_version_and_headers_are_laid_over_the_row() {
    let text =
        "[providers.anthropic]\napi_version = \"2026-10-21\"\nheaders = { X-Team = \"search\" }";
    let config = config(text, &[("ANTHROPIC_API_KEY", "sk-ant-canary")]);
    let headers: Vec<_> = config.providers["anthropic"]
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        headers,
        [("anthropic-version", "2026-10-21"), ("x-team", "search")]
    );
}

#[test]
fn a_detected_server_is_a_provider_without_a_table() {
    let catalog = tollgate_catalog::Catalog::builtin();
    let found = Provider::detected(
        catalog.provider("ollama").unwrap(),
        &std::collections::BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(found.base_url.reach(), Reach::Loopback);
    assert_eq!((found.key, found.origin), (None, Origin::Detected));
    assert!(
        Provider::detected(
            catalog.provider("openai").unwrap(),
            &std::collections::BTreeMap::new()
        )
        .is_none()
    );
}

#[test]
fn a_route_may_lead_to_the_built_in_model() {
    let config = config(
        "[routes.tiny]\ntargets = [\"tollgate/any\"]\nstrategy = \"spread\"",
        &[],
    );
    assert_eq!(config.routes["tiny"].targets[0].provider, BUILT_IN_PROVIDER);
}

#[test]
fn a_target_keeps_the_slashes_of_its_model() {
    let config = config(
        "[routes.a]\ntargets = [\"groq/openai/gpt-oss-20b\"]",
        &[("GROQ_API_KEY", "gsk-canary")],
    );
    assert_eq!(config.routes["a"].targets[0].model, "openai/gpt-oss-20b");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    assert!(
        print(&load_file(&missing).unwrap_err())
            .contains("none.toml: cannot read the settings: no such file")
    );
    assert!(print(&load_file(folder.path()).unwrap_err()).contains("it is a folder"));

    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"\xff\xfe").unwrap();
    assert!(print(&load_file(&binary).unwrap_err()).contains("it is not UTF-8 text"));

    let circle = folder.path().join("circle.toml");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    assert!(
        print(&load_file(&circle).unwrap_err()).contains("circle.toml: cannot read the settings: ")
    );

    let mut sources = sources("", &[]);
    sources.file = FileSource::IfPresent(missing);
    assert!(Config::load(&sources).unwrap().file.is_none());
}

#[test]
fn a_key_file_is_read_when_only_its_owner_can() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("tollgate.toml");
    write(
        &settings,
        "[providers.openai]\napi_key_file = \"key\"",
        0o600,
    );
    let key = folder.path().join("key");

    let missing = print(&load_file(&settings).unwrap_err());
    assert!(
        missing.contains("tollgate.toml:2:16: providers.openai.api_key_file: cannot read "),
        "{missing}"
    );

    write(&key, "sk-canary\n", 0o600);
    let loaded = load_file(&settings).unwrap();
    assert_eq!(
        loaded.config.providers["openai"]
            .key
            .as_ref()
            .unwrap()
            .expose(),
        "sk-canary"
    );
    assert!(loaded.warnings.is_empty());

    write(&key, "sk-canary\n", 0o640);
    assert!(print(&load_file(&settings).unwrap().warnings).contains("the group can read"));

    write(&key, "sk-canary\n", 0o644);
    let open = print(&load_file(&settings).unwrap_err());
    assert!(
        open.contains("everyone on this machine can read") && open.contains("chmod 600"),
        "{open}"
    );

    write(&key, "\n", 0o600);
    assert!(print(&load_file(&settings).unwrap_err()).contains("the key is empty"));

    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    assert!(print(&load_file(&settings).unwrap_err()).contains("is not a file"));
}

#[test]
fn a_key_in_a_file_that_everyone_can_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("tollgate.toml");
    write(
        &settings,
        "[providers.openai]\napi_key = \"sk-canary\"",
        0o644,
    );
    let loaded = load_file(&settings).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].severity, Severity::Warning);
    assert!(
        !print(&loaded.warnings).contains("canary"),
        "{}",
        print(&loaded.warnings)
    );

    write(
        &settings,
        "[providers.openai]\napi_key = \"sk-canary\"",
        0o600,
    );
    assert!(load_file(&settings).unwrap().warnings.is_empty());
}

#[test]
fn weak_first_keys_are_refused_beyond_loopback() {
    for weak in ["changeme", "sk-1234", "short123", "12345678"] {
        let local = load("", &[("TOLLGATE_ADMIN_KEY", weak)]).unwrap();
        assert_eq!(local.warnings.len(), 1, "{weak}");
        let public = load(
            "[server]\nlisten = \"0.0.0.0:4321\"",
            &[("TOLLGATE_ADMIN_KEY", weak)],
        );
        assert!(
            print(&public.unwrap_err()).starts_with("$TOLLGATE_ADMIN_KEY: "),
            "{weak}"
        );
    }
    assert!(load("", &[("TOLLGATE_KEY", "   ")]).is_err());
    let good = config(
        "[server]\nlisten = \"0.0.0.0:4321\"",
        &[("TOLLGATE_KEY", "sk-0123456789abcdef")],
    );
    assert_eq!(
        good.first_keys.caller.unwrap().expose(),
        "sk-0123456789abcdef"
    );
    assert!(good.first_keys.admin.is_none());
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let text =
        "[providers.openai]\napi_key = \"sk-canary\"\nheaders = { x-canary-header = \"canary\" }\n";
    let config = config(
        text,
        &[
            ("GROQ_API_KEY", "gsk-canary"),
            ("TOLLGATE_KEY", "canary-0123456789"),
        ],
    );
    let shown = config.effective_toml();
    assert!(
        !shown.replace("x-canary-header", "").contains("canary"),
        "{shown}"
    );
    assert!(
        shown.contains("api_key = \"…\"") && shown.contains("api_key_env = \"GROQ_API_KEY\""),
        "{shown}"
    );
    assert!(
        !format!("{config:?}")
            .replace("x-canary-header", "")
            .contains("canary")
    );
    // The mask is no key.
    assert!(load(&shown, &[("GROQ_API_KEY", "gsk-canary")]).is_err());
    let _ = mistakes(&shown, &[]);
}
