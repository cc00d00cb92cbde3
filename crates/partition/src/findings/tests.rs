use super::*;
use crate::command::tests::every_mutation;
use crate::command::{Batch, Command, Mutation};
use crate::header::Reader;
use crate::testing::{Leader, delete, key, put};
use meridian_base::{Incarnation, Sequence};

/// A leader whose partition has recorded three conflicts and three stranded writes.
fn leader() -> Leader {
    let mut leader = Leader::new(1);
    let found = |m: &Mutation| matches!(m, Mutation::Conflict(_) | Mutation::Stranded(_));
    let mutations = (5..8).flat_map(every_mutation).filter(found).collect();
    let batch =
        Batch { incarnation: Incarnation(1), sequence: Sequence(1), commit_ms: 1, mutations };
    leader.apply(&Command::Batch(batch).encode());
    leader
}

#[test]
fn logs_are_read_from_a_number_on() {
    let leader = leader();
    let view = leader.replica.engine().view().unwrap();
    let spec = leader.replica.spec();
    let all = conflicts(view.as_ref(), spec, 0, 10).unwrap();
    let short: Vec<_> = all.iter().map(|(number, r)| (*number, r.found_ms)).collect();
    assert_eq!(short, [(0, 5), (1, 6), (2, 7)]);
    assert_eq!(conflicts(view.as_ref(), spec, 1, 1).unwrap(), all[1..2]);
    assert_eq!(conflicts(view.as_ref(), spec, 0, 0).unwrap(), []);
    let rest = stranded(view.as_ref(), spec, 2, 10).unwrap();
    assert_eq!(rest.iter().map(|(number, r)| (*number, r.found_ms)).collect::<Vec<_>>(), [(2, 7)]);
    assert_eq!((leader.replica.header().conflicts, leader.replica.header().stranded), (3, 3));
}

#[test]
fn tombstones_are_read_page_by_page() {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(Reader::Region(2)).unwrap();
    for n in 0..3 {
        leader.done(&put(n, "x"));
        leader.done(&delete(n));
    }
    let view = leader.replica.engine().view().unwrap();
    let first = tombstones(view.as_ref(), leader.replica.spec(), None, 2).unwrap();
    assert_eq!(first.len(), 2);
    let rest = tombstones(view.as_ref(), leader.replica.spec(), Some(&first[1].0), 2).unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].0, key(2).encode().into_bytes());
    assert_eq!(rest[0].1.deleted_ms, leader.now_ms);
}
