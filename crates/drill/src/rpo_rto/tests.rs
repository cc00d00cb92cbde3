//! Histories written by hand, with the answers that a person would give.

use super::*;
use crate::record::Asked;

const RULE: Rule = Rule { window: 10 * SECOND, latency_max: 500 * MS, calls: 100 };

fn write(client: u16, sequence: u32) -> Write {
    Write { client, sequence }
}

fn record(at_ms: u64, took_ms: u64, fate: Fate) -> Record {
    Record {
        client: 0,
        key: Key::Cold(write(0, at_ms as u32)),
        asked: Asked::Put(write(0, at_ms as u32)),
        fate,
        seen: Seen::Untold,
        intended: at_ms * MS,
        started: at_ms * MS,
        ended: (at_ms + took_ms) * MS,
    }
}

/// Ten calls a second; those intended within a bad span take a second and end as unknown.
fn load(until_ms: u64, bad: &[(u64, u64)]) -> Vec<Record> {
    (0..until_ms)
        .step_by(100)
        .map(|at| {
            if bad.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                record(at, 1000, Fate::Unknown)
            } else {
                record(at, 5, Fate::Ok)
            }
        })
        .collect()
}

fn rto_ms(records: &[Record], began_ms: u64, until_ms: u64) -> Option<u64> {
    recovery(records, began_ms * MS, until_ms * MS, &RULE).map(|rto| rto / MS)
}

#[test]
fn an_outage_counts_from_the_fault_to_the_first_good_call() {
    assert_eq!(rto_ms(&load(30_000, &[(5_000, 7_300)]), 5_000, 30_000), Some(2_300));
}

#[test]
fn no_outage_is_no_time() {
    assert_eq!(rto_ms(&load(30_000, &[]), 5_000, 30_000), Some(0));
}

#[test]
fn a_relapse_restarts_the_window() {
    let records = load(40_000, &[(5_000, 7_000), (12_000, 12_500)]);
    assert_eq!(rto_ms(&records, 5_000, 40_000), Some(7_500));
}

#[test]
fn one_bad_call_in_a_hundred_is_allowed() {
    let records = load(40_000, &[(5_000, 7_000), (12_000, 12_100)]);
    assert_eq!(rto_ms(&records, 5_000, 40_000), Some(2_000));
}

#[test]
fn slow_is_not_recovered() {
    let mut records = load(40_000, &[]);
    for slow in records.iter_mut().filter(|one| (5_000 * MS..8_000 * MS).contains(&one.intended)) {
        slow.ended = slow.intended + 600 * MS;
    }
    assert_eq!(rto_ms(&records, 5_000, 40_000), Some(3_000));
}

#[test]
fn a_window_that_is_not_over_proves_nothing() {
    assert_eq!(rto_ms(&load(16_000, &[(5_000, 7_000)]), 5_000, 16_000), None);
}

#[test]
fn a_load_below_its_intended_rate_proves_nothing() {
    let thin: Vec<Record> = load(40_000, &[]).into_iter().step_by(2).collect();
    assert_eq!(rto_ms(&thin, 5_000, 40_000), None);
}

#[test]
fn a_refused_condition_is_service() {
    let mut records = load(30_000, &[]);
    records.iter_mut().for_each(|one| one.fate = Fate::Refused);
    assert_eq!(rto_ms(&records, 5_000, 30_000), Some(0));
}

#[test]
fn the_longest_gap_is_between_served_calls() {
    let records = load(20_000, &[(5_000, 7_000)]);
    let gap = longest_gap(&records, (5_000 * MS, 20_000 * MS), |one| Some(one.client));
    // From the end of the call of 4,900 to that of 7,000.
    assert_eq!(gap / MS, 2_100);
}

#[test]
fn a_gap_at_the_end_and_a_group_without_any_answer_count() {
    let mut records = load(20_000, &[(15_000, 20_000)]);
    assert_eq!(longest_gap(&records, (0, 20_000 * MS), |one| Some(one.client)) / MS, 5_095);
    let mut silent = record(1_000, 1_000, Fate::Unknown);
    silent.client = 9;
    records.push(silent);
    assert_eq!(longest_gap(&records, (0, 20_000 * MS), |one| Some(one.client)) / MS, 20_000);
}

#[test]
fn gaps_outside_the_span_do_not_count() {
    let records = load(20_000, &[(1_000, 4_000)]);
    assert_eq!(longest_gap(&records, (5_000 * MS, 20_000 * MS), |one| Some(one.client)) / MS, 100);
}

