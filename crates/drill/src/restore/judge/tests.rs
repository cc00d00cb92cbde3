//! Planted wrong answers must be found, right ones must pass, and the verdict on random histories is
//! that of the checker, which searches for an order.

use std::collections::BTreeSet;

use meridian_checker::{Call, Operation, Reply, State, Verdict as Linear, check_register};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::record::{Asked, Fate, Nanos, Record, Seen};

const MOMENT: Moment = Moment { earliest: 1_000, latest: 1_000 };
/// The client of a bad program.
const BAD: u16 = 9;

fn write(client: u16, sequence: u32) -> Write {
    Write { client, sequence }
}

fn event(content: Option<Write>, started: Nanos, ended: Nanos) -> Event {
    Event { content, started, ended }
}

fn shown(write: Write) -> Option<Shown> {
    Some(Shown { write: Some(write), whole: true })
}

/// Written twice, deleted by a bad program after the moment.
fn damaged() -> Vec<Event> {
    vec![
        event(Some(write(1, 1)), 10, 20),
        event(Some(write(2, 1)), 500, 600),
        event(Some(write(BAD, 1)), 1_100, 1_200),
        event(None, 1_300, 1_400),
    ]
}

#[test]
fn the_last_write_before_the_moment_is_right_and_nothing_else() {
    let events = damaged();
    assert_eq!(allowed(&events, MOMENT), [Some(write(2, 1))]);
    assert_eq!(judge(&events, MOMENT, shown(write(2, 1))), None);
    assert_eq!(judge(&events, MOMENT, None), Some(Wrong::Lost));
    assert_eq!(judge(&events, MOMENT, shown(write(1, 1))), Some(Wrong::Lost));
    assert_eq!(judge(&events, MOMENT, shown(write(BAD, 1))), Some(Wrong::Other));
    assert_eq!(judge(&events, MOMENT, shown(write(7, 7))), Some(Wrong::Other));
    let cut = Some(Shown { write: Some(write(2, 1)), whole: false });
    assert_eq!(judge(&events, MOMENT, cut), Some(Wrong::Other));
    let strange = Some(Shown { write: None, whole: true });
    assert_eq!(judge(&events, MOMENT, strange), Some(Wrong::Other));
}

#[test]
fn a_deleted_item_stays_away() {
    let events = [event(Some(write(1, 1)), 10, 20), event(None, 500, 600)];
    assert_eq!(judge(&events, MOMENT, None), None);
    assert_eq!(judge(&events, MOMENT, shown(write(1, 1))), Some(Wrong::Extra));
    assert_eq!(judge(&[], MOMENT, None), None);
    assert_eq!(judge(&[], MOMENT, shown(write(1, 1))), Some(Wrong::Extra));
}

#[test]
fn of_a_call_under_way_both_are_right() {
    for ended in [1_000, 1_001, Nanos::MAX] {
        let events = [event(Some(write(1, 1)), 10, 20), event(Some(write(2, 1)), 990, ended)];
        assert_eq!(judge(&events, MOMENT, shown(write(1, 1))), None);
        assert_eq!(judge(&events, MOMENT, shown(write(2, 1))), None);
        assert_eq!(judge(&events, MOMENT, None), Some(Wrong::Lost));
    }
    let done = [event(Some(write(1, 1)), 10, 20), event(Some(write(2, 1)), 990, 999)];
    assert_eq!(judge(&done, MOMENT, shown(write(1, 1))), Some(Wrong::Lost));
    let later = [event(Some(write(1, 1)), 10, 20), event(Some(write(2, 1)), 1_000, 1_001)];
    assert_eq!(judge(&later, MOMENT, shown(write(2, 1))), Some(Wrong::Other));
}

#[test]
fn an_unknown_delete_may_have_happened_and_a_later_write_ends_the_doubt() {
    let mut events = vec![event(Some(write(1, 1)), 10, 20), event(None, 500, Nanos::MAX)];
    assert_eq!(judge(&events, MOMENT, None), None);
    assert_eq!(judge(&events, MOMENT, shown(write(1, 1))), None);
    events.push(event(Some(write(1, 2)), 700, 800));
    assert_eq!(judge(&events, MOMENT, shown(write(1, 2))), None);
    assert_eq!(judge(&events, MOMENT, shown(write(1, 1))), Some(Wrong::Lost));
    // It may still take effect after the write.
    assert_eq!(judge(&events, MOMENT, None), None);
}

#[test]
fn what_the_clocks_leave_open_is_open() {
    let wide = Moment { earliest: 1_000, latest: 1_010 };
    let events = [event(Some(write(1, 1)), 10, 20), event(Some(write(2, 1)), 1_004, 1_006)];
    assert_eq!(judge(&events, wide, shown(write(1, 1))), None);
    assert_eq!(judge(&events, wide, shown(write(2, 1))), None);
}

fn record(key: u32, asked: Asked, fate: Fate, (started, ended): (Nanos, Nanos)) -> Record {
    let (key, seen, intended) = (Key::Pool(key), Seen::Untold, started);
    Record { client: 0, key, asked, fate, seen, intended, started, ended }
}

