//! Tests of `feed`: an index partition against the items of its table.

use super::*;
use crate::changes::{ReadLimits, read_changes};
use crate::header::Reader as LogReader;
use crate::layout;
use crate::replica::PartitionReplica;
use crate::testing::{Leader, delete, put, spec_in, text, update};
use meridian_base::TableId;
use meridian_model::{IndexProjection, KeyAttribute, KeyAttributes, KeyKind};
use meridian_storage::{Control, Engine, MemoryEngine};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCE: PartitionId = PartitionId(16);
const INDEX: LogReader = LogReader::Index(8);

fn index() -> GlobalIndex {
    let keys = KeyAttributes {
        partition: vec![KeyAttribute::new("v", KeyKind::S)],
        sort: vec![KeyAttribute::new("s", KeyKind::N)],
    };
    let projection = IndexProjection::Include(vec!["w".to_owned()]);
    GlobalIndex { name: "by-v".to_owned(), keys, projection }
}

/// A table's partition and the one partition of its index.
struct Pair {
    table: Leader,
    index: Leader,
}

impl Pair {
    fn new() -> Self {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
        let mut spec = spec_in(1);
        spec.table = TableId(8);
        spec.partition = PartitionId(17);
        Pair { table: Leader::new(1), index: Leader::on(engine, spec) }
    }

    fn start(&mut self) {
        self.table.evaluator.start_reader(INDEX);
        self.table.flush();
    }

    fn take(&mut self, feed: Feed) {
        let feed = Feed::decode(&feed.encode()).unwrap();
        self.index.evaluator.feed(feed).unwrap();
        self.index.flush();
    }

    /// Entries of what the table holds.
    fn copied(&self) -> Feed {
        let spec = self.table.replica.spec();
        let mut entries = Vec::new();
        let engine = self.table.replica.engine();
        engine
            .scan(layout::items(spec.table, &spec.range), &mut |key, value| {
                let stored = (layout::encoded_of(key), value);
                entries.extend(entry_of_stored(&spec.schema, &index(), stored).unwrap());
                Control::Continue(())
            })
            .unwrap();
        Feed { source: SOURCE, upto: Position(0), copy: true, entries }
    }

    /// What the log holds after a position; without changes of later positions than `upto`.
    fn feed(&self, after: Position, upto: Position) -> Feed {
        let limits = ReadLimits { records: usize::MAX, bytes: usize::MAX };
        let engine = self.table.replica.engine();
        let page = read_changes(engine.as_ref(), SOURCE, after, limits).unwrap();
        let schema = &self.table.replica.spec().schema;
        let records = page.records.iter().filter(|record| record.position <= upto);
        let entries = records.flat_map(|r| entries_of_change(schema, &index(), r).unwrap());
        Feed { source: SOURCE, upto, copy: false, entries: entries.collect() }
    }

    fn end(&self) -> Position {
        self.table.replica.header().position
    }

    fn held(&self) -> BTreeMap<Vec<u8>, Image> {
        entries(&self.index.replica)
    }

    fn wanted(&self) -> BTreeMap<Vec<u8>, Image> {
        let entries = self.copied().entries.into_iter();
        entries.map(|entry| (entry.key, entry.image.unwrap())).collect()
    }
}

fn entries(replica: &PartitionReplica) -> BTreeMap<Vec<u8>, Image> {
    let spec = replica.spec();
    let mut found = BTreeMap::new();
    let mut add = |key: &[u8], value: &[u8]| {
        let state = crate::record::decode_item_record(value).unwrap();
        found.insert(layout::encoded_of(key).to_vec(), state.image.unwrap());
        Control::Continue(())
    };
    replica.engine().scan(layout::items(spec.table, &spec.range), &mut add).unwrap();
    found
}