/// A fault at 10 s, done at 10.1 s.
const FAULT: Fault = Fault { began: 10 * SECOND, done: 10 * SECOND + 100 * MS };

fn put(key: Key, new: Write, (from_ms, to_ms): (u64, u64), fate: Fate, seen: Seen) -> Record {
    Record {
        client: new.client,
        key,
        asked: Asked::Put(new),
        fate,
        seen,
        intended: from_ms * MS,
        started: from_ms * MS,
        ended: to_ms * MS,
    }
}

fn cold(sequence: u32, at_ms: u64, fate: Fate) -> Record {
    let new = write(1, sequence);
    put(Key::Cold(new), new, (at_ms, at_ms + 5), fate, Seen::Untold)
}

const HOT: Key = Key::Hot { client: 1, slot: 0 };

fn hot(sequence: u32, at_ms: u64, before: Option<u32>) -> Record {
    let content = before.map(|sequence| write(1, sequence));
    put(HOT, write(1, sequence), (at_ms, at_ms + 5), Fate::Ok, Seen::Content(content))
}

fn contents(entries: &[(Key, Option<u32>)]) -> Contents {
    entries.iter().map(|(key, sequence)| (*key, sequence.map(|one| write(1, one)))).collect()
}

fn check(
    records: &[Record],
    takeover: &[(Key, Option<u32>)],
    finals: &[(Key, Option<u32>)],
    listed: &[Key],
) -> Losses {
    check_after(&Past::default(), records, (takeover, finals), listed)
}

type Shown<'a> = &'a [(Key, Option<u32>)];

fn check_after(
    past: &Past,
    records: &[Record],
    (takeover, finals): (Shown<'_>, Shown<'_>),
    listed: &[Key],
) -> Losses {
    losses(&Evidence {
        records,
        past,
        fault: FAULT,
        takeover: &contents(takeover),
        finals: &[contents(finals)],
        listed: &listed.iter().copied().collect(),
    })
}

fn key(sequence: u32) -> Key {
    Key::Cold(write(1, sequence))
}

#[test]
fn a_write_that_returns_with_its_region_was_stranded() {
    let records = [cold(1, 5_000, Fate::Ok), cold(2, 9_900, Fate::Ok), cold(3, 9_950, Fate::Ok)];
    let losses = check(
        &records,
        &[(key(1), Some(1)), (key(2), None), (key(3), None)],
        &[(key(1), Some(1)), (key(2), Some(2)), (key(3), Some(3))],
        &[key(2), key(3)],
    );
    assert_eq!((losses.missing, losses.stranded), (2, 2));
    assert_eq!((losses.merged, losses.overwritten), (2, 0));
    assert_eq!(losses.oldest / MS, 95);
    assert!(losses.lost.is_empty() && losses.unlisted.is_empty() && losses.foreign.is_empty());
}

#[test]
fn a_write_that_never_returns_is_lost() {
    let records = [cold(1, 9_900, Fate::Ok)];
    let losses = check(&records, &[(key(1), None)], &[(key(1), None)], &[]);
    assert_eq!(losses.lost, vec![(key(1), write(1, 1))]);
    assert_eq!((losses.stranded, losses.merged, losses.overwritten), (0, 0, 0));
    assert!(losses.unlisted.is_empty(), "lost is worse than unlisted and counted once");
}

#[test]
fn a_write_that_was_there_at_the_takeover_and_then_vanished_is_lost_too() {
    let records = [cold(1, 5_000, Fate::Ok)];
    let losses = check(&records, &[(key(1), Some(1))], &[(key(1), None)], &[]);
    assert_eq!((losses.missing, losses.lost.len()), (0, 1));
}

#[test]
fn a_returned_write_that_nobody_listed_is_named() {
    let records = [cold(1, 9_900, Fate::Ok)];
    let losses = check(&records, &[(key(1), None)], &[(key(1), Some(1))], &[]);
    assert_eq!(losses.unlisted, vec![(key(1), write(1, 1))]);
}

#[test]
fn unknown_and_failed_writes_are_never_missing() {
    let records = [cold(1, 9_900, Fate::Unknown), cold(2, 9_900, Fate::Failed)];
    let losses = check(&records, &[(key(1), None), (key(2), None)], &[(key(1), Some(1))], &[]);
    assert_eq!(losses, Losses::default());
}

#[test]
fn a_failed_write_that_is_visible_is_foreign() {
    let losses = check(&[cold(2, 9_900, Fate::Failed)], &[], &[(key(2), Some(2))], &[]);
    assert_eq!(losses.foreign, vec![key(2)]);
}

