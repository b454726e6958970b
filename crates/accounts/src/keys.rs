//! Keys: made, changed, rotated, put out of use.

use std::{sync::Arc, time::Duration};

use tollgate_base::{Error, Result, Secret, UnixMillis, crash_point};
use tollgate_policy::{
    account::{Accounts, Record, RecordKind, Versioned},
    key::{FormerDigest, KeyRecord, KeyScopes, Permission, Role, Token},
    scope::Scope,
};

use crate::{
    Act, Actor, Administration, Plan, check, conflict, found,
    input::{KeyFilter, KeyPatch, NewKey, Patch},
    rules,
};

/// The longest time in which the old and the new text of a key both work.
const MAX_OVERLAP: Duration = Duration::from_hours(90 * 24);
/// How many former texts are remembered as such; older ones are simply unknown.
const MAX_FORMER: usize = 8;

/// A key that was just made, or given a new text. The text is nowhere else.
#[derive(Clone, Debug)]
pub struct MintedKey {
    pub key: Versioned<KeyRecord>,
    pub token: Secret,
}

impl Administration {
    pub fn key(&self, actor: &Actor, id: &str) -> Result<Versioned<KeyRecord>> {
        let accounts = self.accounts(actor)?;
        found(&accounts.keys, RecordKind::Key, id).cloned()
    }

    /// The keys that a filter lets through, by id.
    pub fn keys(
        &self,
        actor: &Actor,
        filter: &KeyFilter,
        now: UnixMillis,
    ) -> Result<Vec<Versioned<KeyRecord>>> {
        let accounts = self.accounts(actor)?;
        let wanted = accounts.keys.values();
        let wanted = wanted.filter(|key| matches(&accounts, &key.value, filter, now));
        Ok(wanted.cloned().collect())
    }

    /// Makes a key.
    pub fn create_key(&self, act: &Act<'_>, new: &NewKey) -> Result<MintedKey> {
        let token = Token::generate(new.role)?;
        let key = self.add_key(act, new, &token)?;
        Ok(MintedKey {
            key,
            token: token.secret().clone(),
        })
    }

    /// Takes over a key whose text was made elsewhere, of the role that its text says. `None` when it is known.
    pub fn adopt_key(
        &self,
        act: &Act<'_>,
        new: &NewKey,
        token: &Token,
    ) -> Result<Option<Versioned<KeyRecord>>> {
        let known = self.store.accounts()?.keys;
        if known.values().any(|key| has_text(&key.value, token)) {
            return Ok(None);
        }
        self.add_key(act, new, token).map(Some)
    }

    fn add_key(&self, act: &Act<'_>, new: &NewKey, token: &Token) -> Result<Versioned<KeyRecord>> {
        act.require(permission(new.role))?;
        let scopes = checked(new, act.at)?;
        let id = self.ids.next("key_");
        self.change(act, |accounts| {
            let key = KeyRecord {
                admin_role: new.admin_role,
                owner: new.owner.clone(),
                project_id: new.project_id.clone(),
                team_id: new.team_id.clone(),
                scopes: Arc::new(scopes.clone()),
                expires_at: new.expires_at,
                ..KeyRecord::new(&id, &new.name, token, act.at)
            };
            belongs(&key, accounts)?;
            Ok((Plan::create("key.create", Record::Key(key.clone())), key))
        })
    }

    /// Changes a key's fields.
    pub fn update_key(
        &self,
        act: &Act<'_>,
        id: &str,
        patch: &KeyPatch,
    ) -> Result<Versioned<KeyRecord>> {
        self.edit_key(act, id, "key.update", |key, accounts| {
            if patch
                .admin_role
                .is_some_and(|role| key.admin_role != Some(role))
                && act.actor.name == key.id
            {
                return Err(conflict(
                    "A key cannot change its own admin role. Use another owner's key.",
                ));
            }
            apply(patch, key, act.at)?;
            belongs(key, accounts)
        })
    }

