//! The call pipeline. One function, [`Gateway::serve`], takes every call of every dialect, streaming or not:
//!
//! | stage | file | in, out |
//! |---|---|---|
//! | authenticate | `authenticate.rs` | headers, `Caller` |
//! | read | `call.rs` | body, `Call` |
//! | plan | `plan.rs` | `Call`, `Plan` (ordered targets) |
//! | admit | `admit/` | size and price of the call, guards over what it holds |
//! | attempt | `attempt.rs`, `provider.rs`, `local/` | target, `Reply` |
//! | relay | `relay/` | `Reply`, HTTP body |
//! | settle | `record.rs` | usage and outcome, the call's record |
//!
//! It knows HTTP's words (`http`), no server framework, no command line and no concrete store. A call holds
//! one immutable [`Snapshot`] of the configuration from its start to its end.

mod admit;
mod attempt;
mod authenticate;
mod body;
mod call;
mod capability;
mod conversations;
mod count;
mod files;
mod framer;
mod gateway;
mod identity;
mod local;
mod locals;
mod models;
mod pass;
mod paths;
mod plan;
mod provider;
mod record;
mod relay;
mod reply;
mod responses;
mod snapshot;
mod tags;

pub use admit::{Books, Notice, Spent, request_tokens};
pub use body::Body;
pub use call::{Addressed, Inbound};
pub use conversations::{ConversationAction, ConversationRequest};
pub use gateway::{Entered, Gateway, Shared};
pub use local::local_prompt;
pub use locals::{LocalModels, ModelFile};
pub use models::Page;
pub use pass::{ObjectRequest, Passing};
pub use reply::error_response;
pub use responses::StoredAction;
pub use snapshot::{Snapshot, price_book};
pub use tollgate_upstream::Pieces;