#[test]
fn a_write_after_the_fault_is_no_recovery_point_matter() {
    // Acknowledged by the survivor, but the survey of another moment may not show it.
    let losses = check(&[cold(1, 12_000, Fate::Ok)], &[(key(1), None)], &[(key(1), Some(1))], &[]);
    assert_eq!(losses.missing, 0);
}

#[test]
fn a_hot_key_written_again_elsewhere_overwrites_the_stranded_write() {
    let records = [hot(1, 8_000, None), hot(2, 9_900, Some(1)), hot(3, 13_000, Some(1))];
    // When the survey came by, the key had been written again already.
    let losses = check(&records, &[(HOT, Some(3))], &[(HOT, Some(3))], &[HOT]);
    assert_eq!((losses.missing, losses.merged, losses.overwritten), (1, 0, 1));
    assert_eq!(losses.oldest / MS, 95);
    assert!(losses.lost.is_empty() && losses.unlisted.is_empty());
}

#[test]
fn an_overwritten_write_that_nobody_listed_is_named() {
    let records = [hot(2, 9_900, Some(1)), hot(3, 13_000, Some(1))];
    let losses = check(&records, &[(HOT, Some(3))], &[(HOT, Some(3))], &[]);
    assert_eq!(losses.unlisted, vec![(HOT, write(1, 2))]);
}

#[test]
fn a_stranded_write_may_win_over_a_later_one_by_its_clock() {
    let records = [hot(2, 9_900, Some(1)), hot(3, 13_000, Some(1))];
    let losses = check(&records, &[(HOT, Some(3))], &[(HOT, Some(2))], &[HOT]);
    assert_eq!((losses.missing, losses.merged, losses.overwritten), (1, 1, 1));
    assert!(losses.lost.is_empty() && losses.unlisted.is_empty());
}

#[test]
fn an_old_value_that_was_never_stranded_may_not_win() {
    let records = [hot(2, 5_000, Some(1)), hot(3, 13_000, Some(2))];
    let losses = check(&records, &[(HOT, Some(3))], &[(HOT, Some(2))], &[HOT]);
    assert_eq!(losses.lost, vec![(HOT, write(1, 3))]);
}

/// A trial in which the hot key was written with 1, and 2 was never answered.
fn past() -> Past {
    let unknown = put(HOT, write(1, 2), (2_000, 3_000), Fate::Unknown, Seen::Untold);
    let mut past = Past::default();
    past.add(&[hot(1, 1_000, None), unknown], &contents(&[(HOT, Some(1))]));
    past
}

#[test]
fn what_an_earlier_trial_left_behind_is_not_foreign() {
    let unknown = put(HOT, write(1, 3), (9_900, 10_900), Fate::Unknown, Seen::Untold);
    for shown in [1, 2, 3] {
        let losses = check_after(&past(), &[unknown], (&[], &[(HOT, Some(shown))]), &[]);
        assert_eq!(losses, Losses::default(), "{shown}");
    }
    let nobodys = check_after(&past(), &[unknown], (&[], &[(HOT, Some(4))]), &[]);
    assert_eq!(nobodys.foreign, vec![HOT]);
}

#[test]
fn what_an_earlier_trial_left_behind_may_not_outlive_a_new_write() {
    let losses = check_after(&past(), &[hot(3, 5_000, Some(1))], (&[], &[(HOT, Some(1))]), &[]);
    assert_eq!(losses.lost, vec![(HOT, write(1, 3))]);
    assert!(losses.foreign.is_empty());
}

#[test]
fn every_region_is_held_to_it() {
    let records = [cold(1, 5_000, Fate::Ok)];
    let losses = losses(&Evidence {
        records: &records,
        past: &Past::default(),
        fault: FAULT,
        takeover: &Contents::new(),
        finals: &[contents(&[(key(1), Some(1))]), contents(&[(key(1), None)])],
        listed: &BTreeSet::new(),
    });
    assert_eq!(losses.lost.len(), 1);
}

#[test]
fn calls_are_counted_by_intended_start() {
    let records = load(10_000, &[(5_000, 6_000)]);
    assert_eq!(count(&records, Fate::Unknown, (0, 10_000 * MS)), 10);
    assert_eq!(count(&records, Fate::Unknown, (0, 5_500 * MS)), 5);
}

#[test]
fn percentiles_are_by_nearest_rank() {
    let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
    assert_eq!(percentile(&values, 50.0), Some(5.0));
    assert_eq!(percentile(&values, 99.0), Some(10.0));
    assert_eq!(percentile(&[3.0], 50.0), Some(3.0));
    assert_eq!(percentile(&[], 50.0), None);
}
