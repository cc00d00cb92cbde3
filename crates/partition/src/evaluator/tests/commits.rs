//! Commit times, over leaders whose clocks differ.

use crate::evaluator::{ClosedCommits, Evaluated};
use crate::header::Reader;
use crate::record::ChangeRecord;
use crate::testing::{Leader, put};
use crate::transact::{Head, Place, Transact, TransactAnswer, TransactId};
use crate::{Command, ReadLimits, Sealed, read_changes};
use meridian_base::{Hlc, Incarnation, PartitionId, Position, TableId};
use proptest::prelude::*;
use std::collections::VecDeque;

const ALL: ReadLimits = ReadLimits { records: 10_000, bytes: 1 << 24 };
/// How far the clocks of two leaders are apart.
const APART_MS: u64 = 250;

#[derive(Debug, Clone)]
enum Step {
    Write,
    Seal,
    /// Applies the oldest sealed drain.
    Apply,
    Close,
    /// Holds an item for a transaction.
    Hold(i64),
    /// Commits the oldest transaction, so much later than its item was held; or lets it go.
    Resolve(Option<u64>),
    /// Another leader, whose clock is behind or ahead by this much; what is not applied is dropped.
    Lead(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Write),
        3 => Just(Step::Seal),
        3 => Just(Step::Apply),
        2 => Just(Step::Close),
        1 => (3i64..8).prop_map(Step::Hold),
        1 => prop::option::of(0..100u64).prop_map(Step::Resolve),
        1 => (0..=APART_MS).prop_map(Step::Lead),
        2 => (0u64..300).prop_map(Step::Wait),
    ]
}

/// What the change log holds: position, time of writing, and the time that counts.
fn commits(leader: &Leader) -> Vec<(Position, u64, u64)> {
    let spec = leader.replica.spec();
    let page = read_changes(leader.replica.engine().as_ref(), spec.partition, Position(0), ALL);
    let times = |one: &ChangeRecord| (one.position, one.commit_ms, one.counts_from_ms());
    page.unwrap().records.iter().map(times).collect()
}

fn lead(leader: &mut Leader, now_ms: u64) {
    let header = *leader.replica.header();
    let incarnation = Incarnation(header.incarnation.0 + 1);
    let floor = header.last.max(Hlc::from_ms(now_ms + APART_MS));
    let region = leader.replica.spec().region;
    leader.apply(&Command::Begin { incarnation, floor, region }.encode());
    leader.evaluator.reset(incarnation, floor).unwrap();
    leader.now_ms = now_ms;
}

proptest! {
    #[test]
    fn no_commit_comes_after_its_time_was_closed(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut leader = Leader::new(1);
        leader.evaluator.start_reader(Reader::Archive).unwrap();
        leader.flush();
        let (mut true_ms, mut behind_ms, mut n) = (2_000u64, 0, 0);
        let (mut sealed, mut held) = (Vec::<Sealed>::new(), VecDeque::new());
        let mut closed: Vec<ClosedCommits> = Vec::new();
        for step in steps {
            leader.now_ms = true_ms - behind_ms;
            match step {
                Step::Write => {
                    n += 1;
                    leader.write(&put(n % 5, &n.to_string()));
                }
                Step::Seal => sealed.extend(leader.seal()),
                Step::Apply if sealed.is_empty() => {}
                Step::Apply => {
                    let first = sealed.remove(0);
                    leader.commit(&first);
                }
                Step::Close => {
                    let promise = leader.evaluator.close_commits(leader.now_ms - APART_MS - 1);
                    prop_assert!(promise.commit_ms <= leader.now_ms);
                    prop_assert!(promise.position <= leader.replica.header().position);
                    closed.push(promise);
                }
                Step::Hold(key) => {
                    n += 1;
                    let home = Place { table: TableId(7), partition: PartitionId(16) };
                    let id = TransactId(n as u128);
                    let head = Head { id, home, began_ms: true_ms };
                    let prepare = Transact::Prepare(head, vec![put(key, "held")]);
                    let prepared = leader.evaluator.transact(prepare, leader.now_ms).unwrap();
                    if let Evaluated::Write { outcome: TransactAnswer::Held(_, ms), .. } = prepared {
                        held.push_back((id, ms));
                    }
                }
                Step::Resolve(later_ms) => {
                    if let Some((id, held_ms)) = held.pop_front() {
                        let committed_ms = later_ms.map(|ms| held_ms + ms);
                        let resolve = Transact::Resolve(id, committed_ms);
                        leader.evaluator.transact(resolve, leader.now_ms).unwrap();
                    }
                }
                Step::Lead(other_ms) => {
                    sealed.clear();
                    behind_ms = other_ms;
                    lead(&mut leader, true_ms - behind_ms);
                }
                Step::Wait(ms) => true_ms += ms,
            }
        }
        let commits = commits(&leader);
        prop_assert!(commits.windows(2).all(|two| two[0].1 <= two[1].1), "{commits:?}");
        let last_ms = commits.iter().map(|one| one.2).max().unwrap_or_default();
        prop_assert!(last_ms <= leader.replica.header().committed_ms);
        for promise in closed {
            for (position, _, commit_ms) in &commits {
                let early = *commit_ms <= promise.commit_ms;
                prop_assert!(!early || *position <= promise.position, "{promise:?} {commits:?}");
            }
        }
    }
}
