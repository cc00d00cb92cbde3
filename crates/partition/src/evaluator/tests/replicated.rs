//! Changes of other regions.

use super::*;
use crate::evaluator::replicated::Outcome;
use crate::record::{ConflictRecord, StrandedOutcome, StrandedRecord};
use meridian_base::limits::CLOCK_AHEAD_MS_MAX;
use meridian_base::{Cause, Change, Origin, PartitionId, Received};
use meridian_model::encode_item;
use meridian_storage::Control;
use proptest::prelude::*;

fn version(ms: u64, region: u16) -> Version {
    Version { hlc: Hlc::from_ms(ms), region: RegionId::new(region) }
}

fn change(n: i64, value: Option<&str>, version: Version, base: &[Version]) -> Change {
    let image = value.map(|value| {
        let mut image = Vec::new();
        encode_item(&item(n, value), &mut image);
        image
    });
    Change {
        key: key(n).encode().into_bytes(),
        image,
        version,
        base: base.iter().copied().collect(),
        origin: Origin {
            region: version.region,
            partition: PartitionId(40),
            incarnation: Incarnation(1),
            position: Position(1),
        },
        cause: Cause::Write,
        commit_ms: version.hlc.ms(),
    }
}

fn receive(leader: &mut Leader, change: &Change, late: bool) -> Replicated {
    let evaluated = leader.evaluator.replicated(change.clone(), late, leader.now_ms).unwrap();
    leader.flush();
    match evaluated {
        Evaluated::Write { outcome, .. } | Evaluated::Answer { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

fn logged<R>(leader: &Leader, range: meridian_storage::Range, read: fn(&[u8]) -> R) -> Vec<R> {
    let mut found = Vec::new();
    let mut visit = |_: &[u8], value: &[u8]| {
        found.push(read(value));
        Control::Continue(())
    };
    leader.replica.engine().scan(range, &mut visit).unwrap();
    found
}

fn conflicts(leader: &Leader) -> Vec<ConflictRecord> {
    logged(leader, layout::conflicts(spec_in(1).partition), |v| ConflictRecord::decode(v).unwrap())
}

fn stranded(leader: &Leader) -> Vec<StrandedRecord> {
    logged(leader, layout::stranded(spec_in(1).partition), |v| StrandedRecord::decode(v).unwrap())
}

#[test]
fn the_newer_write_stays_and_local_writes_come_after_it() {
    let mut leader = Leader::new(1);
    let theirs = change(1, Some("theirs"), version(1_400, 2), &[]);
    assert_eq!(receive(&mut leader, &theirs, false).outcome, Outcome::Applied);
    assert_eq!(leader.get(1), Some(item(1, "theirs")));
    // The local clock stands at 1,000; the write wins all the same.
    leader.done(&put(1, "ours"));
    let (state, _) = leader.evaluator.current(&theirs.key).unwrap();
    let state = state.unwrap();
    assert!(state.version > theirs.version && state.base.covers(theirs.version));
    let again = receive(&mut leader, &theirs, false);
    assert_eq!((again.outcome, again.conflict), (Outcome::Stale, false));
    assert_eq!(leader.get(1), Some(item(1, "ours")));
}

#[test]
fn concurrent_writes_are_recorded_once_whoever_wins() {
    for (ms, outcome, value) in [(500, Outcome::Stale, "ours"), (1_300, Outcome::Applied, "theirs")]
    {
        let mut leader = Leader::new(1);
        leader.done(&put(1, "ours"));
        let ours = leader.evaluator.current(&key(1).encode().0).unwrap().0.unwrap().version;
        let theirs = change(1, Some("theirs"), version(ms, 2), &[]);
        let first = receive(&mut leader, &theirs, false);
        assert_eq!((first.outcome, first.conflict), (outcome, true));
        assert!(!receive(&mut leader, &theirs, false).conflict);
        let records = conflicts(&leader);
        assert_eq!(records.len(), 1);
        let expected =
            if value == "ours" { (ours, theirs.version) } else { (theirs.version, ours) };
        assert_eq!((records[0].kept, records[0].lost), expected);
        assert_eq!(records[0].key, theirs.key);
        assert_eq!(leader.get(1), Some(item(1, value)));
    }
}

#[test]
fn a_write_that_saw_ours_is_no_conflict() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "ours"));
    let ours = leader.evaluator.current(&key(1).encode().0).unwrap().0.unwrap().version;
    let theirs = change(1, None, version(1_200, 2), &[ours]);
    let replicated = receive(&mut leader, &theirs, false);
    assert_eq!((replicated.outcome, replicated.conflict), (Outcome::Applied, false));
    assert_eq!(leader.get(1), None);
    // An older write of a third region does not bring the item back.
    let older = change(1, Some("older"), version(900, 3), &[]);
    assert_eq!(receive(&mut leader, &older, false).outcome, Outcome::Stale);
    assert_eq!(leader.get(1), None);
    assert_eq!(leader.replica.header().items, 0);
}

