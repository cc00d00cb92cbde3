//! Tests of `evaluator`.

use super::*;
use crate::header::Reader;
use crate::request::{Done, Refusal, Write, WriteOutcome};
use crate::testing::{
    Leader, condition, delete, existing, item, key, number, put, sequence, spec_in, text, update,
    when,
};
use meridian_base::RegionId;
use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_model::item_bytes;

mod commits;
mod expiry;
mod model;
mod replicated;

fn absent() -> meridian_expression::Condition {
    condition("attribute_not_exists(p)", &[])
}

fn refused(outcome: &WriteOutcome) -> bool {
    matches!(outcome, WriteOutcome::ConditionFailed { .. })
}

#[test]
fn requests_see_decisions_in_flight_and_depend_on_them() {
    let mut leader = Leader::new(1);
    let first = sequence(&leader.write(&put(1, "a")));
    // In the same drain, then in a later one, then applied.
    let answer = |e: Evaluated<WriteOutcome>| match e {
        Evaluated::Answer { outcome, after } => (refused(&outcome), after),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer(leader.write(&when(put(1, "b"), absent()))), (true, Some(first)));
    let sealed = leader.seal().unwrap();
    assert_eq!(sealed.sequence, first);
    assert_eq!(answer(leader.write(&when(put(1, "b"), absent()))), (true, Some(first)));
    assert_eq!(leader.seal(), None);
    assert_eq!(leader.evaluator.pending(), Some(first));
    leader.commit(&sealed);
    assert_eq!(leader.evaluator.pending(), None);
    assert_eq!(answer(leader.write(&when(put(1, "b"), absent()))), (true, None));
    assert_eq!(leader.get(1), Some(item(1, "a")));
}

#[test]
fn an_older_decision_applied_does_not_hide_a_newer_one() {
    let mut leader = Leader::new(1);
    leader.write(&put(1, "a"));
    let first = leader.seal().unwrap();
    leader.write(&put(1, "b"));
    let second = leader.seal().unwrap();
    leader.commit(&first);
    let old = match leader.write(&put(1, "c")) {
        Evaluated::Write { outcome: WriteOutcome::Done(done), .. } => done.old,
        other => panic!("{other:?}"),
    };
    assert_eq!(old, Some(item(1, "b")));
    leader.commit(&second);
}

#[test]
fn writes_answer_with_the_items_asked_for() {
    let mut leader = Leader::new(1);
    let bytes = item_bytes(&item(1, "a"));
    let done = |outcome| match outcome {
        WriteOutcome::Done(done) => done,
        other => panic!("{other:?}"),
    };
    let first = done(leader.done(&put(1, "a")));
    assert_eq!(first, Done { new: Some(item(1, "a")), new_bytes: bytes, ..Done::default() });
    let add = update(1, "ADD n :n", &[(":n", number(2))]);
    let updated = done(leader.done(&add));
    assert_eq!(updated.old, Some(item(1, "a")));
    assert_eq!(updated.new.unwrap()["n"], number(2));
    assert_eq!(updated.old_bytes, bytes);
    let quiet = Write { returns: Default::default(), ..put(1, "zz") };
    let plain = done(leader.done(&quiet));
    assert_eq!((plain.old, plain.new, plain.old_bytes), (None, None, updated.new_bytes));
    let gone = done(leader.done(&delete(1)));
    assert_eq!((gone.old, gone.new, gone.new_bytes), (Some(item(1, "zz")), None, 0));
    let failed = leader.done(&when(put(2, "x"), condition("attribute_exists(p)", &[])));
    assert_eq!(failed, WriteOutcome::ConditionFailed { old: None, old_bytes: 0 });
}

#[test]
fn an_update_makes_a_missing_item_from_its_key() {
    let mut leader = Leader::new(1);
    leader.done(&update(5, "SET a = :a", &[(":a", text("x"))]));
    let mut expected = key(5).to_item(&spec_in(1).schema);
    expected.insert("a".to_owned(), text("x"));
    assert_eq!(leader.get(5), Some(expected));
    assert_eq!((leader.replica.header().items, leader.replica.header().position.0), (1, 1));
}

#[test]
fn what_changes_nothing_is_a_read() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "a"));
    for write in [put(1, "a"), delete(2), update(1, "SET v = :v", &[(":v", text("a"))])] {
        match leader.write(&write) {
            Evaluated::Answer { outcome: WriteOutcome::Done(_), after: None } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(leader.seal(), None);
    assert_eq!(leader.replica.header().position, Position(1));
}

#[test]
fn in_a_global_table_an_unchanged_item_gets_a_newer_version() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    leader.done(&put(1, "a"));
    sequence(&leader.write(&put(1, "a")));
    assert!(matches!(leader.write(&delete(2)), Evaluated::Answer { .. }));
}

