//! The first keys: made once, from the environment or at random, and shown once.

use tollgate_accounts::{Act, Actor, Administration, NewKey};
use tollgate_base::{Clock, Error, Result, Secret};
use tollgate_config::FirstKeys;
use tollgate_policy::key::{KeyRing, Role, Token};

/// The keys that this start made and that nobody has seen yet.
#[derive(Debug, Default)]
pub(crate) struct NewKeys {
    pub(crate) admin: Option<Secret>,
    pub(crate) caller: Option<Secret>,
}

/// Makes sure that there are keys, and reads them all.
pub(crate) fn prepare(
    desk: &Administration,
    first: &FirstKeys,
    clock: &dyn Clock,
) -> Result<(KeyRing, NewKeys)> {
    let actor = Actor::local("start");
    let act = Act::new(&actor, clock.now());
    let known = desk.accounts(&actor)?.keys;
    let mut new = NewKeys::default();
    for (role, name, given) in [
        (Role::Admin, "first admin key", &first.admin),
        (Role::Model, "first key", &first.caller),
    ] {
        match given {
            Some(text) => {
                let token = read(role, text)?;
                desk.adopt_key(&act, &NewKey::named(name, role), &token)?;
            }
            // A key of one role is no stand-in for one of the other.
            None if known.values().all(|key| key.value.role != role) => {
                let minted = desk.create_key(&act, &NewKey::named(name, role))?;
                let shown = Some(minted.token);
                match role {
                    Role::Admin => new.admin = shown,
                    Role::Model => new.caller = shown,
                }
            }
            None => {}
        }
    }
    Ok((desk.snapshot()?.keys, new))
}

fn read(role: Role, text: &Secret) -> Result<Token> {
    let (variable, option) = match role {
        Role::Admin => ("TOLLGATE_ADMIN_KEY", " --admin"),
        Role::Model => ("TOLLGATE_KEY", ""),
    };
    Token::parse(text.expose()).filter(|token| token.role() == role).ok_or_else(|| {
        let message = format!(
            "{variable} holds no key of the right form. Make one with `tollgate keys generate{option}`, \
             or leave the variable out and the first start makes one."
        );
        Error::invalid_value(variable, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tollgate_base::ManualClock;
    use tollgate_store::MemoryStore;

    fn desk() -> Administration {
        Administration::new(Arc::new(MemoryStore::default()), |_| true)
    }

    #[test]
    fn the_first_start_makes_two_keys_and_the_second_none() {
        let (desk, clock) = (desk(), ManualClock::default());
        let (ring, new) = prepare(&desk, &FirstKeys::default(), &clock).unwrap();
        let key = new.caller.unwrap();
        assert!(ring.check(key.expose(), Role::Model, clock.now()).is_ok());
        assert!(
            ring.check(new.admin.unwrap().expose(), Role::Admin, clock.now())
                .is_ok()
        );
        let (ring, new) = prepare(&desk, &FirstKeys::default(), &clock).unwrap();
        assert!(new.caller.is_none() && new.admin.is_none());
        assert!(ring.check(key.expose(), Role::Model, clock.now()).is_ok());
    }

    #[test]
    fn keys_of_the_environment_are_taken_and_never_shown() {
        let (desk, clock) = (desk(), ManualClock::default());
        let token = Token::generate(Role::Model).unwrap();
        let first = FirstKeys {
            caller: Some(token.secret().clone()),
            ..FirstKeys::default()
        };
        let (ring, new) = prepare(&desk, &first, &clock).unwrap();
        assert!(new.caller.is_none() && new.admin.is_some());
        assert!(
            ring.check(token.secret().expose(), Role::Model, clock.now())
                .is_ok()
        );
        prepare(&desk, &first, &clock).unwrap();
        assert_eq!(desk.accounts(&Actor::local("test")).unwrap().keys.len(), 2);
    }

    #[test]
    fn a_weak_key_of_the_environment_is_refused_without_being_repeated() {
        let first = FirstKeys {
            caller: Some(Secret::new("sk-1234-canary")),
            ..FirstKeys::default()
        };
        let error = prepare(&desk(), &first, &ManualClock::default()).unwrap_err();
        assert!(error.message().contains("TOLLGATE_KEY") && !error.message().contains("canary"));
    }
}
