//! Tests of `request`.

use super::*;
use crate::testing::{condition, delete, existing, item, key, number, put, text, update, when};
use proptest::prelude::*;

fn writes() -> Vec<Write> {
    vec![
        put(1, "a"),
        delete(2),
        update(3, "SET v = :v ADD n :n", &[(":v", text("b")), (":n", number(4))]),
        when(put(4, "c"), condition("attribute_not_exists(p) OR v = :v", &[(":v", text("x"))])),
        Write { key: Key { partition: text("only"), sort: None }, ..delete(1) },
        Write { action: Action::Update(Update::new(Vec::new()).unwrap()), ..put(1, "") },
        existing(update(3, "REMOVE v", &[])),
    ]
}

#[test]
fn writes_round_trip() {
    for write in writes() {
        assert_eq!(Write::decode(&write.encode()), Ok(write));
    }
}

#[test]
fn outcomes_round_trip() {
    let old = Some(item(1, "a"));
    let (local_units, global_units) = (vec![0, 2], vec![(TableId(9), 3)]);
    let done = Done { old, new: None, old_bytes: 9, new_bytes: 0, local_units, global_units };
    let refusals = [
        Refusal::ItemTooLarge,
        Refusal::UpdatedItemTooLarge,
        Refusal::KeyUpdated("p".to_owned()),
        Refusal::Expression("An operand has the wrong type".to_owned()),
        Refusal::IndexKeyType,
        Refusal::IndexKeyEmpty("string"),
        Refusal::IndexKeyEmpty("binary"),
        Refusal::IndexKeyTooLong,
    ];
    let outcomes = refusals.map(WriteOutcome::Refused).into_iter().chain([
        WriteOutcome::Done(done),
        WriteOutcome::ConditionFailed { old: Some(item(2, "b")), old_bytes: 7 },
    ]);
    for outcome in outcomes {
        assert_eq!(WriteOutcome::decode(&outcome.encode()), Ok(outcome));
    }
}

#[test]
fn reads_round_trip() {
    let get = Get { key: key(5) };
    assert_eq!(Get::decode(&get.encode()), Ok(get));
    let got = GetOutcome { item: Some(item(5, "x")), bytes: 12 };
    assert_eq!(GetOutcome::decode(&got.encode()), Ok(got));
    for limit in [None, Some(0), Some(u32::MAX)] {
        let request = PageRequest {
            start: Bound::Excluded(vec![1]),
            end: Bound::Unbounded,
            reverse: true,
            limit,
            bytes_max: 1024,
            filter: Some(condition("v = :v", &[(":v", text("x"))])),
            count_only: limit.is_none(),
            index: limit.map(|limit| IndexRead {
                number: 3,
                shown: (limit > 0).then(|| vec!["p".to_owned(), "s".to_owned()]),
                whole: limit > 0,
            }),
        };
        assert_eq!(PageRequest::decode(&request.encode()), Ok(request));
    }
    let page = Page {
        items: vec![item(1, "a"), item(2, "b")],
        scanned: 3,
        count: 2,
        bytes: 40,
        fetched: 5,
        resume: Some(vec![1, 2]),
    };
    assert_eq!(Page::decode(&page.encode()), Ok(page));
}

#[test]
fn refusals_print_the_services_messages() {
    assert_eq!(
        Refusal::ItemTooLarge.to_string(),
        "Item size has exceeded the maximum allowed size"
    );
    assert_eq!(
        Refusal::UpdatedItemTooLarge.to_string(),
        "Item size to update has exceeded the maximum allowed size"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        bytes: Vec<u8>,
        which in 0usize..7,
        at: prop::sample::Index,
        flip in 1u8..,
    ) {
        let _ = (Write::decode(&bytes), WriteOutcome::decode(&bytes), Get::decode(&bytes));
        let _ = (PageRequest::decode(&bytes), Page::decode(&bytes), GetOutcome::decode(&bytes));
        let mut damaged = writes()[which].encode();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let _ = Write::decode(&damaged);
        let _ = Write::decode(&damaged[..at]);
    }
}
