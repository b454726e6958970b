//! What happens to the rules and to the clock in the simulated hour, and the comparison of everything.

use super::*;

impl Run {
    /// Somebody changes a rule: its size, its relief, or whether there is one.
    pub(super) fn change_rules(&mut self) {
        if self.making.is_some() {
            return;
        }
        let which = usize::try_from(self.dice.below(self.books.len() as u64)).unwrap();
        let mut on = self.on.clone();
        let (mut made, mut changed) = (None, None);
        if self.dice.chance(250) || !on[which] {
            on[which] = !on[which];
            self.tell(if on[which] {
                "rules made"
            } else {
                "rules removed"
            });
            if on[which] {
                self.happened += 1;
                made = Some((which, self.made(which)));
            }
        } else {
            changed = Some((which, self.resized(which)));
            self.tell("rules changed");
        }
        let rules = self.in_force(&on, changed.as_ref());
        self.making = Some(Making {
            restoration: self.admission.begin(&rules, self.moment()),
            rules,
            made,
            changed,
            on,
        });
        let after = self.dice.below(400_000);
        self.later(after, Next::Enforce);
    }

    /// A rule with more or less than at first, and sometimes nothing.
    fn resized(&mut self, which: usize) -> Rule {
        // Nobody is blocked wholly: then nothing else would be seen.
        let is_whole = *self.books[which].rule.scope() == Scope::Gateway;
        let percent = match self.dice.below(20) {
            0 if !is_whole => 0,
            _ => 60 + self.dice.below(120),
        };
        let relief = self.dice.chance(300).then(|| Relief {
            limit: nanos(self.dice.below(1 << 40)),
            until: UnixMillis(self.wall + self.dice.below(600_000)),
        });
        let mut rule = self.first[which].clone();
        match &mut rule {
            Rule::Limit(rule) => rule.most = rule.most * percent / 100,
            Rule::Budget(rule) => {
                let nano = rule.limit.nanos() * i128::from(percent) / 100;
                rule.limit = Money::from_nanos(nano);
                rule.relief = relief;
            }
        }
        rule
    }

    fn made(&self, which: usize) -> Made {
        let (from, until) = match &self.books[which].rule {
            Rule::Limit(rule) => match told_of(rule.measure) {
                0 => (0, 0),
                length => (self.wall - length, self.wall + length),
            },
            Rule::Budget(rule) => {
                let present = window(rule, self.wall);
                let before = window(rule, u64::try_from(present - 1).unwrap_or_default());
                // The end of the present one: no window is longer than 31 days.
                let end = (0..=31 * 24).map(|hours| self.wall + hours * 3_600_000);
                let end = end.clone().find(|wall| window(rule, *wall) > present);
                let end = end.map_or(u64::MAX, |wall| u64::try_from(window(rule, wall)).unwrap());
                (u64::try_from(before).unwrap_or_default(), end)
            }
        };
        Made {
            event: self.happened,
            at: self.seen.max(self.moment().monotonic),
            wall: self.wall,
            as_of: 0,
            from,
            until,
        }
    }

    /// The change comes into force: what is made is told of everything.
    pub(super) fn enforce(&mut self) {
        self.happened += 1;
        let making = self.making.take().unwrap();
        let as_of = self.written;
        let told = making
            .restoration
            .finish(|scope, borders| Ok(figures(&self.events_of(scope), borders, as_of)));
        told.unwrap();
        (self.on, self.rules) = (making.on, making.rules);
        if let Some((which, rule)) = making.changed {
            self.books[which].rule = rule;
        }
        if let Some((which, made)) = making.made {
            self.books[which].made = Made { as_of, ..made };
            self.books[which].sums = self.recount(which);
        }
    }

    fn events_of(&self, scope: &Scope) -> impl Iterator<Item = &Event> + Clone {
        self.events_of[scope]
            .iter()
            .map(|event| &self.events[*event])
    }

    /// What counts for a rule, by the whole list.
    fn recount(&self, which: usize) -> Counts {
        let book = &self.books[which];
        let mut again = Book {
            rule: book.rule.clone(),
            made: book.made,
            sums: Counts::default(),
        };
        for event in self.events_of(book.rule.scope()) {
            again.count(event, true);
        }
        again.sums
    }

