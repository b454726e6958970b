use std::collections::HashSet;

use super::*;
use crate::master::hex;

fn key() -> MasterKey {
    MasterKey::from_text("test", &MasterKey::generate().unwrap()).unwrap()
}

fn vault() -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(folder.path(), key(), Vec::new());
    (folder, vault)
}

fn secret(n: usize) -> Secret {
    Secret::new(format!("sk-canary-{n}-of-the-vault"))
}

#[test]
fn a_credential_is_put_read_replaced_listed_and_removed() {
    let (folder, vault) = vault();
    assert_eq!(vault.get("openai").unwrap(), None);
    assert_eq!(vault.list().unwrap(), []);
    vault.put("openai", &secret(1)).unwrap();
    vault.put("openai", &secret(2)).unwrap();
    vault.put("lab/one", &secret(3)).unwrap();
    assert_eq!(vault.get("openai").unwrap(), Some(secret(2)));
    let listed = vault.list().unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.version))
        .collect();
    assert_eq!(shown, [("lab/one", 1), ("openai", 2)]);
    let file = fs::read_to_string(folder.path().join(Vault::FILE)).unwrap();
    assert!(!file.contains("canary") && !format!("{vault:?} {listed:?}").contains("canary"));
    assert!(vault.remove("openai").unwrap() && !vault.remove("openai").unwrap());
    assert_eq!(vault.get("openai").unwrap(), None);
    for (name, text) in [("", "x"), ("a b", "x"), ("ż", "x"), ("a", "")] {
        let refused = vault.put(name, &Secret::new(text)).unwrap_err();
        assert_eq!(refused.code(), "invalid_value");
    }
}

#[test]
fn x2_a_record_with_any_bit_flipped_does_not_open() {
    let key = key();
    let mut flipped = 0;
    for n in 0..50 {
        let (row, plain) = (format!("row {n}"), format!("secret of record {n}"));
        let place = Place {
            table: "t",
            row: &row,
            column: "c",
            version: n,
        };
        let sealed = seal(&key, &place, plain.as_bytes()).unwrap();
        assert_eq!(open(&key, &place, &sealed), Some(plain.into_bytes()));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &place, &bad), None, "record {n} bit {bit}");
            flipped += 1;
        }
        for length in 0..sealed.len() {
            assert_eq!(open(&key, &place, &sealed[..length]), None);
        }
    }
    assert!(flipped > 50 * 8 * 37);
}

#[test]
fn x2_a_record_moved_to_another_place_does_not_open() {
    let key = key();
    let rows: Vec<_> = (0..46).map(|n| format!("row {n}")).collect();
    let place = |row| Place {
        table: "t",
        row,
        column: "c",
        version: 1,
    };
    let sealed: Vec<_> = rows
        .iter()
        .map(|row| seal(&key, &place(row), b"secret").unwrap())
        .collect();
    let mut swaps = 0;
    for (here, row) in rows.iter().enumerate() {
        for (there, text) in sealed.iter().enumerate() {
            assert_eq!(open(&key, &place(row), text).is_some(), here == there);
            swaps += usize::from(here < there);
        }
    }
    assert!(swaps >= 1000, "{swaps} pairs");
    let home = place("row 0");
    for other in [
        Place {
            table: "tr",
            row: "ow 0",
            ..home
        },
        Place {
            column: "d",
            ..home
        },
        Place { version: 2, ..home },
    ] {
        assert_eq!(open(&key, &other, &sealed[0]), None);
    }
}

#[test]
fn x2_rows_swapped_in_the_file_do_not_open() {
    let (folder, vault) = vault();
    vault.put("a", &secret(1)).unwrap();
    vault.put("b", &secret(2)).unwrap();
    let path = folder.path().join(Vault::FILE);
    let mut contents: Contents = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let (a, b) = (
        contents.credentials.remove("a"),
        contents.credentials.remove("b"),
    );
    contents.credentials.insert("a".to_owned(), b.unwrap());
    contents.credentials.insert("b".to_owned(), a.unwrap());
    fs::write(&path, serde_json::to_string(&contents).unwrap()).unwrap();
    for name in ["a", "b"] {
        let error = vault.get(name).unwrap_err();
        assert_eq!(error.code(), "vault_record_damaged");
        assert!(!error.message().contains("canary"));
    }
    fs::write(&path, "{\"form\":2,\"credentials\":{}}").unwrap();
    assert!(vault.get("a").is_err() && vault.put("a", &secret(1)).is_err());
}

#[test]
fn x2_no_nonce_repeats_in_fifty_thousand_seals() {
    no_nonce_repeats_in(50_000);
}

#[test]
#[ignore = "takes 20 seconds: the long form of the test above"]
fn x2_no_nonce_repeats_in_a_million_seals() {
    no_nonce_repeats_in(1_000_000);
}

fn no_nonce_repeats_in(seals: usize) {
    let key = key();
    let place = place("row", 1);
    let nonces: HashSet<Vec<u8>> = (0..seals)
        .map(|_| seal(&key, &place, b"").unwrap()[9..21].to_vec())
        .collect();
    assert_eq!(nonces.len(), seals);
}

