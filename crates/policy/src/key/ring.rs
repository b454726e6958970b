//! The check on the call path: from the text that a request presents to its caller.
//!
//! Entries are found by the first bytes of a digest and compared whole, in constant time. Whether a key is
//! revoked, expired or disabled is said only to somebody who holds it.

use std::sync::Arc;

use foldhash::HashMap;
use tollgate_base::{Kind, Result, UnixMillis};

use super::{Caller, Digest, KeyRecord, KeyState, Role, Token, refuse};

/// All keys, in memory.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_prefix: HashMap<[u8; 8], Vec<Entry>>,
}

/// One text of one key.
#[derive(Debug)]
struct Entry {
    digest: Digest,
    /// For a text that was replaced: how long it still works.
    until: Option<UnixMillis>,
    holder: Arc<Holder>,
}

/// A key with what its team and project say.
#[derive(Debug)]
pub struct Holder {
    pub caller: Arc<Caller>,
    pub expires_at: Option<UnixMillis>,
    pub disabled_at: Option<UnixMillis>,
    pub revoked_at: Option<UnixMillis>,
}

impl KeyRing {
    /// A ring of keys as they are, without projects that would bring a team.
    pub fn new(keys: Vec<KeyRecord>) -> Self {
        let mut ring = Self::default();
        for key in keys {
            ring.add(&key, key.team_id.clone(), key.disabled_at);
        }
        ring
    }

    /// Adds a key that counts for `team_id` and is out of use from `disabled_at` on, by its own or its
    /// team's or project's state.
    pub fn add(
        &mut self,
        key: &KeyRecord,
        team_id: Option<String>,
        disabled_at: Option<UnixMillis>,
    ) {
        let caller = Arc::new(Caller {
            key_id: key.id.clone(),
            role: key.role,
            admin_role: key.admin_role,
            project_id: key.project_id.clone(),
            team_id,
            scopes: Arc::clone(&key.scopes),
        });
        let holder = Arc::new(Holder {
            caller,
            expires_at: key.expires_at,
            disabled_at,
            revoked_at: key.revoked_at,
        });
        let former = key.former.iter().map(|one| (one.digest, Some(one.until)));
        for (digest, until) in former.chain([(key.digest, None)]) {
            let holder = Arc::clone(&holder);
            let entry = Entry {
                digest,
                until,
                holder,
            };
            self.by_prefix
                .entry(prefix(&digest))
                .or_default()
                .push(entry);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Who holds this key, if it may be used at `now` for what `role` does.
    pub fn check(&self, presented: &str, role: Role, now: UnixMillis) -> Result<Arc<Caller>> {
        let Some(token) = Token::parse(presented) else {
            let message = not_ours(presented);
            return Err(refuse(Kind::Authentication, "invalid_api_key", message));
        };
        let Some(entry) = self.find(&token.digest()) else {
            let message =
                "This key is not known here. Check it for typing errors, or ask for a new one.";
            return Err(refuse(Kind::Authentication, "invalid_api_key", message));
        };
        entry.check(now)?;
        let caller = &entry.holder.caller;
        if caller.role != role {
            let message = wrong_role(caller.role);
            return Err(refuse(Kind::Permission, "route_not_allowed", message));
        }
        Ok(Arc::clone(caller))
    }

    fn find(&self, digest: &Digest) -> Option<&Entry> {
        let entries = self.by_prefix.get(&prefix(digest))?;
        entries.iter().find(|entry| entry.digest.is(digest))
    }
}

impl Entry {
    fn check(&self, now: UnixMillis) -> Result<()> {
        if self.until.is_some_and(|until| until <= now) {
            let message = "This key was replaced by a new one, and the time in which both work is over. \
                           Use the new one.";
            return Err(refuse(Kind::Authentication, "key_revoked", message));
        }
        let (code, message) = match self.holder.state(now) {
            KeyState::Active => return Ok(()),
            KeyState::Revoked => (
                "key_revoked",
                "This key has been revoked. Ask for a new one.",
            ),
            KeyState::Expired => ("key_expired", "This key has expired. Ask for a new one."),
            KeyState::Disabled => (
                "key_disabled",
                "This key is out of use for now, or its team or project is. Ask the administrator.",
            ),
        };
        Err(refuse(Kind::Authentication, code, message))
    }
}

impl Holder {
    fn state(&self, now: UnixMillis) -> KeyState {
        let passed = |at: Option<UnixMillis>| at.is_some_and(|at| at <= now);
        if passed(self.revoked_at) {
            KeyState::Revoked
        } else if passed(self.expires_at) {
            KeyState::Expired
        } else if passed(self.disabled_at) {
            KeyState::Disabled
        } else {
            KeyState::Active
        }
    }
}

fn prefix(digest: &Digest) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&digest.0[..8]);
    out
}

/// The hint for a key that is none of ours; its text is not repeated.
fn not_ours(presented: &str) -> &'static str {
    if presented.starts_with("sk-tg-") || presented.starts_with("sk-tga-") {
        "This key is damaged: its checksum is wrong. Copy it again, whole."
    } else if presented.starts_with("sk-")
        || presented.starts_with("AIza")
        || presented.starts_with("gsk_")
    {
        "This looks like a provider's own key. Send a key of this gateway, which begins with `sk-tg-`; \
         the provider's key belongs into the gateway's configuration."
    } else {
        "This is not a key of this gateway. Its keys begin with `sk-tg-`."
    }
}

fn wrong_role(role: Role) -> &'static str {
    match role {
        Role::Admin => {
            "An admin key cannot call models. Use a model key, which begins with `sk-tg-`."
        }
        Role::Model => "A model key cannot administer the gateway. Use the admin key.",
    }
}
