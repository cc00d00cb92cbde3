//! Tests of `changes`.

use super::*;
use crate::header::Reader;
use crate::testing::{Leader, delete, key, put};
use meridian_base::{Hlc, RegionId, Version, VersionVector};
use proptest::prelude::*;

const ALL: ReadLimits = ReadLimits { records: 1000, bytes: 1 << 20 };

fn read(leader: &Leader, after: u64, limits: ReadLimits) -> ChangesPage {
    let spec = leader.replica.spec();
    read_changes(leader.replica.engine().as_ref(), spec.partition, Position(after), limits).unwrap()
}

fn positions(page: &ChangesPage) -> Vec<u64> {
    page.records.iter().map(|record| record.position.0).collect()
}

#[test]
fn the_log_begins_with_its_first_reader_and_ends_with_its_last() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "before"));
    leader.evaluator.start_reader(Reader::Stream).unwrap();
    leader.done(&put(1, "a"));
    leader.done(&put(2, "b"));
    leader.done(&delete(1));
    let page = read(&leader, 0, ALL);
    assert_eq!(positions(&page), [2, 3, 4]);
    assert_eq!(leader.replica.marks().cursors[&Reader::Stream], Position(1));
    assert_eq!(page.records[2].new, None);
    leader.evaluator.drop_reader(Reader::Stream).unwrap();
    leader.done(&put(3, "after"));
    assert_eq!(read(&leader, 0, ALL).upto, Position(4));
    // What is left over goes, and positions without records need no trimming.
    leader.evaluator.trim(Position(u64::MAX)).unwrap().unwrap();
    leader.flush();
    assert_eq!(positions(&read(&leader, 0, ALL)), []);
    leader.done(&put(4, "more"));
    assert_eq!(leader.replica.header().trimmed, Position(6));
    assert_eq!(leader.evaluator.trim(Position(u64::MAX)).unwrap(), None);
}

#[test]
fn readers_hold_back_the_trim() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Stream).unwrap();
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    for n in 0..5 {
        leader.done(&put(n, "x"));
    }
    leader.evaluator.cursor(Reader::Stream, Position(5)).unwrap();
    leader.evaluator.cursor(Reader::Region(2), Position(2)).unwrap();
    assert_eq!(leader.evaluator.cursor(Reader::Region(2), Position(1)), None);
    assert_eq!(leader.evaluator.cursor(Reader::Archive, Position(1)), None);
    leader.flush();
    leader.evaluator.trim(Position(4)).unwrap().unwrap();
    leader.flush();
    assert_eq!(positions(&read(&leader, 0, ALL)), [3, 4, 5]);
}

#[test]
fn reading_is_bounded_and_goes_on_where_it_stopped() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Stream).unwrap();
    for n in 0..5 {
        leader.done(&put(n, "x"));
    }
    let page = read(&leader, 0, ReadLimits { records: 2, ..ALL });
    assert_eq!((positions(&page), page.upto), (vec![1, 2], Position(2)));
    let page = read(&leader, 2, ReadLimits { bytes: 1, ..ALL });
    assert_eq!(positions(&page), [3]);
    let page = read(&leader, 5, ALL);
    assert_eq!((positions(&page), page.upto), (vec![], Position(5)));
}

fn version(hlc: u64, region: u16) -> Version {
    Version { hlc: Hlc(hlc), region: RegionId::new(region) }
}

fn record(position: u64, item: u8, base: &[Version], cause: Cause) -> ChangeRecord {
    let region = if cause == Cause::Replicated { 2 } else { 1 };
    ChangeRecord {
        position: Position(position),
        key: vec![item],
        old: None,
        new: Some(vec![item]),
        version: version(position * 10, region),
        base: base.iter().copied().collect(),
        origin: Origin::default(),
        cause,
        commit_ms: 0,
        transacted_ms: None,
    }
}

