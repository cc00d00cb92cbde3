//! Tests of `index`.

use super::*;
use crate::layout::{self, PartitionSpec};
use crate::read;
use crate::request::{IndexRead, Page, PageRequest, Write, WriteOutcome};
use crate::testing::{Leader, delete, item, key, number, put, spec_in, text, update};
use meridian_model::{IndexProjection, KeyAttribute, KeyKind};
use meridian_storage::{Control, MemoryEngine};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn by(name: &str, attribute: &str, kind: KeyKind, projection: IndexProjection) -> LocalIndex {
    LocalIndex { name: name.to_owned(), sort: KeyAttribute::new(attribute, kind), projection }
}

fn spec() -> PartitionSpec {
    let local = vec![
        by("by-v", "v", KeyKind::S, IndexProjection::KeysOnly),
        by("by-n", "n", KeyKind::N, IndexProjection::All),
    ];
    PartitionSpec { local, ..spec_in(1) }
}

fn leader() -> Leader {
    Leader::on(Arc::new(MemoryEngine::new()), spec())
}

/// The entries of an index as the engine has them.
fn entries(leader: &Leader, index: u8) -> BTreeSet<Vec<u8>> {
    let (mut found, spec) = (BTreeSet::new(), leader.replica.spec());
    let range = layout::local_entries(spec.table, index, &spec.range);
    let view = leader.replica.engine().view().unwrap();
    view.scan(range, &mut |key, _| {
        found.insert(layout::entry_of(key).to_vec());
        Control::Continue(())
    })
    .unwrap();
    found
}

fn page(leader: &Leader, index: u8, shown: Option<Vec<String>>, whole: bool) -> Page {
    let index = Some(IndexRead { number: index, shown, whole });
    let request = PageRequest { index, ..crate::testing::whole() };
    let view = leader.replica.engine().view().unwrap();
    read::page(view.as_ref(), leader.replica.spec(), &request).unwrap()
}

