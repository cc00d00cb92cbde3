//! The evaluator and its replica against a naive model, while decisions are dropped.

use super::*;
use meridian_base::Sequence;
use meridian_model::Item;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

type Items = BTreeMap<i64, Item>;

#[derive(Debug, Clone)]
enum Step {
    Put(i64, u8),
    PutNew(i64, u8),
    Add(i64, i64),
    Delete(i64),
    DeleteIf(i64, u8),
    Seal,
    Apply,
    /// The pipeline ends: what is in flight is dropped, except the first ones, which commit though
    /// their pipeline is gone.
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (n, v) = (0i64..4, 0u8..3);
    prop_oneof![
        4 => (n.clone(), v.clone()).prop_map(|(n, v)| Step::Put(n, v)),
        3 => (n.clone(), v.clone()).prop_map(|(n, v)| Step::PutNew(n, v)),
        3 => (n.clone(), -2i64..3).prop_map(|(n, by)| Step::Add(n, by)),
        2 => n.clone().prop_map(Step::Delete),
        2 => (n, v).prop_map(|(n, v)| Step::DeleteIf(n, v)),
        4 => Just(Step::Seal),
        4 => Just(Step::Apply),
        1 => (0usize..3).prop_map(Step::Restart),
    ]
}

/// The write of a step, and what a naive database does with it: the new item, or nothing when the
/// condition fails.
fn naive(step: &Step, items: &Items) -> Option<(i64, Write, Option<Option<Item>>)> {
    let value = |v: u8| "v".repeat(usize::from(v));
    Some(match *step {
        Step::Put(n, v) => (n, put(n, &value(v)), Some(Some(item(n, &value(v))))),
        Step::PutNew(n, v) => {
            let new = (!items.contains_key(&n)).then(|| Some(item(n, &value(v))));
            (n, when(put(n, &value(v)), absent()), new)
        }
        Step::Add(n, by) => {
            let mut new = items.get(&n).cloned().unwrap_or(key(n).to_item(&spec_in(1).schema));
            let count = match new.get("n") {
                Some(meridian_model::AttributeValue::N(count)) => count.to_i64().unwrap(),
                _ => 0,
            };
            new.insert("n".to_owned(), number(count + by));
            (n, update(n, "ADD n :by", &[(":by", number(by))]), Some(Some(new)))
        }
        Step::Delete(n) => (n, delete(n), Some(None)),
        Step::DeleteIf(n, v) => {
            let meets = items.get(&n).and_then(|item| item.get("v")) == Some(&text(&value(v)));
            let condition = condition("v = :v", &[(":v", text(&value(v)))]);
            (n, when(delete(n), condition), meets.then_some(None))
        }
        Step::Seal | Step::Apply | Step::Restart(_) => return None,
    })
}

struct Checked {
    leader: Leader,
    /// What is applied, what is decided, and what is decided up to each sequence in flight.
    applied: Items,
    decided: Items,
    in_flight: VecDeque<(Sealed, Items)>,
}

