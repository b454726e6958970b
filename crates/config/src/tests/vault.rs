//! Providers' keys in the vault.

use tollgate_base::Secret;
use tollgate_vault::MasterKey;

use super::sources;
use crate::{Config, Overrides, VaultKeys};

const PROVIDER: &str = "[providers.openai]\napi_key_vault = \"production\"\n";

fn load(key: Option<&str>, folder: &std::path::Path) -> Result<Config, String> {
    let environment: Vec<_> = key
        .map(|key| ("TOLLGATE_VAULT_KEY", key))
        .into_iter()
        .collect();
    let mut sources = sources(PROVIDER, &environment);
    sources.overrides = Overrides {
        data_dir: Some(folder.to_owned()),
        ..Overrides::default()
    };
    Config::load(&sources)
        .map(|loaded| loaded.config)
        .map_err(|mistakes| mistakes[0].to_string())
}

#[test]
fn a_providers_key_comes_out_of_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let key = MasterKey::generate().unwrap();
    let missing = load(Some(&key), folder.path()).unwrap_err();
    assert!(
        missing.contains("tollgate vault put production"),
        "{missing}"
    );
    let keys = VaultKeys {
        current: Some(MasterKey::from_text("test", &key).unwrap()),
        former: Vec::new(),
    };
    let vault = keys.open(folder.path()).unwrap();
    vault
        .put("production", &Secret::new("sk-sealed-key-of-a-test"))
        .unwrap();
    let config = load(Some(&key), folder.path()).unwrap();
    let found = config.providers["openai"].key.as_ref().unwrap();
    assert_eq!(found.expose(), "sk-sealed-key-of-a-test");
    assert!(!config.effective_toml().contains("sealed-key"));
}

#[test]
fn a_vault_without_its_key_or_with_another_stays_shut_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let no_key = load(None, folder.path()).unwrap_err();
    assert!(no_key.contains("TOLLGATE_VAULT_KEY"), "{no_key}");
    let weak = load(Some("canary-short"), folder.path()).unwrap_err();
    assert!(
        weak.contains("TOLLGATE_VAULT_KEY") && !weak.contains("canary"),
        "{weak}"
    );
    let keys = VaultKeys {
        current: Some(MasterKey::from_text("test", &MasterKey::generate().unwrap()).unwrap()),
        former: Vec::new(),
    };
    let vault = keys.open(folder.path()).unwrap();
    vault
        .put("production", &Secret::new("sk-sealed-key-of-a-test"))
        .unwrap();
    let other = load(Some(&MasterKey::generate().unwrap()), folder.path()).unwrap_err();
    assert!(!other.contains("sealed-key"), "{other}");
}
