//! Tests of `append`: known anomalies, and histories of a serial store.

use super::*;
use proptest::prelude::*;

fn append(elements: &[(ListId, Element)], at: u64) -> Transaction {
    let deed = Deed::Append(elements.to_vec(), Ending::Done);
    Transaction { deed, invoked: at, completed: u64::MAX }
}

fn read(lists: &[(ListId, &[Element])], at: u64) -> Transaction {
    let lists = lists.iter().map(|(list, elements)| (*list, elements.to_vec())).collect();
    Transaction { deed: Deed::Read(lists), invoked: at, completed: at }
}

#[test]
fn a_serial_history_is_in_order() {
    let history = [
        append(&[(1, 10), (2, 20)], 1),
        read(&[(1, &[10]), (2, &[20])], 2),
        append(&[(1, 11)], 3),
        read(&[(1, &[10, 11])], 4),
        read(&[(1, &[]), (2, &[])], 0),
    ];
    assert_eq!(check_append(&history), []);
}

#[test]
fn half_a_transaction_is_found() {
    let history =
        [append(&[(1, 10), (2, 20)], 1), read(&[(1, &[10]), (2, &[])], 2), read(&[(2, &[20])], 3)];
    assert_eq!(check_append(&history), [Anomaly::Circle(vec![1, 0])]);
}

#[test]
fn two_readers_that_disagree_about_the_order_are_found() {
    let history = [
        append(&[(1, 10)], 1),
        append(&[(2, 20)], 1),
        read(&[(1, &[10]), (2, &[])], 2),
        read(&[(1, &[]), (2, &[20])], 2),
    ];
    let found = check_append(&history);
    assert!(
        matches!(found.as_slice(), [Anomaly::Circle(circle)] if circle.len() == 4),
        "{found:?}"
    );
}

#[test]
fn what_no_list_may_hold_is_found() {
    let mut failed = append(&[(1, 10)], 1);
    failed.deed = Deed::Append(vec![(1, 10)], Ending::Failed);
    let foreign = Anomaly::Foreign { list: 1, element: 10, reader: 1 };
    assert_eq!(check_append(&[failed, read(&[(1, &[10])], 2)]), [foreign]);
    let twice = [append(&[(1, 10)], 1), read(&[(1, &[10, 10])], 2)];
    assert_eq!(check_append(&twice), [Anomaly::Twice { list: 1, element: 10, reader: 1 }]);
    let orders = [
        append(&[(1, 10)], 1),
        append(&[(1, 11)], 1),
        read(&[(1, &[10, 11])], 2),
        read(&[(1, &[11])], 2),
    ];
    assert_eq!(check_append(&orders), [Anomaly::Orders { list: 1, readers: (2, 3) }]);
}

#[test]
fn an_acknowledged_append_must_be_seen_by_later_readers() {
    let mut done = append(&[(1, 10)], 1);
    done.completed = 5;
    let missed = Anomaly::Missed { list: 1, element: 10, reader: 2 };
    assert_eq!(check_append(&[done, read(&[(1, &[])], 4), read(&[(1, &[])], 6)]), [missed]);
}

#[test]
fn an_unknown_append_may_be_there_or_not() {
    let mut unknown = append(&[(1, 10), (2, 20)], 1);
    unknown.deed = Deed::Append(vec![(1, 10), (2, 20)], Ending::Unknown);
    assert_eq!(check_append(&[unknown.clone(), read(&[(1, &[]), (2, &[])], 9)]), []);
    let history = [unknown, read(&[(1, &[10])], 2), read(&[(2, &[20]), (1, &[10])], 3)];
    assert_eq!(check_append(&history), []);
}

#[derive(Debug, Clone)]
enum Step {
    Append(BTreeSet<ListId>),
    Read(BTreeSet<ListId>),
}

fn step() -> impl Strategy<Value = Step> {
    let lists = || prop::collection::btree_set(0..4u32, 1..4);
    prop_oneof![lists().prop_map(Step::Append), lists().prop_map(Step::Read)]
}

proptest! {
    /// A store that does one after the other is in order; one that drops an append of several lists
    /// from one of them is not, if both lists were read after.
    #[test]
    fn a_serial_store_is_in_order_and_a_torn_one_is_not(
        steps in prop::collection::vec(step(), 1..60),
        torn: prop::sample::Index,
    ) {
        let mut lists: BTreeMap<ListId, Vec<Element>> = (0..4).map(|id| (id, Vec::new())).collect();
        let mut history = Vec::new();
        for (at, step) in (1u64..).zip(&steps) {
            let deed = match step {
                Step::Append(to) => {
                    to.iter().for_each(|id| lists.get_mut(id).unwrap().push(at));
                    Deed::Append(to.iter().map(|id| (*id, at)).collect(), Ending::Done)
                }
                Step::Read(of) => Deed::Read(of.iter().map(|id| (*id, lists[id].clone())).collect()),
            };
            history.push(Transaction { deed, invoked: at * 2, completed: at * 2 + 1 });
        }
        let all = lists.iter().map(|(id, elements)| (*id, elements.clone())).collect();
        history.push(Transaction { deed: Deed::Read(all), invoked: u64::MAX, completed: u64::MAX });
        prop_assert_eq!(check_append(&history), []);
        let whole: Vec<usize> = (0..history.len())
            .filter(|at| matches!(&history[*at].deed, Deed::Append(to, _) if to.len() > 1))
            .collect();
        if whole.is_empty() {
            return Ok(());
        }
        let torn = whole[torn.index(whole.len())];
        let Deed::Append(to, _) = history[torn].deed.clone() else { unreachable!() };
        let (list, element) = to[0];
        for one in &mut history {
            if let Deed::Read(lists) = &mut one.deed {
                for (id, elements) in lists.iter_mut().filter(|(id, _)| *id == list) {
                    let _ = id;
                    elements.retain(|known| *known != element);
                }
            }
        }
        prop_assert!(!check_append(&history).is_empty());
    }
}