    /// The wall clock is stepped: up to half an hour, and by a few milliseconds.
    pub(super) fn step(&mut self) {
        let most = if self.dice.chance(500) { 1_800_000 } else { 50 };
        let by = self.dice.below(2 * most);
        self.wall = (self.wall + by).saturating_sub(most);
        self.tell("steps of the clock");
    }

    /// What is told of every rule is what the sums say, and what they say is what the list says.
    pub(super) fn look(&mut self, is_whole: bool) {
        let at = self.moment();
        let standings = self.admission.all_standings(&self.rules, at);
        let places: HashMap<String, usize> = self
            .books
            .iter()
            .enumerate()
            .map(|(at, book)| (book.rule.id().to_owned(), at))
            .collect();
        let now = self.seen.max(at.monotonic);
        for standing in &standings.limits {
            let book = &self.books[places[&standing.id]];
            let used = standing.used + standing.held;
            assert_eq!(used, book.used(now), "{standing:?}");
        }
        for standing in &standings.budgets {
            self.compare_budget(places[&standing.id], standing, self.wall);
        }
        if is_whole {
            for which in (0..self.books.len()).filter(|which| self.on[*which]) {
                let (kept, whole) = (&self.books[which].sums, self.recount(which));
                assert_eq!(kept.after(now), whole.after(now));
            }
        }
    }

    pub(super) fn run(&mut self, until: u64, rate: u64) {
        self.later(0, Next::Call);
        self.later(0, Next::Change);
        self.later(HOUR / 50, Next::Step);
        self.later(MINUTE, Next::Look);
        while let Some(Reverse((at, _, next))) = self.queue.pop() {
            // The wall goes on by whole milliseconds.
            self.wall += at / 1_000 - self.now / 1_000;
            self.now = at;
            let goes_on = at < until;
            match next {
                Next::Call if goes_on => {
                    self.call();
                    let gap = self.dice.below(2 * 1_000_000 / rate);
                    self.later(gap, Next::Call);
                }
                Next::End(call) => self.end_attempt(call),
                Next::Change if goes_on => {
                    self.change_rules();
                    let gap = self.dice.below(10_000_000);
                    self.later(gap, Next::Change);
                }
                Next::Enforce => self.enforce(),
                Next::Step if goes_on => {
                    self.step();
                    let gap = self.dice.below(HOUR / 25);
                    self.later(gap, Next::Step);
                }
                Next::Look if goes_on => {
                    self.look((at / MINUTE).is_multiple_of(20));
                    self.later(MINUTE, Next::Look);
                }
                Next::Call | Next::Change | Next::Step | Next::Look => {}
            }
        }
        self.look(true);
    }
}

#[test]
fn an_hour_of_mixed_load_has_no_wrong_refusal_and_no_wrong_admission() {
    let random = u64::from(std::process::id()) << 20;
    let seed = setting("TOLLGATE_SEED", random);
    let (hours, rate) = (setting("TOLLGATE_HOURS", 1), setting("TOLLGATE_RATE", 100));
    println!("TOLLGATE_SEED={seed} TOLLGATE_HOURS={hours} TOLLGATE_RATE={rate}");
    let mut run = Run::new(seed, rate);
    run.run(run.now + hours * HOUR, rate);
    let standings = run.admission.all_standings(&run.rules, run.moment());
    assert!(standings.limits.iter().all(|limit| limit.held == 0));
    assert!(standings.budgets.iter().all(|budget| budget.held.is_zero()));
    // What did not happen was not judged.
    let refused = |word: &str| {
        let kinds = run.told.iter().filter(|(what, _)| what.contains(word));
        kinds.map(|(_, count)| count).sum::<u64>()
    };
    for kind in [
        "budget",
        "per-minute After",
        "per-day",
        "per-second",
        "WithACall",
    ] {
        assert!(refused(kind) > 0, "nothing was refused by {kind}");
    }
    for (what, count) in &run.told {
        println!("{count:>8} {what}");
    }
}