    /// Gives a key a new text. The old one works beside it for `overlap`, for the same key, and is revoked then.
    pub fn rotate_key(&self, act: &Act<'_>, id: &str, overlap: Duration) -> Result<MintedKey> {
        if overlap > MAX_OVERLAP {
            let message = "`overlap` may be at most 90 days.";
            return Err(Error::invalid_value("overlap", message));
        }
        let role = found(&self.store.accounts()?.keys, RecordKind::Key, id)?
            .value
            .role;
        let token = Token::generate(role)?;
        let key = self.edit_key(act, id, "key.rotate", |key, _| {
            key.former.push(FormerDigest {
                digest: key.digest,
                until: act.at.plus(overlap),
            });
            let surplus = key.former.len().saturating_sub(MAX_FORMER);
            key.former.drain(..surplus);
            key.digest = token.digest();
            key.last_four = token.last_four();
            // Decided, and not yet committed.
            crash_point("key-rotate-mid");
            Ok(())
        })?;
        // Committed, and nobody has been told the new text yet.
        crash_point("key-rotate-mid");
        Ok(MintedKey {
            key,
            token: token.secret().clone(),
        })
    }

    /// Puts a key out of use for good, all its texts at once.
    pub fn revoke_key(&self, act: &Act<'_>, id: &str) -> Result<Versioned<KeyRecord>> {
        self.edit_any_key(act, id, "key.revoke", |key, _| {
            key.revoked_at = key.revoked_at.or(Some(act.at));
            Ok(())
        })
    }

    /// Puts a key out of use for the time being.
    pub fn disable_key(&self, act: &Act<'_>, id: &str) -> Result<Versioned<KeyRecord>> {
        self.edit_key(act, id, "key.disable", |key, _| {
            key.disabled_at = key.disabled_at.or(Some(act.at));
            Ok(())
        })
    }

    /// Puts a disabled key to use again.
    pub fn enable_key(&self, act: &Act<'_>, id: &str) -> Result<Versioned<KeyRecord>> {
        self.edit_key(act, id, "key.enable", |key, _| {
            key.disabled_at = None;
            Ok(())
        })
    }

    /// Forgets a key with its limits and budgets. Its calls stay in the ledger.
    pub fn delete_key(&self, act: &Act<'_>, id: &str) -> Result<()> {
        self.change(act, |accounts| {
            let key = found(&accounts.keys, RecordKind::Key, id)?;
            act.require(permission(key.value.role))?;
            act.expect(key)?;
            let also = rules::of(&Scope::Key(id.to_owned()), accounts);
            Ok((Plan::delete("key.delete", record(key), also), ()))
        })
        .map(drop)
    }

    /// Changes a key that is not revoked.
    fn edit_key(
        &self,
        act: &Act<'_>,
        id: &str,
        action: &'static str,
        edit: impl Fn(&mut KeyRecord, &Accounts) -> Result<()>,
    ) -> Result<Versioned<KeyRecord>> {
        self.edit_any_key(act, id, action, |key, accounts| {
            if key.revoked_at.is_some() {
                return Err(conflict(
                    "This key is revoked and cannot be changed any more. Make a new one.",
                ));
            }
            edit(key, accounts)
        })
    }

    fn edit_any_key(
        &self,
        act: &Act<'_>,
        id: &str,
        action: &'static str,
        edit: impl Fn(&mut KeyRecord, &Accounts) -> Result<()>,
    ) -> Result<Versioned<KeyRecord>> {
        self.change(act, |accounts| {
            let before = found(&accounts.keys, RecordKind::Key, id)?;
            act.require(permission(before.value.role))?;
            act.expect(before)?;
            let mut key = before.value.clone();
            edit(&mut key, accounts)?;
            let plan = Plan::update(action, record(before), Record::Key(key.clone()));
            Ok((plan, key))
        })
    }
}

fn record(key: &Versioned<KeyRecord>) -> Versioned<Record> {
    Versioned {
        version: key.version,
        value: Record::Key(key.value.clone()),
    }
}

/// Keys for administration are changed by owners alone.
fn permission(role: Role) -> Permission {
    match role {
        Role::Model => Permission::WriteKeys,
        Role::Admin => Permission::WriteAdmins,
    }
}

fn has_text(key: &KeyRecord, token: &Token) -> bool {
    let digest = token.digest();
    key.digest.is(&digest) || key.former.iter().any(|former| former.digest.is(&digest))
}