#[test]
fn an_entry_moves_with_its_attribute_and_shows_the_projection() {
    let mut pair = Pair::new();
    pair.start();
    let mut whole = put(1, "a");
    let crate::Action::Put(item) = &mut whole.action else { unreachable!() };
    item.extend([("w".to_owned(), text("shown")), ("x".to_owned(), text("not"))]);
    pair.table.done(&whole);
    pair.take(pair.feed(Position(0), pair.end()));
    let [(_, image)] = pair.held().into_iter().collect::<Vec<_>>().try_into().unwrap();
    let names: Vec<String> = item_of(&image).unwrap().into_keys().collect();
    assert_eq!(names, ["p", "s", "v", "w"]);
    // What the index does not show changes nothing in it.
    pair.table.done(&update(1, "SET x = :x", &[(":x", text("other"))]));
    assert_eq!(pair.feed(Position(1), pair.end()).entries, []);
    pair.table.done(&update(1, "SET v = :v", &[(":v", text("b"))]));
    let moved = pair.feed(Position(2), pair.end()).entries;
    assert_eq!(moved.iter().map(|e| e.image.is_some()).collect::<Vec<_>>(), [false, true]);
    pair.take(pair.feed(Position(1), pair.end()));
    assert_eq!(pair.held(), pair.wanted());
    assert_eq!(pair.index.replica.header().items, 1);
    pair.table.done(&update(1, "REMOVE v", &[]));
    pair.take(pair.feed(Position(3), pair.end()));
    assert_eq!((pair.held().len(), pair.index.replica.header().items), (0, 0));
}

#[test]
fn a_copy_that_comes_late_is_passed_over() {
    let mut pair = Pair::new();
    pair.table.done(&put(1, "a"));
    pair.start();
    let late = pair.copied();
    pair.take(late.clone());
    let begun = pair.end();
    pair.table.done(&delete(1));
    pair.take(pair.feed(begun, pair.end()));
    pair.take(late);
    assert_eq!(pair.held(), BTreeMap::new());
}

#[test]
fn an_entry_of_another_partition_is_refused() {
    let mut pair = Pair::new();
    pair.start();
    pair.table.done(&put(1, "a"));
    let mut spec = spec_in(1);
    spec.range.start = vec![0xff; 9];
    pair.index = Leader::on(Arc::new(MemoryEngine::new()), spec);
    let refused = pair.index.evaluator.feed(pair.feed(Position(0), pair.end())).unwrap();
    assert_eq!(refused, Evaluated::Elsewhere);
}

#[derive(Debug, Clone)]
enum Step {
    Put(i64, u8),
    Delete(i64),
    Update(i64, u8),
    /// Sends from any position that was acknowledged before, up to any position.
    Send(prop::sample::Index, prop::sample::Index),
    /// A new leader of the table's partition, or of the index's.
    Begin(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..4i64;
    prop_oneof![
        (n.clone(), 0..3u8).prop_map(|(n, v)| Step::Put(n, v)),
        n.clone().prop_map(Step::Delete),
        (n, 0..3u8).prop_map(|(n, v)| Step::Update(n, v)),
        any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Step::Send(a, b)),
        any::<bool>().prop_map(Step::Begin),
    ]
}

proptest! {
    #[test]
    fn an_index_equals_what_the_items_say(
        before in prop::collection::vec((0..4i64, 0..3u8), 0..4),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut pair = Pair::new();
        for (n, v) in before {
            pair.table.done(&put(n, &v.to_string()));
        }
        pair.start();
        let begun = pair.end();
        pair.take(pair.copied());
        pair.take(Feed { source: SOURCE, upto: begun, copy: false, entries: Vec::new() });
        let mut acknowledged = begun;
        for step in steps {
            match step {
                Step::Put(n, v) => drop(pair.table.done(&put(n, &v.to_string()))),
                Step::Delete(n) => drop(pair.table.done(&delete(n))),
                Step::Update(n, v) => {
                    let value = text(&v.to_string());
                    pair.table.done(&update(n, "SET v = :v, w = :v", &[(":v", value)]));
                }
                Step::Send(from, to) => {
                    let from = begun.0 + from.index(usize::try_from(acknowledged.0 - begun.0).unwrap() + 1) as u64;
                    let room = usize::try_from(pair.end().0 - from).unwrap() + 1;
                    let upto = Position(from + to.index(room) as u64);
                    pair.take(pair.feed(Position(from), upto));
                    acknowledged = acknowledged.max(upto);
                }
                Step::Begin(true) => pair.table.begin(),
                Step::Begin(false) => pair.index.begin(),
            }
        }
        pair.take(pair.feed(acknowledged, pair.end()));
        prop_assert_eq!(pair.held(), pair.wanted());
        prop_assert_eq!(pair.index.replica.header().items, pair.wanted().len() as u64);
        let kept = pair.index.replica.marks().fed.get(&SOURCE).copied();
        prop_assert_eq!(kept, Some(pair.end()));
    }
}
