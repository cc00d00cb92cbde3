//! What must be searched of a history: its calls as effects with deadlines, in time order.
//!
//! # Invariants
//!
//! - Dropping a call keeps the answer: it had no effect, told nothing, or nobody can tell.
//! - A deadline moves only forward to the return of a reader that needs the effect.
//!
//! Tested through `linear/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Call, Operation, Reply, State};

/// Deadline of an effect that need not happen at all.
pub(super) const NEVER: u64 = u64::MAX;

/// What a call does to the key, or tells about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The key held exactly this.
    Read(State),
    /// The key held something else than this.
    Differs(State),
    /// The key holds this from now on.
    Write(State),
    /// The key held the first and holds the second from now on.
    Swap(State, State),
}

impl Effect {
    /// What the effect leaves behind, for those that change the key.
    pub(super) fn new_state(self) -> Option<State> {
        match self {
            Effect::Read(_) | Effect::Differs(_) => None,
            Effect::Write(new) | Effect::Swap(_, new) => Some(new),
        }
    }

    /// What the key must hold for the effect, where only one content will do.
    pub(super) fn needs(self) -> Option<State> {
        match self {
            Effect::Read(state) | Effect::Swap(state, _) => Some(state),
            Effect::Write(_) | Effect::Differs(_) => None,
        }
    }
}

/// One call to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) effect: Effect,
    pub(super) invoked: u64,
    /// The time by which it must have taken effect, or [`NEVER`].
    pub(super) deadline: u64,
}

/// A point in time order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// A step may take effect from here.
    Open,
    /// A step must have taken effect.
    Close,
}

/// An answer that refutes itself: a condition refused by the very content that it asked for.
pub(super) struct SelfContradiction;

/// The steps of a history and what is known of them beforehand.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Opens and closes, by time; at equal times opens come first, so that touching calls overlap.
    pub(super) edges: Vec<(u64, Edge, usize)>,
    /// For each content that comes into being once: the steps that need it.
    pub(super) readers: BTreeMap<State, Vec<usize>>,
    /// Steps that write a content which nobody needs and which does not come back.
    pub(super) unseen: BTreeSet<usize>,
    /// True if some step only tells what the key did not hold.
    pub(super) has_differs: bool,
}

impl Plan {
    /// Plans the search.
    pub(super) fn new(initial: State, history: &[Operation]) -> Result<Plan, SelfContradiction> {
        let mut steps = Vec::with_capacity(history.len());
        for operation in history {
            if let Some(effect) = effect_of(operation)? {
                let deadline = match operation.reply {
                    Reply::Unknown => NEVER,
                    Reply::Got(_) | Reply::Done | Reply::Refused(_) | Reply::Failed => {
                        operation.completed.min(NEVER - 1)
                    }
                };
                steps.push(Step { effect, invoked: operation.invoked, deadline });
            }
        }
        let has_differs = steps.iter().any(|step| matches!(step.effect, Effect::Differs(_)));
        let once = states_written_once(initial, &steps);
        tighten(&mut steps, &once);
        let steps = without_invisible(steps, &once, has_differs);
        Ok(Plan::of_steps(steps, &once, has_differs))
    }

    fn of_steps(steps: Vec<Step>, once: &BTreeSet<State>, has_differs: bool) -> Plan {
        let mut readers: BTreeMap<State, Vec<usize>> =
            once.iter().map(|state| (*state, Vec::new())).collect();
        for (index, step) in steps.iter().enumerate() {
            let required = step.deadline != NEVER;
            if let Some(list) = step.effect.needs().and_then(|state| readers.get_mut(&state))
                && required
            {
                list.push(index);
            }
        }
        let needed: BTreeSet<State> = steps.iter().filter_map(|step| step.effect.needs()).collect();
        let unseen = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| match step.effect {
                Effect::Write(state) => once.contains(&state) && !needed.contains(&state),
                Effect::Read(_) | Effect::Differs(_) | Effect::Swap(..) => false,
            })
            .map(|(index, _)| index)
            .collect();
        let mut edges = Vec::with_capacity(steps.len() * 2);
        for (index, step) in steps.iter().enumerate() {
            edges.push((step.invoked, Edge::Open, index));
            if step.deadline != NEVER {
                edges.push((step.deadline.max(step.invoked), Edge::Close, index));
            }
        }
        edges.sort_unstable();
        Plan { steps, edges, readers, unseen, has_differs }
    }
}

fn effect_of(operation: &Operation) -> Result<Option<Effect>, SelfContradiction> {
    Ok(match (operation.call, operation.reply) {
        (_, Reply::Failed) | (Call::Get, Reply::Unknown | Reply::Done | Reply::Refused(_)) => None,
        (Call::Get, Reply::Got(state)) => Some(Effect::Read(state)),
        (Call::Put(_) | Call::PutIf { .. }, Reply::Got(_)) | (Call::Put(_), Reply::Refused(_)) => {
            None
        }
        (Call::Put(new), Reply::Done | Reply::Unknown) => Some(Effect::Write(new)),
        (Call::PutIf { expected, new }, Reply::Done | Reply::Unknown) => {
            Some(Effect::Swap(expected, new))
        }
        (Call::PutIf { expected, .. }, Reply::Refused(Some(actual))) if actual == expected => {
            return Err(SelfContradiction);
        }
        (Call::PutIf { .. }, Reply::Refused(Some(actual))) => Some(Effect::Read(actual)),
        (Call::PutIf { expected, .. }, Reply::Refused(None)) => Some(Effect::Differs(expected)),
    })
}

/// Contents that come into being exactly once, the initial one included.
fn states_written_once(initial: State, steps: &[Step]) -> BTreeSet<State> {
    let mut births: BTreeMap<State, u32> = BTreeMap::from([(initial, 1)]);
    for state in steps.iter().filter_map(|step| step.effect.new_state()) {
        *births.entry(state).or_insert(0) += 1;
    }
    births.into_iter().filter(|(_, count)| *count == 1).map(|(state, _)| state).collect()
}

/// Moves each deadline to the first return of a step that needs the effect, along chains of swaps.
fn tighten(steps: &mut [Step], once: &BTreeSet<State>) {
    let writer_of: BTreeMap<State, usize> = steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| step.effect.new_state().map(|state| (state, index)))
        .filter(|(state, _)| once.contains(state))
        .collect();
    let mut work: Vec<usize> = (0..steps.len()).collect();
    while let Some(index) = work.pop() {
        let deadline = steps[index].deadline;
        let Some(&writer) = steps[index].effect.needs().and_then(|state| writer_of.get(&state))
        else {
            continue;
        };
        if writer != index && deadline < steps[writer].deadline {
            steps[writer].deadline = deadline;
            work.push(writer);
        }
    }
}

/// Drops unknown writes that no step needs: an explanation with one of them is one without it.
/// A step that only tells what the key did not hold may need any write, so then all are kept.
fn without_invisible(steps: Vec<Step>, once: &BTreeSet<State>, has_differs: bool) -> Vec<Step> {
    if has_differs {
        return steps;
    }
    let needed_states: BTreeSet<State> =
        steps.iter().filter_map(|step| step.effect.needs()).collect();
    steps
        .into_iter()
        .filter(|step| match step.effect.new_state() {
            Some(state) if step.deadline == NEVER => {
                !once.contains(&state) && needed_states.contains(&state)
            }
            Some(_) | None => true,
        })
        .collect()
}