#[test]
fn only_own_changes_go_out() {
    let records = vec![
        record(1, 1, &[], Cause::Write),
        record(2, 2, &[], Cause::Replicated),
        record(3, 3, &[], Cause::Ttl),
    ];
    let keys: Vec<_> = outgoing(records, true).into_iter().map(|change| change.key).collect();
    assert_eq!(keys, [[1], [3]]);
}

#[test]
fn coalescing_keeps_the_newest_image_and_the_oldest_base() {
    let seen = version(1, 2);
    let records = vec![
        record(2, 1, &[seen], Cause::Write),
        record(3, 2, &[], Cause::Write),
        record(4, 1, &[seen, version(20, 1)], Cause::Write),
        record(5, 1, &[seen, version(40, 1)], Cause::Write),
    ];
    let out = outgoing(records.clone(), true);
    let short: Vec<_> = out.iter().map(|c| (c.key[0], c.version.hlc.0)).collect();
    assert_eq!(short, [(2, 30), (1, 50)]);
    assert_eq!(out[1].base, [seen].into_iter().collect::<VersionVector>());
    assert_eq!(outgoing(records, false).len(), 4);
}

#[test]
fn changes_around_a_foreign_write_are_not_joined() {
    let foreign = version(15, 2);
    let records = vec![
        record(1, 1, &[], Cause::Write),
        record(2, 1, &[version(10, 1), foreign], Cause::Write),
        record(3, 1, &[version(20, 1), foreign], Cause::Write),
    ];
    let out = outgoing(records, true);
    let short: Vec<_> = out.iter().map(|c| (c.version.hlc.0, c.base.len())).collect();
    assert_eq!(short, [(10, 0), (30, 2)]);
}

#[test]
fn a_copy_holds_items_and_tombstones() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    for n in 0..7 {
        leader.done(&put(n, "x"));
    }
    leader.done(&delete(3));
    let view = leader.replica.engine().view().unwrap();
    let (mut from, mut all) = (Some(CopyFrom::default()), Vec::new());
    while let Some(at) = from {
        let limits = ReadLimits { records: 2, ..ALL };
        let page = copy_page(view.as_ref(), leader.replica.spec(), &at, limits).unwrap();
        assert!(page.changes.len() <= 2);
        all.extend(page.changes);
        from = page.next;
    }
    assert_eq!(all.len(), 7);
    let deleted: Vec<_> = all.iter().filter(|c| c.image.is_none()).collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0].key, key(3).encode().into_bytes());
}

proptest! {
    /// A third region that gets coalesced changes ends with the same item, and finds a conflict
    /// exactly when it would have found one in the changes one by one.
    #[test]
    fn coalescing_hides_nothing(script in prop::collection::vec(0u8..6, 1..16)) {
        let (mut here, mut there) = (Leader::new(1), Leader::new(2));
        for leader in [&mut here, &mut there] {
            leader.evaluator.start_reader(Reader::Region(9)).unwrap();
            leader.flush();
        }
        let own = |leader: &Leader| outgoing(read(leader, 0, ALL).records, false);
        for (at, step) in script.iter().enumerate() {
            here.now_ms += 1;
            there.now_ms += 1;
            match step {
                0..3 => { here.done(&put(1, &format!("here {at}"))); }
                3 => { there.done(&put(1, &format!("there {at}"))); }
                4 => deliver(&mut here, own(&there)),
                _ => deliver(&mut there, own(&here)),
            }
        }
        let records = read(&here, 0, ALL).records;
        let mut found = Vec::new();
        for coalesce in [false, true] {
            let mut receiver = Leader::new(3);
            receiver.now_ms = 2_000;
            deliver(&mut receiver, own(&there));
            deliver(&mut receiver, outgoing(records.clone(), coalesce));
            found.push((receiver.get(1), receiver.replica.header().conflicts > 0));
        }
        prop_assert_eq!(&found[0], &found[1]);
    }
}

fn deliver(leader: &mut Leader, changes: Vec<Change>) {
    for change in changes {
        leader.evaluator.replicated(change, false, leader.now_ms).unwrap();
        leader.flush();
    }
}