fn units(outcome: WriteOutcome) -> Vec<u32> {
    match outcome {
        WriteOutcome::Done(done) => done.local_units,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_costs_what_it_changes_in_each_index() {
    let mut leader = leader();
    assert_eq!(units(leader.done(&put(1, "a"))), [1, 0]);
    assert_eq!(units(leader.done(&put(1, "a"))), [0, 0], "nothing changes");
    assert_eq!(units(leader.done(&put(1, "b"))), [2, 0], "an entry goes, another comes");
    let set = |expression, value| update(1, expression, &[(":v", value)]);
    assert_eq!(units(leader.done(&set("SET n = :v", number(7)))), [0, 1]);
    let long = text(&"x".repeat(3000));
    assert_eq!(units(leader.done(&set("SET w = :v", long))), [0, 3], "shown by one of them");
    assert_eq!(units(leader.done(&update(1, "REMOVE v, w", &[]))), [1, 3]);
    assert_eq!(units(leader.done(&delete(1))), [0, 1]);
    assert_eq!(units(leader.done(&delete(1))), [0, 0]);
}

#[test]
fn an_update_may_not_give_an_index_key_another_type() {
    let mut leader = leader();
    leader.done(&put(1, "a"));
    let set = |value| update(1, "SET v = :v", &[(":v", value)]);
    for (value, refusal) in [
        (number(1), Refusal::IndexKeyType),
        (text(""), Refusal::IndexKeyEmpty("string")),
        (text(&"x".repeat(1025)), Refusal::IndexKeyTooLong),
    ] {
        assert_eq!(leader.done(&set(value)), WriteOutcome::Refused(refusal));
    }
    assert_eq!(leader.get(1), Some(item(1, "a")));
}

#[test]
fn an_item_may_not_be_too_large_with_its_entries() {
    let mut leader = leader();
    leader.done(&put(1, "a"));
    let set = |expression, value| update(1, expression, &[(":v", value)]);
    let half = text(&"x".repeat(ITEM_BYTES_MAX / 2));
    let grown = leader.done(&set("SET w = :v", half));
    assert!(matches!(grown, WriteOutcome::Done(_)), "its entry shows keys alone: {grown:?}");
    let twice = leader.done(&set("SET n = :v", number(7)));
    assert_eq!(twice, WriteOutcome::Refused(Refusal::UpdatedItemTooLarge));
    leader.done(&set("SET w = :v", text("x")));
    assert!(matches!(leader.done(&set("SET n = :v", number(7))), WriteOutcome::Done(_)));
}

#[test]
fn a_page_shows_what_the_index_shows() {
    let mut leader = leader();
    leader.done(&put(2, "a"));
    leader.done(&put(1, "b"));
    leader.done(&update(3, "SET n = :n", &[(":n", number(1))]));
    let shown = spec().local[0].shown(&spec().schema);
    let found = page(&leader, 0, shown.clone(), false);
    let names = |item: &Item| item.keys().cloned().collect::<Vec<_>>();
    assert_eq!(found.items.iter().map(names).collect::<Vec<_>>(), [["p", "s", "v"]; 2]);
    assert_eq!(found.items, [item(2, "a"), item(1, "b")], "in the order of the index");
    assert_eq!(found.fetched, 0);
    leader.done(&update(2, "SET w = :w", &[(":w", text(&"x".repeat(5000)))]));
    let (narrow, whole) = (page(&leader, 0, shown.clone(), false), page(&leader, 0, shown, true));
    assert_eq!(narrow.items, [item(2, "a"), item(1, "b")]);
    assert_eq!((narrow.bytes, narrow.fetched), (whole.bytes, 0));
    assert_eq!((whole.items.len(), whole.fetched), (2, 3));
    assert_eq!(whole.items.first(), leader.get(2).as_ref());
    assert_eq!(page(&leader, 1, None, false).count, 1);
}

fn any_write() -> impl Strategy<Value = Write> {
    let value = prop::sample::select(vec!["", "a", "b", "\0", "\0a"]);
    prop_oneof![
        (0..4i64, prop::sample::select(vec!["a", "b", "\0", "\0a"])).prop_map(|(n, v)| put(n, v)),
        (0..4i64).prop_map(delete),
        (0..4i64, -3..3i64).prop_map(|(n, value)| update(
            n,
            "SET n = :n",
            &[(":n", number(value))]
        )),
        (0..4i64).prop_map(|n| update(n, "REMOVE n", &[])),
        (0..4i64, value).prop_map(|(n, v)| update(n, "SET v = :v", &[(":v", text(v))])),
        (0..4i64).prop_map(|n| update(n, "SET v = :v", &[(":v", number(1))])),
    ]
}

#[test]
fn an_entry_too_many_or_too_few_is_found() {
    let mut leader = leader();
    leader.done(&put(1, "a"));
    leader.done(&put(2, "b"));
    let engine = Arc::clone(leader.replica.engine());
    let found = || differences(engine.view().unwrap().as_ref(), &spec()).unwrap();
    assert_eq!(found(), []);
    let entry = |n, v| {
        let entry = spec().local[0].entry(key(n).encode().as_bytes(), &item(n, v)).unwrap();
        layout::local_key(spec().table, 0, &entry)
    };
    let mut batch = meridian_storage::Batch::new();
    batch.delete(entry(1, "a"));
    batch.put(entry(2, "z"), Vec::new());
    batch.put(entry(3, "c"), Vec::new());
    engine.write(batch).unwrap();
    let index = "by-v".to_owned();
    assert_eq!(found(), [IndexDifference { index, missing: 1, stale: 2 }]);
}

proptest! {
    #[test]
    fn every_index_equals_what_the_items_say(
        drains in prop::collection::vec(prop::collection::vec(any_write(), 1..5), 1..8),
    ) {
        let mut leader = leader();
        for drain in drains {
            // Several writes of one item in one command.
            for write in &drain {
                let _ = leader.write(write);
            }
            leader.flush();
            let items: BTreeMap<i64, Item> =
                (0..4).filter_map(|n| Some((n, leader.get(n)?))).collect();
            for (number, index) in layout::local_numbers(&spec()) {
                let entry = |(n, item): (&i64, &Item)| index.entry(key(*n).encode().as_bytes(), item);
                let expected: BTreeSet<Vec<u8>> = items.iter().filter_map(entry).collect();
                prop_assert_eq!(&entries(&leader, number), &expected, "{}", index.name);
                let shown = |(n, item): (&i64, &Item)| {
                    index.entry(key(*n).encode().as_bytes(), item)?;
                    Some(projected_bytes(&spec().schema, index, item))
                };
                let held = leader.replica.header().local[usize::from(number)];
                prop_assert_eq!(held.entries, expected.len() as u64);
                prop_assert_eq!(held.bytes, items.iter().filter_map(shown).sum::<u64>());
                prop_assert_eq!(page(&leader, number, None, false).count as usize, expected.len());
            }
        }
    }
}
