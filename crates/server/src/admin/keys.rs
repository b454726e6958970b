//! Keys.

use std::time::Duration;

use tollgate_accounts::{
    Act, Administration, KeyFilter, KeyPatch as Change, MintedKey as Minted, NewKey as Wish, Patch,
    ScopesInput,
};
use tollgate_api::{
    Change as ApiChange, Key, KeyPatch, MintedKey, NewKey, Rotation, Shaped as _, Timestamp,
};
use tollgate_base::{Error, Result, UnixMillis};
use tollgate_policy::{
    account::Versioned,
    key::{AdminRole, KeyRecord, KeyState, Network, Pattern, Role},
};

use super::{
    Desk,
    asked::Asked,
    reply::{Reply, page},
};

/// The shortest and the longest text that is searched for.
const SEARCH: std::ops::RangeInclusive<usize> = 3..=256;

/// An action that only switches a key's state.
type Switch = fn(&Administration, &Act<'_>, &str) -> Result<Versioned<KeyRecord>>;

impl Desk {
    pub(super) fn list_keys(&self, asked: &Asked) -> Result<Reply> {
        let search = asked.text("search");
        if search
            .as_ref()
            .is_some_and(|text| !SEARCH.contains(&text.len()))
        {
            let message = "`search` must have 3 to 256 bytes.";
            return Err(Error::invalid_value("search", message));
        }
        let state = |word: &str| {
            let states = [
                KeyState::Active,
                KeyState::Disabled,
                KeyState::Expired,
                KeyState::Revoked,
            ];
            states.into_iter().find(|state| state.as_str() == word)
        };
        let filter = KeyFilter {
            role: asked.parameter("role").and_then(Role::from_word),
            state: asked.parameter("state").and_then(state),
            project_id: asked.text("project_id"),
            team_id: asked.text("team_id"),
            search,
        };
        let keys = self.accounts.keys(&asked.actor, &filter, asked.now)?;
        let used = self.accounts.accounts(&asked.actor)?.last_used;
        let all = keys.iter().map(|key| (&key.value.id, key));
        let (after, size) = (asked.parameter("after"), asked.page_size());
        Ok(Reply::json(&page(all, after, size, |key| {
            let last_used = used.get(&key.value.id).copied();
            shown(key, asked.now, last_used)
        })))
    }

    pub(super) fn create_key(&self, asked: &Asked) -> Result<Reply> {
        let wish = wish(NewKey::read(&asked.body)?)?;
        let minted = self.accounts.create_key(&asked.act(), &wish)?;
        Ok(minted_reply(&minted, asked.now).created())
    }

    pub(super) fn show_key(&self, asked: &Asked) -> Result<Reply> {
        let key = self.accounts.key(&asked.actor, &asked.id)?;
        self.key_reply(asked, &key)
    }

    pub(super) fn change_key(&self, asked: &Asked) -> Result<Reply> {
        let change = change(KeyPatch::read(&asked.body)?);
        let key = self.accounts.update_key(&asked.act(), &asked.id, &change)?;
        self.key_reply(asked, &key)
    }

    pub(super) fn delete_key(&self, asked: &Asked) -> Result<Reply> {
        self.accounts.delete_key(&asked.act(), &asked.id)?;
        Ok(Reply::nothing())
    }

    pub(super) fn rotate_key(&self, asked: &Asked) -> Result<Reply> {
        let rotation = if asked.body.is_empty() {
            Rotation::default()
        } else {
            Rotation::read(&asked.body)?
        };
        let overlap = Duration::from_secs(rotation.overlap_seconds);
        let minted = self.accounts.rotate_key(&asked.act(), &asked.id, overlap)?;
        Ok(minted_reply(&minted, asked.now))
    }

    pub(super) fn switch_key(&self, asked: &Asked, switch: Switch) -> Result<Reply> {
        asked.has_no_body()?;
        let key = switch(&self.accounts, &asked.act(), &asked.id)?;
        self.key_reply(asked, &key)
    }

    fn key_reply(&self, asked: &Asked, key: &Versioned<KeyRecord>) -> Result<Reply> {
        let used = self.accounts.accounts(&asked.actor)?.last_used;
        let last_used = used.get(&key.value.id).copied();
        Ok(Reply::json(&shown(key, asked.now, last_used)).of_version(key.version))
    }
}

fn minted_reply(minted: &Minted, now: UnixMillis) -> Reply {
    let answer = MintedKey {
        key: shown(&minted.key, now, None),
        token: minted.token.expose().to_owned(),
    };
    Reply::json(&answer).of_version(minted.key.version)
}

fn shown(
    Versioned { version, value }: &Versioned<KeyRecord>,
    now: UnixMillis,
    last_used: Option<UnixMillis>,
) -> Key {
    let texts = |patterns: &[Pattern]| patterns.iter().map(|one| one.as_str().to_owned()).collect();
    let scopes = &value.scopes;
    let former = value.former.iter().map(|former| former.until);
    Key {
        id: value.id.clone(),
        version: *version,
        name: value.name.clone(),
        role: value.role.as_str(),
        admin_role: value.admin_role.map(AdminRole::as_str),
        state: value.state(now).as_str(),
        last_four: value.last_four.clone(),
        owner: value.owner.clone(),
        project_id: value.project_id.clone(),
        team_id: value.team_id.clone(),
        models: texts(&scopes.models),
        operations: texts(&scopes.operations),
        sources: scopes.sources.iter().map(Network::to_string).collect(),
        strict: scopes.strict,
        max_output_tokens: scopes.max_output_tokens,
        created_at: Timestamp(value.created_at),
        expires_at: value.expires_at.map(Timestamp),
        disabled_at: value.disabled_at.map(Timestamp),
        revoked_at: value.revoked_at.map(Timestamp),
        former_until: former.filter(|until| *until > now).max().map(Timestamp),
        last_used_at: last_used.map(Timestamp),
    }
}

fn wish(new: NewKey) -> Result<Wish> {
    let role = match new.role.as_deref() {
        None => Role::Model,
        Some(word) => Role::from_word(word)
            .ok_or_else(|| Error::invalid_value("role", "There is no such role."))?,
    };
    Ok(Wish {
        name: new.name,
        role,
        admin_role: new.admin_role.as_deref().and_then(AdminRole::from_word),
        owner: new.owner,
        project_id: new.project_id,
        team_id: new.team_id,
        scopes: ScopesInput {
            models: new.models,
            operations: new.operations,
            sources: new.sources,
            strict: new.strict,
            max_output_tokens: new.max_output_tokens,
        },
        expires_at: new.expires_at.map(|at| at.0),
    })
}

fn change(patch: KeyPatch) -> Change {
    Change {
        name: patch.name,
        admin_role: patch.admin_role.as_deref().and_then(AdminRole::from_word),
        owner: super::said(patch.owner),
        project_id: super::said(patch.project_id),
        team_id: super::said(patch.team_id),
        models: patch.models,
        operations: patch.operations,
        sources: patch.sources,
        strict: patch.strict,
        max_output_tokens: super::said(patch.max_output_tokens),
        expires_at: match patch.expires_at {
            ApiChange::Set(at) => Patch::Set(at.0),
            ApiChange::Clear => Patch::Clear,
            ApiChange::Keep => Patch::Keep,
        },
    }
}