impl Checked {
    fn request(&mut self, n: i64, write: &Write, expected: Option<Option<Item>>) {
        let old = self.decided.get(&n).cloned();
        let (outcome, after) = match self.leader.write(write) {
            Evaluated::Write { outcome, sequence } => (outcome, Some(sequence)),
            Evaluated::Answer { outcome, after } => (outcome, after),
            other => panic!("{other:?}"),
        };
        match (outcome, expected) {
            (WriteOutcome::Done(done), Some(new)) => {
                assert_eq!((&done.old, &done.new), (&old, &new));
                match new {
                    Some(new) => self.decided.insert(n, new),
                    None => self.decided.remove(&n),
                };
            }
            (WriteOutcome::ConditionFailed { old: told, .. }, None) => assert_eq!(told, old),
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
        self.check_dependency(n, after);
    }

    /// What the answer says must be so once the named sequence is applied.
    fn check_dependency(&self, n: i64, after: Option<Sequence>) {
        let open = self.leader.evaluator.open_sequence();
        let at = match after {
            None => &self.applied,
            Some(sequence) if sequence == open => &self.decided,
            Some(sequence) => {
                let found = self.in_flight.iter().find(|(s, _)| s.sequence == sequence);
                &found.expect("the sequence is in flight").1
            }
        };
        assert_eq!(at.get(&n), self.decided.get(&n));
    }

    fn seal(&mut self) {
        if let Some(sealed) = self.leader.seal() {
            self.in_flight.push_back((sealed, self.decided.clone()));
        }
    }

    fn apply(&mut self) {
        if let Some((sealed, items)) = self.in_flight.pop_front() {
            self.leader.commit(&sealed);
            self.applied = items;
            self.check_engine();
        }
    }

    fn restart(&mut self, commit: usize) {
        let dropped = std::mem::take(&mut self.in_flight);
        let (kept, lost): (Vec<_>, Vec<_>) =
            dropped.into_iter().enumerate().partition(|(at, _)| *at < commit);
        for (_, (sealed, items)) in kept {
            self.leader.apply(&sealed.command);
            self.applied = items;
        }
        self.leader.begin();
        self.decided = self.applied.clone();
        // Those that come after the new Begin are fenced.
        for (_, (sealed, _)) in lost {
            assert_eq!(self.leader.apply(&sealed.command), crate::ApplyOutcome::Fenced);
        }
        self.check_engine();
    }

    fn check_engine(&self) {
        for n in 0..4 {
            assert_eq!(self.leader.get(n).as_ref(), self.applied.get(&n));
        }
        let header = self.leader.replica.header();
        assert_eq!(header.items, self.applied.len() as u64);
        let bytes: usize = self.applied.values().map(item_bytes).sum();
        assert_eq!(header.item_bytes, bytes as u64);
    }
}

proptest! {
    #[test]
    fn evaluating_and_applying_equals_a_naive_database(
        steps in prop::collection::vec(step(), 1..80),
        global: bool,
    ) {
        let mut leader = Leader::new(1);
        if global {
            leader.evaluator.start_reader(Reader::Region(2)).unwrap();
            leader.flush();
        }
        let (applied, decided) = (Items::new(), Items::new());
        let mut checked = Checked { leader, applied, decided, in_flight: VecDeque::new() };
        for step in steps {
            match naive(&step, &checked.decided) {
                Some((n, write, expected)) => checked.request(n, &write, expected),
                None => match step {
                    Step::Seal => checked.seal(),
                    Step::Apply => checked.apply(),
                    Step::Restart(commit) => checked.restart(commit),
                    _ => unreachable!("naive answers requests"),
                },
            }
        }
    }

    /// Whatever is dropped, no write comes at or below a closed version once that was announced,
    /// as long as each new pipeline's floor is above the clock of the last announcement.
    #[test]
    fn nothing_follows_at_or_below_a_closed_version(
        steps in prop::collection::vec((0u8..5, 0u64..100), 1..60),
    ) {
        let mut leader = Leader::new(1);
        leader.evaluator.start_reader(Reader::Region(2)).unwrap();
        leader.flush();
        let mut in_flight = VecDeque::new();
        let (mut closed, mut highest) = (Vec::new(), 0);
        for (at, (step, jitter)) in steps.into_iter().enumerate() {
            leader.now_ms = 1_000 + jitter;
            match step {
                0 | 1 => { sequence(&leader.write(&put(1, &at.to_string()))); }
                2 => in_flight.extend(leader.seal()),
                3 => if let Some(sealed) = in_flight.pop_front() { leader.commit(&sealed); },
                _ => {
                    highest = highest.max(leader.now_ms);
                    closed.push(leader.evaluator.close(leader.now_ms));
                    if jitter % 3 == 0 {
                        in_flight.clear();
                        leader.now_ms = highest;
                        leader.begin();
                    }
                }
            }
        }
        in_flight.extend(leader.seal());
        in_flight.iter().for_each(|sealed| leader.commit(sealed));
        let limits = crate::ReadLimits { records: 1000, bytes: 1 << 20 };
        let engine = leader.replica.engine();
        let log = crate::read_changes(engine.as_ref(), spec_in(1).partition, Position(0), limits);
        for record in log.unwrap().records {
            for promise in &closed {
                let kept = record.version.hlc > promise.version
                    || record.position <= promise.position;
                prop_assert!(kept, "{:?} breaks {promise:?}", record.version);
            }
        }
    }
}
