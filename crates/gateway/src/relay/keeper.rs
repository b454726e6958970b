//! Keeps the response that a stream tells, for the memory of the Responses API.

use std::sync::Arc;

use crate::{gateway::Shared, responses::Keeping};

/// Who keeps the response that a stream tells.
pub(crate) struct Keeper {
    pub(crate) keeping: Keeping,
    pub(crate) shared: Arc<Shared>,
    pub(crate) key_id: String,
    pub(crate) target: String,
}

impl Keeper {
    /// Keeps the response that the last event of a stream carries.
    pub(super) fn keep(self, terminal: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Terminal<'a> {
            #[serde(borrow)]
            response: &'a serde_json::value::RawValue,
        }
        if let Ok(Terminal { response }) = serde_json::from_slice(terminal) {
            let response = response.get().as_bytes();
            self.keeping
                .keep(&self.shared, &self.key_id, &self.target, response);
        }
    }
}
