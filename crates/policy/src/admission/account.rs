//! The money of one budget, window by window.
//!
//! A window is never reset: another instant lies in another window. Each call is booked in the window that it
//! was admitted in, however late it ends.

use std::{collections::BTreeMap, time::Duration};

use tollgate_base::{Money, UnixMillis};

use super::{
    calendar::{Borders, NEVER},
    held::Crossing,
    origin::Origin,
    rules::Budget,
};

/// The windows of one budget that still matter: the newest two, and those in which calls are open.
#[derive(Debug, Default)]
pub(super) struct Account {
    windows: BTreeMap<UnixMillis, Window>,
    /// The beginning of the newest window that is forgotten. A clock that is set back never opens it again,
    /// which would hand out its money twice.
    forgotten: Option<UnixMillis>,
    touched: Duration,
    pub(super) origin: Origin,
}

/// The money of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    until: UnixMillis,
    pub(super) sums: Sums,
    /// Calls that are open, also those that hold no money.
    open: u32,
    /// The highest threshold that was told.
    told: u8,
}

/// What counts against a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Booked costs: the ledger's figure.
    pub(super) posted: Money,
    /// The most that open calls can cost.
    pub(super) held: Money,
    /// What ended calls may have cost beyond what is booked for them, because nobody said exactly.
    pub(super) doubtful: Money,
}

/// How long the account of a budget that is no longer in force is kept after its last use.
const KEPT: Duration = Duration::from_hours(31 * 24);

// === impl Account ===

impl Account {
    /// The window for a call that is admitted at `wall`, and what counts in it.
    pub(super) fn find(
        account: Option<&Self>,
        budget: &Budget,
        wall: UnixMillis,
    ) -> (Borders, Sums) {
        let Some(account) = account else {
            return (budget.calendar.window(wall), Sums::default());
        };
        // The usual case needs no calendar: the window is open already.
        if let Some((&from, window)) = account.windows.range(..=wall).next_back()
            && wall < window.until
        {
            return (window.borders(from), window.sums);
        }
        let mut borders = budget.calendar.window(wall);
        if account.forgotten.is_some_and(|gone| borders.from <= gone)
            && let Some((&from, window)) = account.first_kept()
        {
            borders = window.borders(from);
        }
        let sums = account.windows.get(&borders.from).map(|window| window.sums);
        (borders, sums.unwrap_or_default())
    }

    /// Holds `amount` for a call that begins.
    pub(super) fn hold(&mut self, borders: Borders, amount: Money, now: Duration) {
        let window = self.window(borders, now);
        window.sums.held += amount;
        window.open = window.open.saturating_add(1);
    }

    /// Ends the hold of a call: `booked` is posted, `doubtful` goes on counting.
    pub(super) fn settle(
        &mut self,
        borders: Borders,
        held: Money,
        (booked, doubtful): (Money, Money),
    ) {
        let touched = self.touched;
        let window = self.window(borders, touched);
        window.open = window.open.saturating_sub(1);
        window.sums.held = window.sums.held.less(held);
        window.sums.posted += booked;
        window.sums.doubtful += doubtful;
    }

    /// Posts what the ledger has for these windows, in the order of time. Of earlier ones nothing is known: a clock
    /// that is set back opens none of them.
    pub(super) fn restore(&mut self, windows: &[(Borders, Money)], now: Duration) {
        for &(borders, posted) in windows {
            self.window(borders, now).sums.posted += posted;
        }
        let known = windows.first().map(|(borders, _)| borders.from.0);
        let before = known.and_then(|from| from.checked_sub(1)).map(UnixMillis);
        self.forgotten = self.forgotten.max(before);
    }

    /// Books what a call cost instead of its hold, which counted as doubtful or, after a restart, as posted.
    /// Nothing happens when its window is no longer kept: then only the ledger knows of it.
    pub(super) fn correct(&mut self, from: UnixMillis, released: Money, posted: Money) {
        if let Some(window) = self.windows.get_mut(&from) {
            let doubtful = released.min(window.sums.doubtful);
            window.sums.doubtful = window.sums.doubtful.less(doubtful);
            let before = window.sums.posted.less(released.less(doubtful));
            window.sums.posted = before.plus(posted);
        }
    }

    /// The thresholds that what is posted in a window has reached and that were not told yet.
    pub(super) fn crossings(
        &mut self,
        budget: &Budget,
        from: UnixMillis,
        limit: Money,
    ) -> Vec<Crossing> {
        let Some(window) = self.windows.get_mut(&from) else {
            return Vec::new();
        };
        let posted = window.sums.posted;
        let crossed = window.cross(&budget.rule.thresholds, limit);
        crossed
            .into_iter()
            .map(|percent| Crossing {
                budget: budget.rule.id.clone(),
                scope: budget.rule.scope.clone(),
                percent,
                limit,
                posted,
                hard: budget.rule.hard,
                from,
                until: Some(budget.calendar.window(from).until).filter(|until| *until != NEVER),
            })
            .collect()
    }

    /// Whether the account of a budget that is no longer in force can go.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        !self.origin.is_asked()
            && now.saturating_sub(self.touched) > KEPT
            && self.windows.values().all(|window| window.open == 0)
    }

    /// The window with these borders. When it is new, older ones are forgotten.
    fn window(&mut self, borders: Borders, now: Duration) -> &mut Window {
        self.touched = now;
        if !self.windows.contains_key(&borders.from) {
            let previous = self.windows.range(..borders.from).next_back();
            let oldest = previous.map_or(borders.from, |(&from, _)| from);
            let gone = self
                .windows
                .extract_if(..oldest, |_, window| window.open == 0)
                .last();
            self.forgotten = self.forgotten.max(gone.map(|(from, _)| from));
        }
        self.windows.entry(borders.from).or_insert(Window {
            until: borders.until,
            ..Window::default()
        })
    }

    fn first_kept(&self) -> Option<(&UnixMillis, &Window)> {
        let newest = self.forgotten?;
        self.windows
            .range((
                std::ops::Bound::Excluded(newest),
                std::ops::Bound::Unbounded,
            ))
            .next()
    }
}

// === impl Window ===

impl Window {
    fn borders(&self, from: UnixMillis) -> Borders {
        Borders {
            from,
            until: self.until,
        }
    }

    /// The thresholds that what is posted has reached and that were not told yet.
    fn cross(&mut self, thresholds: &[u8], limit: Money) -> Vec<u8> {
        let reached = |percent: u8| {
            !self.sums.posted.is_zero()
                && self.sums.posted.times(100) >= limit.times(u64::from(percent))
        };
        let mut crossed: Vec<u8> = thresholds
            .iter()
            .copied()
            .filter(|&percent| percent > self.told && reached(percent))
            .collect();
        crossed.sort_unstable();
        crossed.dedup();
        self.told = crossed.last().copied().unwrap_or(self.told);
        crossed
    }
}

impl Sums {
    /// Everything that counts against the limit.
    pub(super) fn total(self) -> Money {
        self.posted.plus(self.held).plus(self.doubtful)
    }
}