/// Four items: one damaged, one deleted, one under way, one never written.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(4);
    for number in 0..3 {
        let seed = Asked::Put(write(1, number + 1));
        ledger.note(&record(number, seed, Fate::Ok, (10, 20)));
    }
    ledger.note(&record(0, Asked::Put(write(BAD, 1)), Fate::Ok, (1_100, 1_200)));
    ledger.note(&record(1, Asked::Delete, Fate::Ok, (30, 40)));
    ledger.note(&record(2, Asked::Put(write(2, 1)), Fate::Ok, (900, 1_100)));
    ledger.note(&record(2, Asked::Put(write(2, 2)), Fate::Failed, (950, 960)));
    ledger.note(&record(2, Asked::Get, Fate::Ok, (950, 960)));
    ledger
}

fn table(items: &[(&str, Write)]) -> BTreeMap<String, Shown> {
    let whole = |write: Write| Shown { write: Some(write), whole: true };
    items.iter().map(|(key, write)| ((*key).to_owned(), whole(*write))).collect()
}

fn counts(items: &[(&str, Write)]) -> (u64, u64, u64) {
    let verdict = compare(&ledger(), MOMENT, &table(items));
    assert_eq!(verdict.findings.is_empty(), verdict.faults() == 0);
    assert_eq!((verdict.open, verdict.shown), (1, items.len() as u64));
    (verdict.lost, verdict.wrong, verdict.extra)
}

#[test]
fn a_whole_table_is_compared_both_ways() {
    let (damaged, open) = (("p0", write(1, 1)), ("p2", write(1, 3)));
    assert_eq!(counts(&[damaged, open]), (0, 0, 0));
    assert_eq!(counts(&[damaged, ("p2", write(2, 1))]), (0, 0, 0));
    assert_eq!(counts(&[open]), (1, 0, 0), "a lost write");
    assert_eq!(counts(&[("p0", write(BAD, 1)), open]), (0, 1, 0), "a later write");
    assert_eq!(counts(&[damaged, open, ("p1", write(1, 2))]), (0, 0, 1), "a resurrected delete");
    assert_eq!(counts(&[damaged, open, ("p3", write(1, 9))]), (0, 0, 1), "never written");
    assert_eq!(counts(&[damaged, open, ("p4", write(1, 9))]), (0, 0, 1), "a key beyond the pool");
    assert_eq!(counts(&[damaged, open, ("p00", write(1, 1))]), (0, 0, 1), "a key spelt otherwise");
    assert_eq!(counts(&[damaged, ("p2", write(2, 2))]), (0, 1, 0), "a write that certainly failed");
    assert_eq!(counts(&[]), (2, 0, 0));
}

/// A history of one item with overlapping calls, some of them unknown.
fn random_history(random: &mut StdRng) -> Vec<Event> {
    let mut at = 0;
    (1..=random.random_range(0..7u32))
        .map(|sequence| {
            at += random.random_range(1..300u64);
            let content = (!random.random_bool(0.3)).then_some(write(1, sequence));
            let ended = at + random.random_range(1..500u64);
            event(content, at, if random.random_bool(0.2) { Nanos::MAX } else { ended })
        })
        .collect()
}

/// A register that has this content at the moment after these calls, according to the checker.
fn explained(events: &[Event], content: State) -> bool {
    let begun = events.iter().filter(|event| event.started < MOMENT.latest);
    let mut history: Vec<Operation> = begun
        .map(|event| {
            let over = event.ended < MOMENT.earliest;
            let reply = if over { Reply::Done } else { Reply::Unknown };
            let call = Call::Put(event.content.map(Write::value));
            Operation { client: 0, call, reply, invoked: event.started, completed: event.ended }
        })
        .collect();
    let (invoked, completed) = (MOMENT.latest, MOMENT.latest + 1);
    let reply = Reply::Got(content);
    history.push(Operation { client: 1, call: Call::Get, reply, invoked, completed });
    check_register(None, &history, 1_000_000) == Linear::Linearizable
}

#[test]
fn the_verdict_is_the_checkers() {
    let mut random = StdRng::seed_from_u64(7);
    let mut found = BTreeSet::new();
    for _ in 0..3_000 {
        let events = random_history(&mut random);
        let written = events.iter().filter_map(|event| event.content);
        for content in written.map(Some).chain([None, Some(write(5, 5))]) {
            let seen = content.map(|write| Shown { write: Some(write), whole: true });
            let wrong = judge(&events, MOMENT, seen);
            let expected = explained(&events, content.map(Write::value));
            assert_eq!(wrong.is_none(), expected, "{content:?} of {events:?}");
            found.insert(wrong);
        }
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn what_is_forgotten_decides_nothing_later() {
    let mut random = StdRng::seed_from_u64(8);
    let later = Moment { earliest: 100_000, latest: 100_000 };
    for _ in 0..1_000 {
        let events = random_history(&mut random);
        let mut ledger = Ledger::new(1);
        for one in &events {
            let asked = one.content.map_or(Asked::Delete, Asked::Put);
            let fate = if one.is_acknowledged() { Fate::Ok } else { Fate::Unknown };
            ledger.note(&record(0, asked, fate, (one.started, one.ended)));
        }
        assert_eq!(ledger.events(Key::Pool(0)), Some(events.as_slice()));
        ledger.settle();
        let kept = ledger.events(Key::Pool(0)).unwrap();
        assert_eq!(allowed(kept, later), allowed(&events, later), "{events:?}");
        assert!(kept.len() <= events.len());
    }
}
