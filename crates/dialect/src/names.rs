//! Tools that had to be renamed for a provider, and their names at home.

use std::borrow::Cow;

use crate::ids;

/// The tool names of one call: what was sent, and what the caller calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap(Vec<(String, String)>);

impl NameMap {
    /// The caller's name of the tool that the provider knows as `sent`.
    pub fn original<'a>(&'a self, sent: &'a str) -> &'a str {
        self.0
            .iter()
            .find(|(renamed, _)| renamed == sent)
            .map_or(sent, |(_, original)| original)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name to send, within `limit` characters of the tools' alphabet; remembered when it is another one.
    pub(crate) fn sent<'a>(&mut self, name: &'a str, limit: usize) -> Cow<'a, str> {
        let sent = ids::tool_name(name, limit);
        if let Cow::Owned(sent) = &sent
            && self.original(sent) == sent
        {
            self.0.push((sent.clone(), name.to_owned()));
        }
        sent
    }
}
