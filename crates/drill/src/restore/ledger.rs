//! What the clients know of every item: the writes that may still decide what it holds.
//!
//! # Invariants
//!
//! - A write of which nobody knows stays for ever: it may take effect at any time after its start.
//! - What is forgotten could be the content at no later moment.
//!
//! Tested by `restore/judge/tests.rs`.

use crate::record::{Asked, Fate, Key, Nanos, Record, Write};

/// A put or a delete of one item that was acknowledged, or of which nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it leaves; nothing for a delete.
    pub content: Option<Write>,
    /// When it was sent.
    pub started: Nanos,
    /// When it was acknowledged; [`Nanos::MAX`] where nobody knows.
    pub ended: Nanos,
}

impl Event {
    /// The event of a call; none where it read, or certainly did nothing.
    pub fn of(record: &Record) -> Option<Event> {
        let content = match record.asked {
            Asked::Get => return None,
            Asked::Delete => None,
            Asked::Put(new) | Asked::PutIf { new, .. } => Some(new),
        };
        let ended = match record.fate {
            Fate::Ok => record.ended,
            Fate::Unknown => Nanos::MAX,
            Fate::Refused | Fate::Failed => return None,
        };
        Some(Event { content, started: record.started, ended })
    }

    /// True if it was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.ended < Nanos::MAX
    }
}

/// The events of every item of the pool, in the order in which they were told.
pub struct Ledger {
    items: Vec<Vec<Event>>,
}

impl Ledger {
    /// So many items, of which none is there.
    pub fn new(items: u32) -> Ledger {
        Ledger { items: vec![Vec::new(); usize::try_from(items).unwrap_or(usize::MAX)] }
    }

    /// The events of an item; none for a key that is not of the pool.
    pub fn events(&self, key: Key) -> Option<&[Event]> {
        match key {
            Key::Pool(number) => self.items.get(usize::try_from(number).ok()?).map(Vec::as_slice),
            Key::Cold(_) | Key::Hot { .. } => None,
        }
    }

    /// Every item with its events.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &[Event])> {
        (0..).map(Key::Pool).zip(self.items.iter().map(Vec::as_slice))
    }

    /// Notes a call on an item.
    pub fn note(&mut self, record: &Record) {
        if let (Key::Pool(number), Some(event)) = (record.key, Event::of(record))
            && let Some(item) = usize::try_from(number).ok().and_then(|at| self.items.get_mut(at))
        {
            item.push(event);
        }
    }

    /// Forgets what was certainly superseded; no call of an item may be under way.
    pub fn settle(&mut self) {
        for item in &mut self.items {
            let last_began =
                item.iter().filter(|event| event.is_acknowledged()).map(|event| event.started);
            let Some(last_began) = last_began.max() else { continue };
            item.retain(|event| event.ended >= last_began);
        }
    }
}
