//! Known histories, and histories generated from one order of calls.

use proptest::prelude::*;

use super::*;
use crate::history::{Call, Reply, Value};

/// One call in short: `p1 0..1 ok`, `p1 0.. ?`, `g1 2..3`, `g- 2..3`, `c1>2 0..1 ok`,
/// `c1>2 0..1 no3`, `c1>2 0..1 no`, `p1 0..1 failed`, `d 0..1 ok`.
fn parse(text: &str) -> Operation {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (from, to) = words[1].split_once("..").unwrap();
    let state = |text: &str| (text != "-").then(|| Value(text.parse().unwrap()));
    let (kind, rest) = words[0].split_at(1);
    let reply = match words.get(2).copied() {
        Some("ok") => Reply::Done,
        Some("?") => Reply::Unknown,
        Some("failed") => Reply::Failed,
        Some("no") => Reply::Refused(None),
        Some(refused) => Reply::Refused(Some(state(refused.strip_prefix("no").unwrap()))),
        None => Reply::Got(state(rest)),
    };
    let call = match kind {
        "p" => Call::Put(state(rest)),
        "d" => Call::Put(None),
        "g" => Call::Get,
        "c" => {
            let (expected, new) = rest.split_once('>').unwrap();
            Call::PutIf { expected: state(expected), new: state(new) }
        }
        other => panic!("no call {other}"),
    };
    let invoked = from.parse().unwrap();
    Operation { client: 0, call, reply, invoked, completed: to.parse().unwrap_or(0) }
}

fn verdict(calls: &[&str]) -> Verdict {
    let history: Vec<Operation> = calls.iter().map(|text| parse(text)).collect();
    check_register(None, &history, SEARCH_STEPS_MAX)
}

#[track_caller]
fn good(calls: &[&str]) {
    assert_eq!(verdict(calls), Verdict::Linearizable);
}