fn matches(accounts: &Accounts, key: &KeyRecord, filter: &KeyFilter, now: UnixMillis) -> bool {
    let KeyFilter {
        role,
        state,
        project_id,
        team_id,
        search,
    } = filter;
    let holds = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    role.is_none_or(|role| key.role == role)
        && state.is_none_or(|state| key.state(now) == state)
        && (project_id.is_none() || key.project_id == *project_id)
        && (team_id.is_none() || accounts.team_id_of(key) == team_id.as_deref())
        && search.as_ref().is_none_or(|part| {
            let texts = [Some(&key.id), Some(&key.name), key.owner.as_ref()];
            texts.into_iter().flatten().any(|text| holds(text, part))
        })
}

/// What can be said of a new key without looking at the others.
fn checked(new: &NewKey, now: UnixMillis) -> Result<KeyScopes> {
    check::name("name", &new.name)?;
    if let Some(owner) = &new.owner {
        check::name("owner", owner)?;
    }
    if let Some(at) = new.expires_at {
        check::future("expires_at", at, now)?;
    }
    match (new.role, new.admin_role) {
        (Role::Admin, None) => return Err(Error::missing_field("admin_role")),
        (Role::Model, Some(_)) => return Err(for_admins_only()),
        _ => {}
    }
    check::scopes(&new.scopes)
}

fn apply(patch: &KeyPatch, key: &mut KeyRecord, now: UnixMillis) -> Result<()> {
    if let Some(name) = &patch.name {
        check::name("name", name)?;
        key.name.clone_from(name);
    }
    if let Patch::Set(owner) = &patch.owner {
        check::name("owner", owner)?;
    }
    if let Patch::Set(at) = patch.expires_at {
        check::future("expires_at", at, now)?;
    }
    if patch.admin_role.is_some() {
        if key.role != Role::Admin {
            return Err(for_admins_only());
        }
        key.admin_role = patch.admin_role;
    }
    patch.owner.clone().apply(&mut key.owner);
    patch.project_id.clone().apply(&mut key.project_id);
    patch.team_id.clone().apply(&mut key.team_id);
    patch.expires_at.apply(&mut key.expires_at);
    let mut scopes = KeyScopes::clone(&key.scopes);
    if let Some(models) = &patch.models {
        scopes.models = check::models(models)?;
    }
    if let Some(operations) = &patch.operations {
        scopes.operations = check::operations(operations)?;
    }
    if let Some(sources) = &patch.sources {
        scopes.sources = check::sources(sources)?;
    }
    scopes.strict = patch.strict.unwrap_or(scopes.strict);
    if patch.max_output_tokens == Patch::Set(0) {
        let message = "`max_output_tokens` must be at least 1. Clear it for no bound.";
        return Err(Error::invalid_value("max_output_tokens", message));
    }
    patch.max_output_tokens.apply(&mut scopes.max_output_tokens);
    key.scopes = Arc::new(scopes);
    Ok(())
}

/// Whether what a key belongs to exists, and suits it.
fn belongs(key: &KeyRecord, accounts: &Accounts) -> Result<()> {
    if key.role == Role::Admin {
        let KeyScopes {
            models,
            operations,
            sources: _,
            strict,
            max_output_tokens,
        } = &*key.scopes;
        let restricts_calls =
            !models.is_empty() || !operations.is_empty() || *strict || max_output_tokens.is_some();
        if restricts_calls || key.project_id.is_some() || key.team_id.is_some() {
            let message = "An admin key makes no calls: it has source addresses at most, and no project, team, \
                           models or operations.";
            return Err(Error::invalid_value("role", message));
        }
    }
    if let (Some(_), Some(_)) = (&key.project_id, &key.team_id) {
        let message = "A key has a project or a team, not both: a project brings its own team.";
        return Err(Error::invalid_value("team_id", message));
    }
    if let Some(id) = &key.project_id {
        found(&accounts.projects, RecordKind::Project, id)
            .map_err(|error| error.with_param("project_id"))?;
    }
    if let Some(id) = &key.team_id {
        found(&accounts.teams, RecordKind::Team, id)
            .map_err(|error| error.with_param("team_id"))?;
    }
    Ok(())
}

fn for_admins_only() -> Error {
    Error::invalid_value("admin_role", "Only an admin key has an `admin_role`.")
}
