//! `tollgate keys`: makes keys for `TOLLGATE_KEY` and `TOLLGATE_ADMIN_KEY`.

use clap::{Args, Subcommand};
use tollgate_policy::key::{Role, Token};

use crate::{
    Exit,
    terminal::{data, say},
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
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let Action::Generate { admin } = arguments.action;
    match Token::generate(if admin { Role::Admin } else { Role::Model }) {
        Ok(token) => {
            data(token.secret().expose());
            Exit::Success
        }
        Err(error) => {
            say(error.message());
            Exit::Failure
        }
    }
}