#[track_caller]
fn bad(calls: &[&str], at: usize) {
    match verdict(calls) {
        Verdict::Violated(violation) => assert_eq!(violation.operation, at, "{violation}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sequential_calls_are_linearizable() {
    good(&[
        "g- 0..1",
        "p1 2..3 ok",
        "g1 4..5",
        "p2 6..7 ok",
        "g2 8..9",
        "d 10..11 ok",
        "g- 12..13",
    ]);
}

#[test]
fn a_stale_read_is_found() {
    bad(&["p1 0..1 ok", "p2 2..3 ok", "g1 4..5"], 2);
}

#[test]
fn a_read_of_what_was_never_written_is_found() {
    bad(&["p1 0..1 ok", "g7 2..3"], 1);
}

#[test]
fn a_read_from_the_future_is_found() {
    bad(&["g1 0..1", "p1 2..3 ok"], 0);
}

#[test]
fn overlapping_writes_may_come_in_either_order() {
    good(&["p1 0..10 ok", "p2 0..10 ok", "g1 11..12"]);
    good(&["p1 0..10 ok", "p2 0..10 ok", "g2 11..12"]);
}

#[test]
fn two_readers_may_not_disagree_on_the_order() {
    bad(&["p1 0..10 ok", "p2 0..10 ok", "g1 11..12", "g2 13..14"], 3);
}

#[test]
fn a_read_may_not_go_back() {
    bad(&["p1 0..1 ok", "p2 2..9 ok", "g2 3..4", "g1 5..6"], 3);
}

#[test]
fn an_unknown_write_may_happen_late_or_never_but_once() {
    good(&["p1 0..1 ok", "p2 2.. ?", "g1 10..11", "g2 20..21"]);
    good(&["p1 0..1 ok", "p2 2.. ?", "g1 10..11", "g1 20..21"]);
    bad(&["p1 0..1 ok", "p2 2.. ?", "g2 10..11", "g1 20..21"], 3);
}

#[test]
fn a_refuted_write_may_not_be_seen() {
    bad(&["p1 0..1 failed", "g1 2..3"], 1);
}

#[test]
fn conditional_writes_follow_the_content() {
    good(&["p1 0..1 ok", "c1>2 2..3 ok", "g2 4..5", "c1>3 6..7 no2", "c1>4 8..9 no"]);
    bad(&["p1 0..1 ok", "p2 2..3 ok", "c1>3 4..5 ok"], 2);
    bad(&["p1 0..1 ok", "c1>3 4..5 no"], 1);
    bad(&["p1 0..1 ok", "c1>3 4..5 no1"], 1);
}

#[test]
fn one_content_is_swapped_away_once() {
    bad(&["p1 0..1 ok", "c1>2 2..9 ok", "c1>3 2..9 ok"], 1);
}

#[test]
fn an_unknown_conditional_write_may_explain_what_follows() {
    good(&["p1 0..1 ok", "c1>2 2.. ?", "c2>3 4..5 ok", "g3 6..7"]);
    bad(&["p1 0..1 ok", "c1>2 2.. ?", "c2>3 4..5 ok", "g2 6..7"], 3);
}

#[test]
fn a_refusal_without_content_may_need_a_write_that_nobody_read() {
    good(&["p1 0..1 ok", "p2 2..9 ok", "c1>3 3..4 no"]);
    good(&["p1 0..1 ok", "p2 2.. ?", "c1>3 3..4 no"]);
    // The unknown write explains the refusal, so it comes before the read and cannot be undone.
    bad(&["p1 0..1 ok", "p2 2.. ?", "c1>3 3..4 no", "g1 5..6"], 3);
}

#[test]
fn values_may_repeat() {
    good(&["p1 0..1 ok", "p2 2..3 ok", "p1 4..5 ok", "g1 6..7"]);
    bad(&["p1 0..1 ok", "p2 2..3 ok", "p1 4..5 ok", "g2 6..7"], 3);
}

#[test]
fn the_initial_content_counts() {
    let history = [parse("g5 0..1"), parse("p6 2..3 ok"), parse("g5 4..5")];
    let verdict = check_register(Some(Value(5)), &history, SEARCH_STEPS_MAX);
    assert!(matches!(verdict, Verdict::Violated(Violation { operation: 2 })), "{verdict:?}");
}

#[test]
fn a_spent_budget_is_not_a_verdict() {
    let history: Vec<Operation> =
        ["p1 0..9 ok", "p2 0..9 ok", "g1 10..11"].iter().map(|text| parse(text)).collect();
    assert_eq!(check_register(None, &history, 1), Verdict::Undecided);
}

#[test]
fn the_keys_that_fail_are_named() {
    let good = (None, vec![parse("p1 0..1 ok"), parse("g1 2..3")]);
    let bad = (None, vec![parse("p1 0..1 ok"), parse("g- 2..3")]);
    let verdicts = check_keys(&BTreeMap::from([("good", good), ("bad", bad)]));
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), vec![&"bad"]);
}

/// A stall: many writes open at once, all acknowledged together, then read.
#[test]
fn a_crowd_of_overlapping_writes_is_decided() {
    let mut history: Vec<Operation> =
        (0..60).map(|value| parse(&format!("p{} {value}..1000 ok", value + 1))).collect();
    history.push(parse("g33 1001..1002"));
    assert_eq!(check_register(None, &history, SEARCH_STEPS_MAX), Verdict::Linearizable);
    history.push(parse("g34 1003..1004"));
    assert!(matches!(check_register(None, &history, SEARCH_STEPS_MAX), Verdict::Violated(_)));
}

/// The plan of one generated call: kind, how long before and after its point it was open, whether
/// its client heard of it, and whether an unheard write happened.
type Draw = (u8, u64, u64, bool, bool);

/// Runs calls in one order, one every 10 ns, and hides the order behind overlapping intervals.
fn generated(draws: &[Draw]) -> Vec<Operation> {
    let mut state: State = None;
    let mut history = Vec::new();
    for (place, (kind, before, after, heard, happened)) in draws.iter().enumerate() {
        let point = 1000 + place as u64 * 10;
        let new = Some(Value(place as u64 + 1));
        let takes = *heard || *happened;
        let (call, reply) = match kind % 4 {
            0 => (Call::Get, Reply::Got(state)),
            1 => (Call::Put(new), Reply::Done),
            2 => (Call::PutIf { expected: state, new }, Reply::Done),
            _ => (Call::PutIf { expected: Some(Value(0)), new }, Reply::Refused(Some(state))),
        };
        let writes = matches!(kind % 4, 1 | 2);
        if writes && takes {
            state = new;
        }
        let reply = if *heard || !writes { reply } else { Reply::Unknown };
        let (invoked, completed) = (point - before, point + after);
        history.push(Operation { client: 0, call, reply, invoked, completed });
    }
    history
}

