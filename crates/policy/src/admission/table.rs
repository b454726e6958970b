//! Counters by name. Those that no longer matter are dropped a few at a time, so that no call pays for many.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use foldhash::{HashMap, HashMapExt as _};

/// Counters of one kind.
#[derive(Debug)]
pub(super) struct Table<C> {
    counters: HashMap<Arc<str>, C>,
    /// Every name once, in the order in which it is looked at next.
    round: VecDeque<Arc<str>>,
    /// Names that are to be looked at because others were added: twice as many, so that a table cannot outgrow
    /// what matters.
    due: usize,
}

impl<C> Table<C> {
    pub(super) fn get(&self, name: &str) -> Option<&C> {
        self.counters.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut C> {
        self.counters.get_mut(name)
    }

    /// The counter of that name, made where there is none.
    pub(super) fn counter(&mut self, name: &Arc<str>, make: impl FnOnce() -> C) -> &mut C {
        self.counters.entry(name.clone()).or_insert_with(|| {
            self.round.push_back(name.clone());
            self.due = self.due.saturating_add(2);
            make()
        })
    }

    /// Drops the counters of these names.
    pub(super) fn remove_all(&mut self, names: &HashSet<Arc<str>>) {
        let before = self.counters.len();
        self.counters.retain(|name, _| !names.contains(name));
        if self.counters.len() < before {
            self.round.retain(|name| !names.contains(name));
        }
    }

    /// Drops counters that are idle: looks at the next one, and at those that are due.
    pub(super) fn sweep(&mut self, is_idle: impl Fn(&str, &C) -> bool) {
        for _ in 0..=std::mem::take(&mut self.due) {
            let Some(name) = self.round.pop_front() else {
                return;
            };
            match self.counters.get(&name) {
                Some(counter) if !is_idle(&name, counter) => self.round.push_back(name),
                _ => {
                    self.counters.remove(&name);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.counters.len(), self.round.len());
        self.counters.len()
    }
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self {
            counters: HashMap::new(),
            round: VecDeque::new(),
            due: 0,
        }
    }
}