#[test]
fn items_over_the_limit_are_refused() {
    let mut leader = Leader::new(1);
    let overhead = item_bytes(&item(1, ""));
    let fits = "x".repeat(ITEM_BYTES_MAX - overhead);
    let over = format!("{fits}x");
    assert!(matches!(leader.done(&put(1, &fits)), WriteOutcome::Done(_)));
    assert_eq!(leader.done(&put(2, &over)), WriteOutcome::Refused(Refusal::ItemTooLarge));
    let grow = update(1, "SET w = :w", &[(":w", text("y"))]);
    assert_eq!(leader.done(&grow), WriteOutcome::Refused(Refusal::UpdatedItemTooLarge));
    assert_eq!(leader.get(1), Some(item(1, &fits)));
    assert_eq!(leader.replica.header().items, 1);
}

#[test]
fn an_update_cannot_move_an_item() {
    let mut leader = Leader::new(1);
    let rename = update(1, "SET p = :p", &[(":p", text("other"))]);
    let refusal = WriteOutcome::Refused(Refusal::KeyUpdated("p".to_owned()));
    assert_eq!(leader.done(&rename), refusal);
}

#[test]
fn an_update_that_does_not_fit_the_item_is_refused() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "a"));
    let wrong = update(1, "SET v = v + :n", &[(":n", number(1))]);
    match leader.done(&wrong) {
        WriteOutcome::Refused(Refusal::Expression(message)) => assert!(!message.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn versions_grow_whatever_the_clock_does() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Stream).unwrap();
    for (at, now) in [5_000u64, 4_000, 9_000, 10].into_iter().enumerate() {
        leader.now_ms = now;
        leader.done(&put(1, &at.to_string()));
        leader.done(&put(2, &at.to_string()));
        leader.begin();
    }
    let limits = crate::ReadLimits { records: 100, bytes: 1 << 20 };
    let engine = leader.replica.engine();
    let page =
        crate::read_changes(engine.as_ref(), spec_in(1).partition, Position(0), limits).unwrap();
    let versions: Vec<_> = page.records.iter().map(|r| r.version).collect();
    assert_eq!(versions.len(), 8);
    assert!(versions.windows(2).all(|pair| pair[0].hlc < pair[1].hlc));
    assert!(versions[4].hlc.ms() >= 9_000);
    let origin = page.records[3].origin;
    assert_eq!(origin.region, RegionId::new(1));
    assert_eq!((origin.incarnation.0, origin.position), (2, Position(4)));
}

#[test]
fn the_base_of_a_write_is_what_it_overwrote() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    leader.done(&put(1, "a"));
    let (first, _) = leader.evaluator.current(&key(1).encode().0).unwrap();
    leader.done(&delete(1));
    let (grave, _) = leader.evaluator.current(&key(1).encode().0).unwrap();
    leader.done(&put(1, "b"));
    let (second, _) = leader.evaluator.current(&key(1).encode().0).unwrap();
    let (first, grave, second) = (first.unwrap(), grave.unwrap(), second.unwrap());
    assert!(first.base.is_empty());
    assert!(grave.image.is_none() && grave.base.covers(first.version));
    assert!(second.base.covers(grave.version));
}

#[test]
fn tombstones_are_kept_in_global_tables_only() {
    let grave = |leader: &Leader| {
        let at = layout::tombstone_key(spec_in(1).table, &key(1).encode().0);
        leader.replica.engine().get(&at).unwrap().is_some()
    };
    let mut alone = Leader::new(1);
    alone.done(&put(1, "a"));
    alone.done(&delete(1));
    assert!(!grave(&alone));
    let mut global = Leader::new(1);
    global.evaluator.start_reader(Reader::Region(2)).unwrap();
    global.done(&put(1, "a"));
    global.done(&delete(1));
    assert!(grave(&global));
    global.done(&put(1, "b"));
    assert!(!grave(&global));
}

