//! A leader with one replica, and builders of requests, for the tests of this crate.

use crate::evaluator::{Evaluated, Evaluator, Sealed};
use crate::replica::{ApplyOutcome, Entry, PartitionReplica, Payload};
use crate::request::{Action, Get, PageRequest, Returns, Write, WriteOutcome};
use crate::{Command, LogPosition, PartitionSpec, read};
use meridian_base::limits::PAGE_BYTES_MAX;
use meridian_base::{Hlc, Incarnation, LogIndex, PartitionId, RegionId, Sequence, TableId};
use meridian_expression::{Condition, ExpressionKind, Placeholders, Update};
use meridian_model::{AttributeValue, Item, Key, KeyAttribute, KeyKind, KeyRange, KeySchema};
use meridian_storage::{Engine, MemoryEngine};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

pub(crate) fn spec_in(region: u16) -> PartitionSpec {
    PartitionSpec {
        table: TableId(7),
        partition: PartitionId(16),
        region: RegionId::new(region),
        range: KeyRange::full(),
        schema: KeySchema::composite(
            KeyAttribute::new("p", KeyKind::S),
            KeyAttribute::new("s", KeyKind::N),
        ),
        local: Vec::new(),
    }
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(meridian_model::Number::parse(&value.to_string()).unwrap())
}

pub(crate) fn key(n: i64) -> Key {
    Key { partition: text("k"), sort: Some(number(n)) }
}

pub(crate) fn item(n: i64, value: &str) -> Item {
    let mut item = key(n).to_item(&spec_in(1).schema);
    item.insert("v".to_owned(), text(value));
    item
}

pub(crate) fn put(n: i64, value: &str) -> Write {
    let returns = Returns { old: true, new: true, old_on_failure: true };
    Write { key: key(n), action: Action::Put(item(n, value)), condition: None, returns }
}

pub(crate) fn delete(n: i64) -> Write {
    Write { action: Action::Delete, ..put(n, "") }
}

fn placeholders(values: &[(&str, AttributeValue)]) -> Placeholders {
    let values: BTreeMap<_, _> = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Placeholders::new(None, (!values.is_empty()).then_some(values)).unwrap()
}

pub(crate) fn condition(expression: &str, values: &[(&str, AttributeValue)]) -> Condition {
    Condition::parse(ExpressionKind::Condition, expression, &mut placeholders(values)).unwrap()
}

pub(crate) fn update(n: i64, expression: &str, values: &[(&str, AttributeValue)]) -> Write {
    let update = Update::parse(expression, &mut placeholders(values)).unwrap();
    Write { action: Action::Update(update), ..put(n, "") }
}

/// A page of everything.
pub(crate) fn whole() -> PageRequest {
    PageRequest {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
        reverse: false,
        limit: None,
        bytes_max: PAGE_BYTES_MAX,
        filter: None,
        count_only: false,
        index: None,
    }
}

/// The same update, of an item that is there.
pub(crate) fn existing(write: Write) -> Write {
    match write.action {
        Action::Update(update) => Write { action: Action::UpdateExisting(update), ..write },
        _ => panic!("not an update"),
    }
}

pub(crate) fn when(write: Write, condition: Condition) -> Write {
    Write { condition: Some(condition), ..write }
}

/// A leader: its engine, replica and evaluator, and a log that is applied when asked.
pub(crate) struct Leader {
    pub(crate) replica: PartitionReplica,
    pub(crate) evaluator: Evaluator,
    pub(crate) index: u64,
    pub(crate) now_ms: u64,
}

impl Leader {
    pub(crate) fn new(region: u16) -> Self {
        Leader::on(Arc::new(MemoryEngine::new()), spec_in(region))
    }

    pub(crate) fn on(engine: Arc<dyn Engine>, spec: PartitionSpec) -> Self {
        let replica = PartitionReplica::open(Arc::clone(&engine), spec.clone()).unwrap();
        let evaluator = Evaluator::new(engine, spec);
        let mut leader = Leader { replica, evaluator, index: 0, now_ms: 1_000 };
        leader.begin();
        leader
    }

    /// Begins a new incarnation, as a new pipeline does.
    pub(crate) fn begin(&mut self) {
        let header = *self.replica.header();
        let incarnation = Incarnation(header.incarnation.0 + 1);
        let floor = header.last.max(Hlc::from_ms(self.now_ms));
        let region = self.replica.spec().region;
        let command = Command::Begin { incarnation, floor, region }.encode();
        assert_eq!(self.apply(&command), ApplyOutcome::Accepted);
        self.evaluator.reset(incarnation, floor).unwrap();
    }

    pub(crate) fn apply(&mut self, command: &[u8]) -> ApplyOutcome {
        self.index += 1;
        let at = LogPosition { term: 1, index: LogIndex(self.index) };
        let entry = Entry { at, payload: Payload::Command(command) };
        self.replica.apply(&[entry]).unwrap()[0]
    }

    pub(crate) fn seal(&mut self) -> Option<Sealed> {
        self.evaluator.seal(self.now_ms)
    }

    pub(crate) fn commit(&mut self, sealed: &Sealed) {
        assert_eq!(self.apply(&sealed.command), ApplyOutcome::Accepted);
        self.evaluator.applied(sealed.sequence);
    }

    /// Seals and commits what is open.
    pub(crate) fn flush(&mut self) {
        if let Some(sealed) = self.seal() {
            self.commit(&sealed);
        }
    }

    pub(crate) fn write(&mut self, write: &Write) -> Evaluated<WriteOutcome> {
        self.evaluator.write(write, self.now_ms).unwrap()
    }

    /// Writes and commits, and gives the answer.
    pub(crate) fn done(&mut self, write: &Write) -> WriteOutcome {
        let outcome = match self.write(write) {
            Evaluated::Write { outcome, .. } | Evaluated::Answer { outcome, .. } => outcome,
            other => panic!("not evaluated: {other:?}"),
        };
        self.flush();
        outcome
    }

    pub(crate) fn get(&self, n: i64) -> Option<Item> {
        let get = Get { key: key(n) };
        let engine = self.replica.engine();
        read::get(engine.as_ref(), self.replica.spec(), &get).unwrap().item
    }
}

/// The sequence of a decision to write.
pub(crate) fn sequence<T: std::fmt::Debug>(evaluated: &Evaluated<T>) -> Sequence {
    match evaluated {
        Evaluated::Write { sequence, .. } => *sequence,
        other => panic!("no decision to write: {other:?}"),
    }
}
