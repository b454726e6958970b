//! `tollgate keys`: makes, shows, changes, rotates and revokes keys. A key's text is printed once, when it is made.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use tollgate_accounts::{KeyPatch, MintedKey, NewKey, Patch, ScopesInput};
use tollgate_base::{Error, Result, UnixMillis};
use tollgate_policy::{
    account::{Accounts, Record, Versioned},
    key::{AdminRole, KeyRecord, KeyState, Role, Token},
};

use crate::{
    Exit,
    desk::{Desk, Folder, at_desk, complain, key_id, project_id, team_id},
    settings::Options,
    shown,
    table::{plain, table},
    terminal::{data, say},
    time,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new key. It is not stored: set TOLLGATE_KEY (or TOLLGATE_ADMIN_KEY) to it before a start.
    Generate {
        /// Make an admin key.
        #[arg(long)]
        admin: bool,
    },
    /// Make a key and print it, once: only its digest is stored.
    Create(Box<Create>),
    /// List the keys that are in use.
    List {
        /// Those out of use, too: disabled, expired, revoked
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show what is known of a key.
    Show {
        #[command(flatten)]
        key: Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a key. Its text stays.
    Update(Box<Update>),
    /// Give a key a new text and print it, once. The old text works beside it for a while.
    Rotate {
        #[command(flatten)]
        key: Named,
        /// How long the old text still works, at most 90 days; `0s` ends it now
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        overlap: String,
    },
    /// Put a key out of use for good.
    Revoke(Named),
    /// Put a key out of use for the time being.
    Disable(Named),
    /// Put a disabled key to use again.
    Enable(Named),
    /// Forget a key with its limits and budgets. Its calls stay in the ledger.
    Delete(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// The key's id, its name, or the beginning of its id
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Create {
    name: String,
    /// Make a key for administration, which calls no models
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    key: Named,
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Empty a field
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Field>,
    /// Allow translations that lose something again
    #[arg(long, conflicts_with = "strict")]
    not_strict: bool,
}

/// What can be said of a key when it is made and later.
#[derive(Debug, Args)]
struct Fields {
    /// What an admin key may do
    #[arg(long, value_enum)]
    role: Option<AdminWord>,
    /// The project that the key belongs to, and so its team
    #[arg(long, value_name = "PROJECT", conflicts_with = "team")]
    project: Option<String>,
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Who answers for the key
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    /// When it ends: a span from now on (30d), a date, or a date and time
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// The models it may ask for: names, or beginnings with `*` (openai/*)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Vec<String>,
    /// What it may do (generation, embeddings, …)
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    operations: Vec<String>,
    /// Where calls may come from: addresses or ranges (10.0.0.0/8)
    #[arg(long, value_name = "RANGES", value_delimiter = ',')]
    sources: Vec<String>,
    /// The most output tokens of one call
    #[arg(long, value_name = "N")]
    max_output_tokens: Option<u64>,
    /// Refuse calls that would lose something in translation
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AdminWord {
    Owner,
    Manager,
    Viewer,
}

/// A field that may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Field {
    Project,
    Team,
    Owner,
    Expires,
    Models,
    Operations,
    Sources,
    MaxOutputTokens,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    match &arguments.action {
        Action::Generate { admin } => generate(*admin),
        Action::Create(create) => at_desk(&create.options, Folder::Make, |desk| create.run(desk)),
        Action::List { all, json, options } => {
            at_desk(options, Folder::Expect, |desk| list(desk, *all, *json))
        }
        Action::Show { key, json } => key.with(|desk, id| show(desk, id, *json)),
        Action::Update(update) => update.key.with(|desk, id| update.run(desk, id)),
        Action::Rotate { key, overlap } => key.with(|desk, id| rotate(desk, id, overlap)),
        Action::Revoke(key) => key.with(|desk, id| {
            desk.books.revoke_key(&desk.act(), id)?;
            Ok(done(&format!(
                "Revoked {id}: it is refused within a second."
            )))
        }),
        Action::Disable(key) => key.with(|desk, id| {
            desk.books.disable_key(&desk.act(), id)?;
            Ok(done(&format!(
                "Disabled {id}. `tollgate keys enable {id}` puts it to use again."
            )))
        }),
        Action::Enable(key) => key.with(|desk, id| {
            desk.books.enable_key(&desk.act(), id)?;
            Ok(done(&format!("Enabled {id}.")))
        }),
        Action::Delete(key) => key.with(|desk, id| {
            desk.books.delete_key(&desk.act(), id)?;
            Ok(done(&format!(
                "Deleted {id} with its limits and budgets. Its calls stay in the ledger."
            )))
        }),
    }
}

impl Named {
    /// Does something to the key that is named.
    fn with(&self, work: impl FnOnce(&Desk, &str) -> Result<Exit>) -> Exit {
        at_desk(&self.options, Folder::Expect, |desk| {
            work(desk, &key_id(&desk.accounts()?, &self.key)?)
        })
    }
}

fn done(text: &str) -> Exit {
    say(text);
    Exit::Success
}

fn generate(admin: bool) -> Exit {
    match Token::generate(if admin { Role::Admin } else { Role::Model }) {
        Ok(token) => {
            data(token.secret().expose());
            Exit::Success
        }
        Err(error) => complain(&error),
    }
}

impl Create {
    fn run(&self, desk: &Desk) -> Result<Exit> {
        let role = if self.admin { Role::Admin } else { Role::Model };
        let fields = &self.fields;
        let accounts = desk.accounts()?;
        let act = desk.act();
        let new = NewKey {
            admin_role: match fields.role {
                Some(word) => Some(word.role()),
                None => self.admin.then_some(AdminRole::Owner),
            },
            owner: fields.owner.clone(),
            project_id: fields.project_id(&accounts)?,
            team_id: fields.team_id(&accounts)?,
            scopes: ScopesInput {
                models: fields.models.clone(),
                operations: fields.operations.clone(),
                sources: fields.sources.clone(),
                strict: fields.strict,
                max_output_tokens: fields.max_output_tokens,
            },
            expires_at: fields.expires_at(act.at)?,
            ..NewKey::named(&self.name, role)
        };
        print(&desk.books.create_key(&act, &new)?, "Made");
        Ok(Exit::Success)
    }
}

/// The text to standard output, alone, so that a script can take it.
fn print(minted: &MintedKey, verb: &str) {
    data(minted.token.expose());
    let key = &minted.key.value;
    say(&format!(
        "{verb} {} ({}). Keep its text: it is not stored and cannot be shown again.",
        key.id,
        plain(&key.name)
    ));
}

fn rotate(desk: &Desk, id: &str, overlap: &str) -> Result<Exit> {
    let overlap: Duration = time::span("--overlap", overlap)?;
    let act = desk.act();
    let rotated = desk.books.rotate_key(&act, id, overlap)?;
    print(&rotated, "Rotated");
    say(&format!(
        "The old text works until {}.",
        time::shown(act.at.plus(overlap))
    ));
    Ok(Exit::Success)
}

impl Update {
    fn run(&self, desk: &Desk, id: &str) -> Result<Exit> {
        let act = desk.act();
        let patch = self.patch(&desk.accounts()?, act.at)?;
        if patch == KeyPatch::default() {
            let message =
                "Nothing to change was named. `tollgate keys update --help` lists what can be.";
            return Err(Error::invalid_value("update", message));
        }
        let key = desk.books.update_key(&act, id, &patch)?;
        Ok(done(&format!(
            "Changed {} ({}).",
            key.value.id,
            plain(&key.value.name)
        )))
    }

    fn patch(&self, accounts: &Accounts, now: UnixMillis) -> Result<KeyPatch> {
        let fields = &self.fields;
        let list = |field, given: &[String]| match (self.clears(field), given) {
            (true, _) => Some(Vec::new()),
            (false, []) => None,
            (false, given) => Some(given.to_vec()),
        };
        Ok(KeyPatch {
            name: self.name.clone(),
            admin_role: fields.role.map(AdminWord::role),
            owner: self.field(Field::Owner, fields.owner.clone()),
            project_id: self.field(Field::Project, fields.project_id(accounts)?),
            team_id: self.field(Field::Team, fields.team_id(accounts)?),
            models: list(Field::Models, &fields.models),
            operations: list(Field::Operations, &fields.operations),
            sources: list(Field::Sources, &fields.sources),
            strict: match (fields.strict, self.not_strict) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                (false, false) => None,
            },
            max_output_tokens: self.field(Field::MaxOutputTokens, fields.max_output_tokens),
            expires_at: self.field(Field::Expires, fields.expires_at(now)?),
        })
    }

    fn clears(&self, field: Field) -> bool {
        self.clear.contains(&field)
    }

    fn field<T>(&self, field: Field, given: Option<T>) -> Patch<T> {
        match given {
            Some(value) => Patch::Set(value),
            None if self.clears(field) => Patch::Clear,
            None => Patch::Keep,
        }
    }
}

impl Fields {
    fn project_id(&self, accounts: &Accounts) -> Result<Option<String>> {
        self.project
            .as_ref()
            .map(|name| project_id(accounts, name))
            .transpose()
    }

    fn team_id(&self, accounts: &Accounts) -> Result<Option<String>> {
        self.team
            .as_ref()
            .map(|name| team_id(accounts, name))
            .transpose()
    }

    fn expires_at(&self, now: UnixMillis) -> Result<Option<UnixMillis>> {
        self.expires
            .as_ref()
            .map(|text| time::future("--expires", text, now))
            .transpose()
    }
}

impl AdminWord {
    fn role(self) -> AdminRole {
        match self {
            AdminWord::Owner => AdminRole::Owner,
            AdminWord::Manager => AdminRole::Manager,
            AdminWord::Viewer => AdminRole::Viewer,
        }
    }
}

fn list(desk: &Desk, all: bool, json: bool) -> Result<Exit> {
    let accounts = desk.accounts()?;
    let now = desk.now();
    let wanted = accounts
        .keys
        .values()
        .filter(|key| all || state(&accounts, &key.value, now) == KeyState::Active);
    if json {
        shown::print_all(wanted.map(|key| object(&accounts, key, now)).collect());
        return Ok(Exit::Success);
    }
    let rows: Vec<Vec<String>> = wanted.map(|key| row(&accounts, &key.value, now)).collect();
    data(&table(
        &[
            "id",
            "name",
            "ends in",
            "role",
            "state",
            "belongs to",
            "expires",
            "last used",
        ],
        &rows,
    ));
    if !all && rows.len() < accounts.keys.len() {
        say(&format!(
            "{} more are out of use; --all lists them.",
            accounts.keys.len().saturating_sub(rows.len())
        ));
    }
    Ok(Exit::Success)
}

fn row(accounts: &Accounts, key: &KeyRecord, now: UnixMillis) -> Vec<String> {
    let name_of_team = |id: &str| accounts.teams.get(id).map(|team| plain(&team.value.name));
    let belongs = match accounts.project_of(key) {
        Some(project) => plain(&project.name),
        None => key
            .team_id
            .as_deref()
            .and_then(name_of_team)
            .unwrap_or_default(),
    };
    vec![
        key.id.clone(),
        plain(&key.name),
        key.last_four.clone(),
        key.admin_role
            .map_or(key.role.as_str(), AdminRole::as_str)
            .to_owned(),
        state(accounts, key, now).as_str().to_owned(),
        belongs,
        time::shown_or_not(key.expires_at),
        time::shown_or_not(accounts.last_used.get(&key.id).copied()),
    ]
}

fn show(desk: &Desk, id: &str, json: bool) -> Result<Exit> {
    let key = desk.books.key(&desk.actor, id)?;
    shown::print(object(&desk.accounts()?, &key, desk.now()), json);
    Ok(Exit::Success)
}

/// What a key is, its team and project considered.
fn state(accounts: &Accounts, key: &KeyRecord, now: UnixMillis) -> KeyState {
    match key.state(now) {
        KeyState::Active if accounts.disabled_at(key).is_some_and(|at| at <= now) => {
            KeyState::Disabled
        }
        state => state,
    }
}

fn object(accounts: &Accounts, key: &Versioned<KeyRecord>, now: UnixMillis) -> Map<String, Value> {
    let mut object = shown::object(&Record::Key(key.value.clone()));
    let last_used = accounts.last_used.get(&key.value.id).map(|at| at.0);
    object.insert(
        "state".to_owned(),
        Value::from(state(accounts, &key.value, now).as_str()),
    );
    object.insert("last_used_at".to_owned(), Value::from(last_used));
    object
}
