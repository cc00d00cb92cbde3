//! The walk through a planned history.
//!
//! # Invariants
//!
//! - `done` of a configuration names only steps that are open.
//! - A step that reads takes effect as soon as the content fits: that never rules anything out.
//!
//! Tested through `linear/tests.rs`.

use std::collections::BTreeSet;

use super::Decision;
use super::plan::{Edge, Effect, NEVER, Plan};
use crate::history::State;

/// One way to explain everything that has returned so far.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    state: State,
    /// Open steps that have taken effect, ascending.
    done: Vec<usize>,
}

impl Configuration {
    fn has(&self, step: usize) -> bool {
        self.done.binary_search(&step).is_ok()
    }

    fn mark(&mut self, step: usize) {
        if let Err(place) = self.done.binary_search(&step) {
            self.done.insert(place, step);
        }
    }

    fn retire(&mut self, step: usize) {
        if let Ok(place) = self.done.binary_search(&step) {
            self.done.remove(place);
        }
    }
}

/// The state of the walk.
pub(super) struct Search<'a> {
    plan: &'a Plan,
    open: BTreeSet<usize>,
    closed: Vec<bool>,
    steps_left: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(plan: &'a Plan, steps_max: u64) -> Self {
        let closed = vec![false; plan.steps.len()];
        Search { plan, open: BTreeSet::new(), closed, steps_left: steps_max }
    }

    pub(super) fn run(mut self, initial: State) -> Decision {
        let mut configurations =
            BTreeSet::from([Configuration { state: initial, done: Vec::new() }]);
        for &(_, edge, step) in &self.plan.edges {
            match edge {
                Edge::Open => {
                    self.open.insert(step);
                    if self.plan.steps[step].effect.new_state().is_none() {
                        configurations =
                            configurations.into_iter().map(|one| self.settled(one)).collect();
                    }
                }
                Edge::Close => {
                    let Some(next) = self.close(&configurations, step) else {
                        return Decision::OutOfBudget;
                    };
                    if next.is_empty() {
                        return Decision::Unexplained;
                    }
                    configurations = next;
                }
            }
        }
        Decision::Explained
    }

    /// Every configuration in which `target` has taken effect; `None` when the budget is spent.
    fn close(
        &mut self,
        configurations: &BTreeSet<Configuration>,
        target: usize,
    ) -> Option<BTreeSet<Configuration>> {
        let mut result = BTreeSet::new();
        let mut seen: BTreeSet<Configuration> = BTreeSet::new();
        let mut work: Vec<Configuration> = configurations.iter().cloned().collect();
        while let Some(one) = work.pop() {
            self.steps_left = self.steps_left.checked_sub(1)?;
            if one.has(target) {
                result.insert(one);
            } else if seen.insert(one.clone()) {
                let next: Vec<usize> = self
                    .open
                    .iter()
                    .copied()
                    .filter(|step| self.may_take(&one, *step, target))
                    .collect();
                work.extend(next.into_iter().map(|step| self.taken(&one, step)));
            }
        }
        self.open.remove(&target);
        self.closed[target] = true;
        Some(
            result
                .into_iter()
                .map(|mut one| {
                    one.retire(target);
                    one
                })
                .collect(),
        )
    }

    /// Whether the step can be the next to change the key, on the way to `target`.
    fn may_take(&self, one: &Configuration, step: usize, target: usize) -> bool {
        if one.has(step) {
            return false;
        }
        let fits = match self.plan.steps[step].effect {
            Effect::Read(_) | Effect::Differs(_) => false,
            // Nobody reads it: taken only for its own sake, or to tell contents apart.
            Effect::Write(_) if self.plan.unseen.contains(&step) => {
                step == target || self.plan.has_differs
            }
            Effect::Write(_) => true,
            Effect::Swap(expected, _) => expected == one.state,
        };
        fits && self.readers_served(one, step)
    }

    /// A content that does not come back may go only when all who need it have had it.
    fn readers_served(&self, one: &Configuration, by: usize) -> bool {
        let Some(readers) = self.plan.readers.get(&one.state) else { return true };
        readers.iter().all(|reader| *reader == by || self.closed[*reader] || one.has(*reader))
    }

    fn taken(&self, one: &Configuration, step: usize) -> Configuration {
        let mut next = one.clone();
        let effect = self.plan.steps[step].effect;
        if matches!(effect, Effect::Write(_)) && !self.plan.has_differs {
            // Writes that nobody reads hide directly before this one.
            for hidden in self.open.iter().filter(|open| self.plan.unseen.contains(open)) {
                if self.plan.steps[*hidden].deadline != NEVER {
                    next.mark(*hidden);
                }
            }
        }
        next.mark(step);
        if let Some(state) = effect.new_state() {
            next.state = state;
        }
        self.settled(next)
    }

    /// Lets every open step that only tells about the content take effect if the content fits.
    fn settled(&self, mut one: Configuration) -> Configuration {
        for step in &self.open {
            let fits = match self.plan.steps[*step].effect {
                Effect::Read(state) => state == one.state,
                Effect::Differs(state) => state != one.state,
                Effect::Write(_) | Effect::Swap(..) => false,
            };
            if fits {
                one.mark(*step);
            }
        }
        one
    }
}
