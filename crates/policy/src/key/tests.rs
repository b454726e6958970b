use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn key() -> (KeyRecord, Token) {
    let token = Token::generate(Role::Model).unwrap();
    (
        KeyRecord::new("key_1", "first", &token, UnixMillis(0)),
        token,
    )
}

fn ring_with(change: impl FnOnce(&mut KeyRecord)) -> (KeyRing, Token) {
    let (mut key, token) = key();
    change(&mut key);
    (KeyRing::new(vec![key]), token)
}

fn code(result: Result<Arc<Caller>>) -> String {
    result.map_or_else(
        |error| error.code().to_owned(),
        |caller| caller.key_id.clone(),
    )
}

fn outcome(ring: &KeyRing, token: &Token, role: Role, now: UnixMillis) -> String {
    code(ring.check(token.secret().expose(), role, now))
}

#[test]
fn a_key_passes_until_it_is_revoked_disabled_or_expires() {
    let (ring, token) = ring_with(|_| {});
    assert_eq!(outcome(&ring, &token, Role::Model, NOW), "key_1");
    assert_eq!(
        outcome(&ring, &token, Role::Admin, NOW),
        "route_not_allowed"
    );
    let (ring, token) = ring_with(|key| key.revoked_at = Some(NOW));
    assert_eq!(outcome(&ring, &token, Role::Model, NOW), "key_revoked");
    let (ring, token) = ring_with(|key| key.disabled_at = Some(NOW));
    assert_eq!(outcome(&ring, &token, Role::Model, NOW), "key_disabled");
    let (ring, token) = ring_with(|key| key.expires_at = Some(NOW));
    assert_eq!(outcome(&ring, &token, Role::Model, NOW), "key_expired");
    let before = UnixMillis(NOW.0 - 1);
    assert_eq!(outcome(&ring, &token, Role::Model, before), "key_1");
}

#[test]
fn both_texts_of_a_rotated_key_work_for_the_same_key_until_the_overlap_ends() {
    let old = Token::generate(Role::Model).unwrap();
    let (ring, new) = ring_with(|key| {
        key.former.push(FormerDigest {
            digest: old.digest(),
            until: NOW,
        });
    });
    let within = UnixMillis(NOW.0 - 1);
    assert_eq!(outcome(&ring, &old, Role::Model, within), "key_1");
    assert_eq!(outcome(&ring, &new, Role::Model, within), "key_1");
    assert_eq!(outcome(&ring, &old, Role::Model, NOW), "key_revoked");
    assert_eq!(outcome(&ring, &new, Role::Model, NOW), "key_1");
}

#[test]
fn an_unknown_key_and_a_foreign_key_are_told_apart_without_being_repeated() {
    let (ring, _) = ring_with(|_| {});
    let unknown = Token::generate(Role::Model).unwrap();
    assert_eq!(
        outcome(&ring, &unknown, Role::Model, NOW),
        "invalid_api_key"
    );
    let error = ring.check("sk-proj-canary", Role::Model, NOW).unwrap_err();
    assert!(error.message().contains("provider's own key") && !error.message().contains("canary"));
}

/// The state of a key is said to its holder alone: with any other text every key looks unknown, also when
/// the texts' digests begin alike.
#[test]
fn states_are_told_apart_only_after_the_whole_digest_matches() {
    let shown = Token::generate(Role::Model).unwrap();
    for change in [
        |key: &mut KeyRecord| key.revoked_at = Some(UnixMillis(0)),
        |key: &mut KeyRecord| key.expires_at = Some(UnixMillis(0)),
        |key: &mut KeyRecord| key.disabled_at = Some(UnixMillis(0)),
        |key: &mut KeyRecord| key.role = Role::Admin,
        |key: &mut KeyRecord| {
            let digest = key.digest;
            key.former = vec![FormerDigest {
                digest,
                until: UnixMillis(0),
            }];
        },
    ] {
        for flipped in 8..32 {
            let (ring, _) = ring_with(|key| {
                key.digest = shown.digest();
                key.digest.0[flipped] ^= 1;
                change(key);
            });
            assert_eq!(outcome(&ring, &shown, Role::Model, NOW), "invalid_api_key");
        }
    }
}

#[test]
fn digests_that_begin_alike_lead_each_to_its_own_key() {
    let (mut first, token) = key();
    first.digest.0[31] ^= 1;
    let mut second = first.clone();
    "key_2".clone_into(&mut second.id);
    second.digest = token.digest();
    let ring = KeyRing::new(vec![first, second]);
    assert_eq!(outcome(&ring, &token, Role::Model, NOW), "key_2");
}

fn scoped(models: &[&str], operations: &[&str], sources: &[&str]) -> Caller {
    let patterns = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Pattern::parse(text).unwrap())
            .collect()
    };
    Caller {
        scopes: Arc::new(KeyScopes {
            models: patterns(models),
            operations: patterns(operations),
            sources: sources
                .iter()
                .map(|text| Network::parse(text).unwrap())
                .collect(),
            ..KeyScopes::default()
        }),
        ..Caller::local("key_1")
    }
}

#[test]
fn a_call_must_lie_within_every_scope_of_its_key() {
    let caller = scoped(
        &["gpt-4o", "lab/*"],
        &["generation", "image_*"],
        &["10.0.0.0/8"],
    );
    for (models, operation, source, code) in [
        (&["gpt-4o"][..], "generation", "10.1.1.1", None),
        (&["fast", "lab/llama"], "generation", "10.1.1.1", None),
        (&["lab/llama"], "image_edit", "10.1.1.1", None),
        (&[], "generation", "10.1.1.1", None),
        (
            &["gpt-4o-mini"],
            "generation",
            "10.1.1.1",
            Some("model_not_allowed"),
        ),
        (
            &["gpt-4o"],
            "embeddings",
            "10.1.1.1",
            Some("route_not_allowed"),
        ),
        (
            &["gpt-4o"],
            "generation",
            "11.1.1.1",
            Some("source_not_allowed"),
        ),
        (&["gpt-4o"], "generation", "::1", Some("source_not_allowed")),
    ] {
        let result = caller.may_use(models, operation, source.parse().unwrap());
        let got = result.as_ref().err().map(|error| error.code().to_owned());
        assert_eq!(got.as_deref(), code, "{models:?} {operation} {source}");
        if let Err(error) = result {
            assert_eq!(error.kind(), Kind::Permission);
        }
    }
    let free = scoped(&[], &[], &[]);
    assert!(
        free.may_use(&["x"], "files", "::1".parse().unwrap())
            .is_ok()
    );
}

/// The table itself, written a second time: a change of one alone is noticed.
#[test]
fn each_admin_role_may_do_exactly_what_the_table_says() {
    use Permission as P;
    let everything = [
        P::Read,
        P::ReadAudit,
        P::WriteKeys,
        P::WriteTeams,
        P::WriteRules,
        P::WriteAdmins,
        P::WriteLedger,
        P::WriteCredentials,
    ];
    for (role, allowed) in [
        (AdminRole::Owner, &everything[..]),
        (AdminRole::Manager, &everything[..5]),
        (AdminRole::Viewer, &everything[..2]),
    ] {
        for permission in everything {
            let expected = allowed.contains(&permission);
            assert_eq!(role.may(permission), expected, "{role:?} {permission:?}");
            let code = role
                .require(permission)
                .err()
                .map(|error| error.code().to_owned());
            assert_eq!(code.is_none(), expected);
            assert!(code.is_none_or(|code| code == "role_not_allowed"));
        }
    }
}