#[test]
fn a_delete_of_what_is_not_here_is_remembered() {
    let mut leader = Leader::new(1);
    receive(&mut leader, &change(1, None, version(900, 2), &[]), false);
    let older = change(1, Some("older"), version(800, 2), &[]);
    assert_eq!(receive(&mut leader, &older, false).outcome, Outcome::Stale);
    assert_eq!(leader.get(1), None);
}

#[test]
fn equal_versions_with_different_bytes_are_an_alarm_and_settle_alike() {
    let (a, b) =
        (change(1, Some("a"), version(900, 2), &[]), change(1, Some("b"), version(900, 2), &[]));
    let mut ends = Vec::new();
    for order in [[&a, &b], [&b, &a]] {
        let mut leader = Leader::new(1);
        receive(&mut leader, order[0], false);
        assert_eq!(receive(&mut leader, order[1], false).outcome, Outcome::Diverged);
        assert!(conflicts(&leader)[0].diverged);
        ends.push(leader.get(1));
    }
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_change_from_the_future_is_parked_and_applied_when_due() {
    let mut leader = Leader::new(1);
    let ahead = leader.now_ms + CLOCK_AHEAD_MS_MAX + 10;
    let future = change(1, Some("future"), version(ahead, 2), &[]);
    for _ in 0..2 {
        assert_eq!(receive(&mut leader, &future, false).outcome, Outcome::Parked);
    }
    assert_eq!((leader.get(1), leader.evaluator.parked_len()), (None, 1));
    assert_eq!(leader.evaluator.unpark(leader.now_ms).unwrap(), None);
    // It does not move the clock meanwhile, and the next leader knows of it.
    leader.done(&put(2, "now"));
    assert!(leader.replica.header().last < future.version.hlc);
    leader.begin();
    assert_eq!(leader.evaluator.parked_len(), 1);
    leader.now_ms += 10;
    leader.evaluator.unpark(leader.now_ms).unwrap().unwrap();
    leader.flush();
    assert_eq!((leader.get(1), leader.evaluator.parked_len()), (Some(item(1, "future")), 0));
    leader.begin();
    assert_eq!(leader.evaluator.parked_len(), 0);
}

#[test]
fn a_parked_change_in_flight_waits_for_its_engine_record() {
    let mut leader = Leader::new(1);
    let ahead = leader.now_ms + CLOCK_AHEAD_MS_MAX + 10;
    let future = change(1, Some("future"), version(ahead, 2), &[]);
    leader.evaluator.replicated(future, false, leader.now_ms).unwrap();
    leader.now_ms += 10;
    assert_eq!(leader.evaluator.unpark(leader.now_ms).unwrap(), None);
    leader.flush();
    leader.evaluator.unpark(leader.now_ms).unwrap().unwrap();
    leader.flush();
    assert_eq!(leader.get(1), Some(item(1, "future")));
}

#[test]
fn what_became_of_late_changes_is_recorded() {
    let mut leader = Leader::new(1);
    leader.done(&put(2, "ours"));
    let merged = change(1, Some("m"), version(900, 2), &[]);
    let overwritten = change(2, Some("o"), version(901, 2), &[]);
    let outcome = |leader: &mut Leader, change| receive(leader, change, true).stranded.unwrap();
    assert_eq!(outcome(&mut leader, &merged), StrandedOutcome::Merged);
    assert_eq!(outcome(&mut leader, &overwritten), StrandedOutcome::Overwritten);
    for again in [&merged, &overwritten] {
        assert_eq!(outcome(&mut leader, again), StrandedOutcome::Present);
    }
    let records = stranded(&leader);
    let short: Vec<_> = records.iter().map(|r| (r.version, r.outcome)).collect();
    assert_eq!(
        short,
        [
            (merged.version, StrandedOutcome::Merged),
            (overwritten.version, StrandedOutcome::Overwritten)
        ]
    );
    // What was overwritten is in the conflict log too.
    assert_eq!(conflicts(&leader)[0].lost, overwritten.version);
}

#[test]
fn a_change_that_is_not_what_it_says_is_refused() {
    let mut leader = Leader::new(1);
    let mut damaged = change(1, Some("x"), version(900, 2), &[]);
    damaged.image.as_mut().unwrap().pop();
    let error = leader.evaluator.replicated(damaged, false, 1_000).unwrap_err();
    assert!(!error.needs_rebuild());
    let mut moved = change(1, Some("x"), version(900, 2), &[]);
    moved.key = key(2).encode().into_bytes();
    assert!(leader.evaluator.replicated(moved, false, 1_000).is_err());
    assert_eq!(leader.seal(), None);
}

#[test]
fn announcements_move_forward_only() {
    let mut leader = Leader::new(1);
    let heard = |closed: u64| Received {
        region: RegionId::new(2),
        partition: PartitionId(40),
        start: Vec::new(),
        end: None,
        closed: Hlc(closed),
        stable: Hlc(0),
    };
    leader.evaluator.received(heard(5)).unwrap();
    assert_eq!(leader.evaluator.received(heard(5)), None);
    assert_eq!(leader.evaluator.received(heard(4)), None);
    leader.evaluator.received(heard(6)).unwrap();
    leader.flush();
    let held = &leader.replica.marks().received;
    assert_eq!(held[&(RegionId::new(2), PartitionId(40))].closed, Hlc(6));
    leader.evaluator.forget_region(2).unwrap();
    leader.flush();
    assert!(leader.replica.marks().received.is_empty());
    assert_eq!(leader.evaluator.forget_region(2), None);
}

/// The stored state of every item, tombstones included.
fn states(leader: &Leader) -> Vec<Option<ItemState>> {
    (0..2).map(|n| leader.evaluator.current_or_grave(&key(n).encode().0).unwrap().0).collect()
}

proptest! {
    /// Two regions that write and exchange changes, in any order and twice, end with the same
    /// items, bases included.
    #[test]
    fn regions_agree(
        writes in prop::collection::vec((0u8..2, 0i64..2, 0u8..4, 0u64..50), 1..20),
        order in Just((0..20usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut regions = [Leader::new(1), Leader::new(2)];
        for leader in &mut regions {
            leader.evaluator.start_reader(Reader::Region(9)).unwrap();
            leader.flush();
        }
        let changes = |leader: &Leader| {
            let limits = crate::ReadLimits { records: 100, bytes: 1 << 20 };
            let spec = leader.replica.spec();
            let engine = leader.replica.engine();
            let page = crate::read_changes(engine.as_ref(), spec.partition, Position(0), limits);
            crate::outgoing(page.unwrap().records, false)
        };
        for (at, (region, n, what, jitter)) in writes.into_iter().enumerate() {
            let (mine, other) = (usize::from(region), usize::from(1 - region));
            regions[mine].now_ms = 1_000 + jitter;
            match what {
                0 => { regions[mine].done(&delete(n)); }
                1 => for change in changes(&regions[other]) {
                    receive(&mut regions[mine], &change, false);
                },
                _ => { regions[mine].done(&put(n, &format!("{region} {at}"))); }
            }
        }
        let all = [changes(&regions[0]), changes(&regions[1])];
        for at in order.iter().chain(order.iter().rev()) {
            for mine in 0..2 {
                if let Some(change) = all[1 - mine].get(*at) {
                    receive(&mut regions[mine], change, false);
                }
            }
        }
        prop_assert_eq!(states(&regions[0]), states(&regions[1]));
    }
}
