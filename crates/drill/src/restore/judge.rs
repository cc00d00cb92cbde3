//! Whether an item of a restored table is what its history allows as of the chosen moment.
//!
//! A write takes effect once, between its start and its acknowledgement. One that was acknowledged
//! before the moment must be there, unless a later one supersedes it; one that began after the moment
//! must not; of one that was under way both are right. Of an item without a call under way exactly one
//! content is right.
//!
//! # Invariants
//!
//! - An item is judged by its own history alone.
//! - Unknown is not failed: such a write may be there or not.
//!
//! Tested by `judge/tests.rs`: planted wrong answers, and the checker's verdict on random histories.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::ledger::{Event, Ledger};
use super::moment::Moment;
use crate::record::{Key, Write};

/// Wrong items that are named.
const NAMED_MAX: usize = 10;

/// An item as the restored table shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The write that it holds; none where it is no item that a client ever wrote.
    pub write: Option<Write>,
    /// True if it has all attributes of that write, whole, and no others.
    pub whole: bool,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// An acknowledged write before the moment is not there: the item is missing or an older one.
    Lost,
    /// It holds what was written after the moment, or never.
    Other,
    /// It is there although it was deleted, or never written.
    Extra,
}

/// What was found of all items.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Items of which an acknowledged write is not there.
    pub lost: u64,
    /// Items that hold something else.
    pub wrong: u64,
    /// Items that ought not to be there.
    pub extra: u64,
    /// Items with more than one right content: a call was under way at the moment.
    pub open: u64,
    /// Items that are there.
    pub shown: u64,
    /// The first wrong items, for people.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Items that are not as they were.
    pub fn faults(&self) -> u64 {
        self.lost + self.wrong + self.extra
    }

    fn add(&mut self, key: &str, wrong: Wrong, told: String) {
        match wrong {
            Wrong::Lost => self.lost += 1,
            Wrong::Other => self.wrong += 1,
            Wrong::Extra => self.extra += 1,
        }
        if self.findings.len() < NAMED_MAX {
            self.findings.push(format!("item {key}: {wrong:?}: {told}"));
        }
    }
}

/// Every content that an item may have had at the moment, each once.
pub fn allowed(events: &[Event], moment: Moment) -> Vec<Option<Write>> {
    let before = |event: &&Event| event.is_acknowledged() && event.ended < moment.earliest;
    // What was acknowledged before this began is superseded by the write that did.
    let superseding = events.iter().filter(before).map(|event| event.started).max();
    let mut contents: Vec<Option<Write>> = events
        .iter()
        .filter(|event| event.started < moment.latest)
        .filter(|event| superseding.is_none_or(|began| event.ended >= began))
        .map(|event| event.content)
        .collect();
    if superseding.is_none() {
        contents.push(None);
    }
    contents.sort_unstable();
    contents.dedup();
    contents
}

/// What is wrong with an item, if anything is.
pub fn judge(events: &[Event], moment: Moment, shown: Option<Shown>) -> Option<Wrong> {
    let allowed = allowed(events, moment);
    let Some(shown) = shown else {
        return (!allowed.contains(&None)).then_some(Wrong::Lost);
    };
    let right = shown.whole && shown.write.is_some() && allowed.contains(&shown.write);
    if right {
        return None;
    }
    if allowed == [None] {
        return Some(Wrong::Extra);
    }
    let older = |event: &Event| event.content == shown.write && event.ended < moment.earliest;
    let is_older = shown.whole && shown.write.is_some() && events.iter().any(older);
    Some(if is_older { Wrong::Lost } else { Wrong::Other })
}

/// Compares everything that a restored table shows, by the text of its keys, with the history.
pub fn compare(ledger: &Ledger, moment: Moment, table: &BTreeMap<String, Shown>) -> Verdict {
    let mut verdict = Verdict { shown: table.len() as u64, ..Verdict::default() };
    for (key, events) in ledger.iter() {
        let text = key.to_string();
        let shown = table.get(&text).copied();
        let allowed = allowed(events, moment);
        verdict.open += u64::from(allowed.len() > 1);
        if let Some(wrong) = judge(events, moment, shown) {
            let told = format!("{} instead of {}", told(shown), told_all(&allowed));
            verdict.add(&text, wrong, told);
        }
    }
    for (text, shown) in table {
        let known = text.parse::<Key>().ok().filter(|key| key.to_string() == *text);
        if known.and_then(|key| ledger.events(key)).is_none() {
            verdict.add(text, Wrong::Extra, format!("{}, which nobody wrote", told(Some(*shown))));
        }
    }
    verdict
}

fn told(shown: Option<Shown>) -> String {
    match shown {
        None => "nothing".to_owned(),
        Some(Shown { write: Some(write), whole: true }) => format!("write {write}"),
        Some(Shown { write: Some(write), whole: false }) => format!("a part of write {write}"),
        Some(Shown { write: None, .. }) => "an item of no client".to_owned(),
    }
}

fn told_all(allowed: &[Option<Write>]) -> String {
    let one = |content: &Option<Write>| match content {
        None => "nothing".to_owned(),
        Some(write) => format!("write {write}"),
    };
    allowed.iter().map(one).collect::<Vec<_>>().join(" or ")
}
