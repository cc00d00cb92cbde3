//! Tests of `read`.

use super::*;
use crate::request::WriteOutcome;
use crate::testing::{Leader, condition, item, key, put, text, whole};

fn leader(items: i64) -> Leader {
    let mut leader = Leader::new(1);
    for n in 0..items {
        let value = if n % 2 == 0 { "even" } else { "odd" };
        assert!(matches!(leader.done(&put(n, value)), WriteOutcome::Done(_)));
    }
    leader
}

fn read(leader: &Leader, request: &PageRequest) -> Page {
    let view = leader.replica.engine().view().unwrap();
    page(view.as_ref(), leader.replica.spec(), request).unwrap()
}

fn encoded(n: i64) -> Vec<u8> {
    key(n).encode().into_bytes()
}

#[test]
fn pages_follow_each_other_by_resume_key_in_both_directions() {
    let leader = leader(10);
    for reverse in [false, true] {
        let mut request = PageRequest { limit: Some(3), reverse, ..whole() };
        let mut found: Vec<Item> = Vec::new();
        let mut pages = 0;
        loop {
            let page = read(&leader, &request);
            found.extend(page.items);
            pages += 1;
            let Some(resume) = page.resume else { break };
            let bound = Bound::Excluded(resume);
            if reverse { request.end = bound } else { request.start = bound }
        }
        let mut expected: Vec<_> =
            (0..10).map(|n| item(n, if n % 2 == 0 { "even" } else { "odd" })).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!((found, pages), (expected, 4));
    }
}

#[test]
fn limits_hold_before_the_filter() {
    let leader = leader(10);
    let filter = Some(condition("v = :v", &[(":v", text("odd"))]));
    let page = read(&leader, &PageRequest { limit: Some(3), filter, ..whole() });
    assert_eq!((page.scanned, page.count, page.items.len()), (3, 1, 1));
    assert_eq!(page.resume, Some(encoded(2)));
}

#[test]
fn a_page_ends_with_the_item_that_passes_the_byte_limit() {
    let leader = leader(10);
    let one = meridian_model::item_bytes(&item(0, "even"));
    let page = read(&leader, &PageRequest { bytes_max: one + 1, ..whole() });
    assert_eq!((page.scanned, page.resume), (2, Some(encoded(1))));
}

#[test]
fn a_page_that_reads_the_last_item_by_its_limit_says_go_on() {
    let leader = leader(3);
    let page = read(&leader, &PageRequest { limit: Some(3), ..whole() });
    assert_eq!(page.resume, Some(encoded(2)));
    let last = PageRequest { start: Bound::Excluded(encoded(2)), ..whole() };
    assert_eq!(read(&leader, &last), Page::default());
}

#[test]
fn counting_returns_no_items() {
    let leader = leader(4);
    let page = read(&leader, &PageRequest { count_only: true, ..whole() });
    assert_eq!((page.count, page.scanned, page.items.len()), (4, 4, 0));
    let filter = Some(condition("v = :v", &[(":v", text("odd"))]));
    let page = read(&leader, &PageRequest { count_only: true, filter, ..whole() });
    assert_eq!((page.count, page.scanned, page.items.len()), (2, 4, 0));
}

#[test]
fn only_the_partitions_own_range_is_read() {
    let leader = leader(10);
    let view = leader.replica.engine().view().unwrap();
    let mut spec = leader.replica.spec().clone();
    spec.range.start = encoded(2);
    spec.range.end = Some(encoded(7));
    let cases = [
        (Bound::Unbounded, Bound::Unbounded, 5),
        (Bound::Included(encoded(0)), Bound::Included(encoded(9)), 5),
        (Bound::Excluded(encoded(2)), Bound::Excluded(encoded(6)), 3),
        (Bound::Included(encoded(3)), Bound::Included(encoded(7)), 4),
        (Bound::Included(encoded(7)), Bound::Unbounded, 0),
        (Bound::Unbounded, Bound::Excluded(encoded(2)), 0),
    ];
    for (start, end, count) in cases {
        for reverse in [false, true] {
            let (start, end) = (start.clone(), end.clone());
            let request = PageRequest { start, end, reverse, ..whole() };
            let page = page(view.as_ref(), &spec, &request).unwrap();
            assert_eq!(page.count, count, "{request:?}");
        }
    }
}

#[test]
fn digests_tell_equal_from_different_items() {
    let leader = leader(3);
    let view = leader.replica.engine().view().unwrap();
    let spec = leader.replica.spec();
    let all = digests(view.as_ref(), spec, false, None, 10).unwrap();
    assert_eq!(all.len(), 3);
    assert_ne!(all[0].hash, all[1].hash);
    let rest = digests(view.as_ref(), spec, false, Some(&all[0].key), 1).unwrap();
    assert_eq!(rest, all[1..2]);
    assert_eq!(digests(view.as_ref(), spec, true, None, 10).unwrap(), []);
}

#[test]
fn a_damaged_item_is_an_error_and_not_an_item() {
    let leader = leader(2);
    let at = layout::item_key(leader.replica.spec().table, &encoded(1));
    let engine = leader.replica.engine();
    let mut bytes = engine.get(&at).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut batch = meridian_storage::Batch::new();
    batch.put(at, bytes);
    engine.write(batch).unwrap();
    let spec = leader.replica.spec();
    let error = get(engine.as_ref(), spec, &Get { key: key(1) }).unwrap_err();
    assert!(error.needs_rebuild());
    let view = engine.view().unwrap();
    assert!(page(view.as_ref(), spec, &whole()).is_err());
}
