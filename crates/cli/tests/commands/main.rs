//! The command line from outside: the real program on a data folder of its own.

mod accounts;
mod keys;
mod ledger;
mod program;
mod tokens;