#[test]
fn tombstones_are_dropped_only_while_they_are_the_ones_meant() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    for n in 1..5 {
        leader.done(&put(n, "a"));
        leader.done(&delete(n));
    }
    let version = |leader: &Leader, n: i64| {
        leader.evaluator.current(&key(n).encode().0).unwrap().0.unwrap().version
    };
    let stones: Vec<_> =
        (1..5).map(|n| (key(n).encode().into_bytes(), version(&leader, n))).collect();
    leader.done(&put(1, "again"));
    leader.done(&delete(1));
    // In flight when the tombstones are to go.
    leader.write(&put(2, "again"));
    leader.write(&put(3, "again"));
    leader.write(&delete(3));
    leader.evaluator.drop_tombstones(&stones).unwrap().unwrap();
    leader.flush();
    assert_eq!(leader.get(2), Some(item(2, "again")));
    let view = leader.replica.engine().view().unwrap();
    let left = crate::read::digests(view.as_ref(), &spec_in(1), true, None, 10).unwrap();
    let left: Vec<_> = left.into_iter().map(|digest| digest.key).collect();
    assert_eq!(left, [1, 3].map(|n| key(n).encode().into_bytes()));
    assert_eq!(leader.evaluator.drop_tombstones(&stones[3..]).unwrap(), None);
}

#[test]
fn a_freeze_holds_every_later_write() {
    let mut leader = Leader::new(1);
    leader.write(&put(1, "before"));
    let frozen = leader.evaluator.freeze_for(5, RegionId::new(2)).unwrap();
    let held = |leader: &mut Leader| match leader.write(&put(1, "after")) {
        Evaluated::Held(freeze) => freeze,
        other => panic!("{other:?}"),
    };
    assert_eq!(held(&mut leader).target, RegionId::new(2));
    assert_eq!(leader.seal().map(|s| (s.sequence, leader.commit(&s)).0), Some(frozen));
    let applied = leader.replica.marks().freeze.unwrap();
    assert_eq!((applied.epoch, applied.position), (5, Position(1)));
    assert_eq!(leader.evaluator.freeze_for(5, RegionId::new(3)), None);
    // A new leader knows of it, and an older epoch does not undo it.
    leader.begin();
    assert_eq!(held(&mut leader).position, Position(1));
    assert_eq!(leader.evaluator.thaw(4), None);
    leader.evaluator.thaw(5).unwrap();
    assert!(matches!(leader.done(&put(1, "after")), WriteOutcome::Done(_)));
    assert_eq!(leader.replica.marks().freeze, None);
}

#[test]
fn keys_of_other_partitions_are_not_evaluated() {
    let mut spec = spec_in(1);
    spec.range.start = key(5).encode().into_bytes();
    let engine = std::sync::Arc::new(meridian_storage::MemoryEngine::new());
    let mut leader = Leader::on(engine, spec);
    assert_eq!(leader.write(&put(4, "x")), Evaluated::Elsewhere);
    sequence(&leader.write(&put(5, "x")));
}

#[test]
fn a_pipeline_that_lost_cannot_start() {
    let mut leader = Leader::new(1);
    leader.begin();
    let error = leader.evaluator.reset(Incarnation(1), Hlc(0)).unwrap_err();
    assert!(matches!(error, PartitionError::Incarnation { asked: 1, stored: 2 }));
}

#[test]
fn closed_versions_wait_for_what_is_in_flight() {
    let mut leader = Leader::new(1);
    leader.now_ms = 2_000;
    leader.done(&put(1, "a"));
    let idle = leader.evaluator.close(3_000);
    assert_eq!((idle.version, idle.position), (Hlc::from_ms(3_000), Position(1)));
    // What is stamped later is later, though the clock went back.
    leader.write(&put(1, "b"));
    let sealed = leader.seal().unwrap();
    let busy = leader.evaluator.close(9_000);
    assert_eq!((busy.version, busy.position), (idle.version, Position(1)));
    leader.write(&put(1, "c"));
    assert_eq!(leader.evaluator.close(9_000), busy);
    leader.commit(&sealed);
    let (second, _) = leader.evaluator.current(&key(1).encode().0).unwrap();
    let now = leader.evaluator.close(9_000);
    assert_eq!(now.version, Hlc(second.unwrap().version.hlc.0 - 1));
    assert_eq!(now.position, Position(2));
    leader.flush();
    let last = leader.evaluator.close(9_000);
    assert_eq!((last.version, last.position), (Hlc::from_ms(9_000), Position(3)));
}

#[test]
fn an_update_of_what_exists_makes_no_item() {
    let mut leader = Leader::new(1);
    let remove = existing(update(1, "REMOVE v", &[]));
    assert_eq!(leader.done(&remove), WriteOutcome::Done(Done::default()));
    assert_eq!((leader.get(1), leader.replica.header().items), (None, 0));
    leader.done(&put(1, "a"));
    leader.done(&remove);
    assert_eq!(leader.get(1), Some(key(1).to_item(&crate::testing::spec_in(1).schema)));
    leader.done(&delete(1));
    leader.done(&remove);
    assert_eq!(leader.get(1), None);
}