fn draws(length: usize, stretch: u64) -> impl Strategy<Value = Vec<Draw>> {
    let draw = (any::<u8>(), 0..stretch, 0..stretch, prop::bool::weighted(0.9), any::<bool>());
    prop::collection::vec(draw, 1..length)
}

/// Decides by trying every order; for small histories only.
fn by_every_order(history: &[Operation]) -> bool {
    fn place(state: State, rest: &[Operation]) -> bool {
        let horizon = rest
            .iter()
            .filter(|one| one.reply != Reply::Unknown)
            .map(|one| one.completed)
            .min()
            .unwrap_or(u64::MAX);
        if rest.iter().all(|one| one.reply == Reply::Unknown) {
            return true;
        }
        (0..rest.len()).filter(|next| rest[*next].invoked <= horizon).any(|next| {
            let mut others = rest.to_vec();
            let one = others.remove(next);
            let after = match (one.call, one.reply) {
                (Call::Get, Reply::Got(seen)) => (seen == state).then_some(state),
                (Call::Put(new), _) => Some(new),
                (Call::PutIf { expected, .. }, Reply::Refused(Some(seen))) => {
                    (seen == state && seen != expected).then_some(state)
                }
                (Call::PutIf { expected, new }, _) => (expected == state).then_some(new),
                (Call::Get, _) => Some(state),
            };
            after.is_some_and(|after| place(after, &others))
        })
    }
    place(None, history)
}

proptest! {
    #[test]
    fn what_one_order_produced_passes(draws in draws(400, 60)) {
        let history = generated(&draws);
        prop_assert_eq!(check_register(None, &history, SEARCH_STEPS_MAX), Verdict::Linearizable);
    }

    #[test]
    fn a_read_made_stale_fails(draws in draws(60, 60), pick in any::<prop::sample::Index>()) {
        let mut history = generated(&draws);
        let last = history.iter().map(|one| one.completed).max().unwrap_or(0);
        // Two acknowledged writes after everything, then a read of the first of the two, or older.
        let stale = pick.index(history.len()) as u64;
        for (offset, value) in [(10, 900_001), (20, 900_002)] {
            let call = Call::Put(Some(Value(value)));
            let (invoked, completed) = (last + offset, last + offset + 5);
            history.push(Operation { client: 1, call, reply: Reply::Done, invoked, completed });
        }
        let seen = if stale == 0 { Value(900_001) } else { Value(stale) };
        let (invoked, completed) = (last + 30, last + 35);
        let reply = Reply::Got(Some(seen));
        // An unknown write of exactly that value could still arrive late; that is no mistake.
        prop_assume!(!history.iter().any(|one| {
            one.reply == Reply::Unknown && one.written() == Some(Some(seen))
        }));
        history.push(Operation { client: 1, call: Call::Get, reply, invoked, completed });
        let verdict = check_register(None, &history, SEARCH_STEPS_MAX);
        prop_assert!(matches!(verdict, Verdict::Violated(_)), "{:?}", verdict);
    }

    #[test]
    fn small_histories_agree_with_every_order(
        draws in draws(7, 40),
        read in any::<prop::sample::Index>(),
        value in 0u64..8,
    ) {
        let mut history = generated(&draws);
        let place = read.index(history.len());
        if let Reply::Got(_) = history[place].reply {
            history[place].reply = Reply::Got((value > 0).then_some(Value(value)));
        }
        let expected = by_every_order(&history);
        let verdict = check_register(None, &history, SEARCH_STEPS_MAX);
        prop_assert_eq!(verdict == Verdict::Linearizable, expected, "{:?}", history);
    }
}

#[test]
fn thousands_of_calls_on_one_key_are_quick() {
    // Bounded by steps, not by time: the search must stay near one step a call.
    let draws: Vec<Draw> = (0..6000u64)
        .map(|n| {
            let spread = n.wrapping_mul(2_654_435_761) >> 7;
            ((spread % 256) as u8, spread % 83, (spread >> 3) % 97, spread % 11 != 0, n % 2 == 0)
        })
        .collect();
    let history = generated(&draws);
    assert_eq!(check_register(None, &history, 200_000), Verdict::Linearizable);
}