#[test]
fn x2_during_and_after_a_rotation_everything_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(), key());
    let before = Vault::new(folder.path(), old.clone(), Vec::new());
    for n in 0..20 {
        before.put(&format!("c{n}"), &secret(n)).unwrap();
    }
    let during = Vault::new(folder.path(), new.clone(), vec![old.clone()]);
    during.put("c0", &secret(0)).unwrap();
    let all_open =
        |vault: &Vault| (0..20).all(|n| vault.get(&format!("c{n}")).ok() == Some(Some(secret(n))));
    assert!(all_open(&during));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..200).all(|_| all_open(&during)));
        assert_eq!(during.rotate().unwrap(), 19);
        assert!(reader.join().unwrap());
    });
    assert_eq!(during.rotate().unwrap(), 0);
    let after = Vault::new(folder.path(), new.clone(), Vec::new());
    assert!(all_open(&after));
    assert!(
        after
            .list()
            .unwrap()
            .iter()
            .all(|stored| stored.key_id == new.id())
    );
    let error = before.get("c1").unwrap_err();
    assert_eq!(error.code(), "vault_key_missing");
    assert!(error.message().contains(new.id()));
}

#[test]
fn two_processes_that_put_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    std::thread::scope(|scope| {
        for process in 0..4 {
            let vault = Vault::new(folder.path(), key.clone(), Vec::new());
            scope.spawn(move || {
                for n in 0..5 {
                    vault.put(&format!("{process}/{n}"), &secret(n)).unwrap();
                }
            });
        }
    });
    let vault = Vault::new(folder.path(), key, Vec::new());
    assert_eq!(vault.list().unwrap().len(), 20);
}

#[test]
fn x3_twenty_bad_keys_are_refused_by_their_setting_and_not_repeated() {
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let row: Vec<u8> = (0..32).collect();
    let down: Vec<u8> = (0..32).rev().collect();
    let good = MasterKey::generate().unwrap();
    let variants = [
        String::new(),
        " \n".to_owned(),
        "change-me".to_owned(),
        "correct horse battery staple canary".to_owned(),
        encode(&[7; 16]),
        encode(&row[..31]),
        encode(&[&row[..], &[9]].concat()),
        encode(&[0; 32]),
        encode(&[0xff; 32]),
        encode(&[b'x'; 32]),
        encode(&[1, 2].repeat(16)),
        encode(&b"0123456".repeat(5)[..32]),
        encode(&row),
        encode(&down),
        encode(b"this is a passphrase, 32 letters"),
        "0".repeat(64),
        "ab".repeat(32),
        "a1b2".repeat(12),
        format!("{good}{good}"),
        format!("{}!", &good[..43]),
        format!("-----BEGIN KEY-----\n{good}\n"),
        "g".repeat(64),
    ];
    assert!(variants.len() >= 20);
    for text in variants {
        let error = MasterKey::from_text("TOLLGATE_VAULT_KEY", &text).unwrap_err();
        assert!(error.message().contains("TOLLGATE_VAULT_KEY"), "{error:?}");
        let value = text.trim();
        assert!(
            value.is_empty() || !error.message().contains(value),
            "{error:?}"
        );
    }
}

#[test]
fn a_key_is_read_from_base64_and_from_hexadecimal_digits_alike() {
    let text = MasterKey::generate().unwrap();
    let digits = hex(&STANDARD.decode(&text).unwrap());
    let ids = [
        text.clone(),
        format!(" {text}\n"),
        text.trim_end_matches('=').to_owned(),
        digits.clone(),
        digits.to_uppercase(),
        text.replace('+', "-").replace('/', "_"),
    ]
    .map(|text: String| MasterKey::from_text("test", &text).unwrap().id().to_owned());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1);
    assert!(!format!("{:?}", MasterKey::from_text("test", &text)).contains(&text));
}

#[cfg(unix)]
#[test]
fn x3_a_key_file_that_is_missing_no_file_or_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let setting = "vault.key_file";
    let refusal = |path: &Path| MasterKey::from_file(setting, path).unwrap_err();
    for bad in [path.as_path(), folder.path()] {
        assert!(refusal(bad).message().contains(setting));
    }
    let text = MasterKey::generate().unwrap();
    fs::write(&path, &text).unwrap();
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o644, 0o604, 0o602, 0o620, 0o666, 0o401, 0o777] {
        set(mode);
        let error = refusal(&path);
        assert!(
            error.message().contains(setting) && !error.message().contains(&text),
            "{mode:o}"
        );
    }
    for mode in [0o400, 0o600, 0o440] {
        set(mode);
        assert!(MasterKey::from_file(setting, &path).is_ok(), "{mode:o}");
    }
    set(0o600);
    fs::write(&path, "x".repeat(2000)).unwrap();
    assert!(refusal(&path).message().contains(setting));
}
