//! Time to live: what is kept, and what is taken away.

use crate::evaluator::{Due, due_items, unscheduled};
use crate::header::Reader;
use crate::testing::{Leader, delete, number, put, update};
use crate::{Evaluated, WriteOutcome, read_changes};
use meridian_base::{Cause, Position, Sequence};

const NOW_S: u64 = 1_800_000_000;

fn leader() -> Leader {
    let mut leader = Leader::new(1);
    leader.now_ms = NOW_S * 1000;
    leader.begin();
    leader.evaluator.set_ttl(Some("dies".to_owned()));
    leader
}

fn at(n: i64, due: u64) -> crate::Write {
    update(n, "SET dies = :d", &[(":d", number(i64::try_from(due).unwrap()))])
}

fn kept(leader: &Leader) -> Vec<Due> {
    let view = leader.replica.engine().view().unwrap();
    due_items(view.as_ref(), leader.replica.spec().partition, u64::MAX, usize::MAX).unwrap()
}

fn expire(leader: &mut Leader, due: Vec<Due>) -> Option<Sequence> {
    let sequence = leader.evaluator.expire(due, leader.now_ms).unwrap();
    leader.flush();
    sequence
}

#[test]
fn what_is_kept_follows_the_attribute() {
    let mut leader = leader();
    leader.done(&at(1, NOW_S + 10));
    leader.done(&at(2, NOW_S - 10));
    assert_eq!(kept(&leader).iter().map(|one| one.0).collect::<Vec<_>>(), [NOW_S - 10, NOW_S + 10]);
    leader.done(&at(1, NOW_S + 20));
    leader.done(&delete(2));
    assert_eq!(kept(&leader).iter().map(|one| one.0).collect::<Vec<_>>(), [NOW_S + 20]);
    leader.done(&put(1, "without"));
    assert_eq!(kept(&leader), []);
}

#[test]
fn only_what_says_so_then_is_taken_away() {
    let mut leader = leader();
    leader.evaluator.start_reader(Reader::Stream);
    leader.flush();
    let five_years = 5 * 365 * 24 * 3600;
    for (n, due) in [(1, NOW_S), (2, NOW_S + 1), (3, NOW_S - five_years - 1)] {
        leader.done(&at(n, due));
    }
    let mut due = kept(&leader);
    assert_eq!(due.len(), 3);
    // A hint that an item does not confirm, and one of no item.
    due.push((NOW_S - 5, due[1].1.clone()));
    due.push((NOW_S - 5, crate::testing::key(9).encode().into_bytes()));
    assert!(expire(&mut leader, due).is_some());
    assert!(leader.get(1).is_none());
    assert!(leader.get(2).is_some() && leader.get(3).is_some());
    let engine = leader.replica.engine();
    let limits = crate::ReadLimits { records: 100, bytes: 100_000 };
    let page = read_changes(engine.as_ref(), leader.replica.spec().partition, Position(0), limits);
    let causes: Vec<Cause> = page.unwrap().records.iter().map(|record| record.cause).collect();
    assert_eq!(causes, [Cause::Write, Cause::Write, Cause::Write, Cause::Ttl]);
    assert_eq!(leader.replica.header().items, 2);
    assert_eq!(expire(&mut leader, Vec::new()), None);
}

#[test]
fn a_write_between_the_look_and_the_decision_keeps_the_item() {
    let mut leader = leader();
    leader.done(&at(1, NOW_S - 1));
    let due = kept(&leader);
    let write = leader.write(&at(1, NOW_S + 100));
    assert!(matches!(write, Evaluated::Write { outcome: WriteOutcome::Done(_), .. }));
    expire(&mut leader, due);
    assert!(leader.get(1).is_some());
    assert_eq!(kept(&leader).iter().map(|one| one.0).collect::<Vec<_>>(), [NOW_S + 100]);
}

#[test]
fn items_of_before_are_found_and_kept() {
    let mut leader = leader();
    leader.evaluator.set_ttl(None);
    for n in 0..5 {
        leader.done(&at(n, NOW_S + 1));
    }
    assert_eq!(kept(&leader), []);
    leader.evaluator.set_ttl(Some("dies".to_owned()));
    let (mut after, mut looks) = (None, 0);
    loop {
        let view = leader.replica.engine().view().unwrap();
        let spec = leader.replica.spec().clone();
        let (found, next) = unscheduled(view.as_ref(), &spec, "dies", after.as_deref(), 2).unwrap();
        leader.evaluator.schedule(found).unwrap();
        leader.flush();
        looks += 1;
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!((kept(&leader).len(), looks), (5, 3));
}
