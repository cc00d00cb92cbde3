//! Tests of tables that change names.

use super::index_tests::indexed;
use super::tests::{Region, create, delete, placed};
use super::*;

fn swap(first: &str, second: &str) -> Command {
    Command::SwapTables { first: first.to_owned(), second: second.to_owned() }
}

#[test]
fn all_but_the_names_stays_with_the_tables() {
    let mut region = Region::with_nodes(3);
    let (one, other) = (indexed(&mut region), region.active_table("restored"));
    let before = region.state.clone();
    let index = before.tables()["t"].indexes[0].id;
    region.done(swap("t", "restored"));
    let state = &region.state;
    assert_eq!((state.tables()["restored"].id, state.tables()["t"].id), (one, other));
    assert_eq!(state.tables()["restored/idx"].id, index, "its index goes with a table");
    assert_eq!(state.tables().len(), 3);
    assert!(state.tables().iter().all(|(name, table)| *name == table.name));
    for table in before.tables().values() {
        let after = state.table_by_id(table.id).unwrap();
        assert_eq!(TableRecord { name: table.name.clone(), ..after.clone() }, *table);
    }
    region.done(swap("t", "restored"));
    let applied = region.state.applied();
    assert_eq!(region.state, RegionState { applied, ..before }, "back again");
}

#[test]
fn what_is_in_use_keeps_its_name() {
    let mut region = Region::with_nodes(3);
    indexed(&mut region);
    let other = region.active_table("other");
    assert_eq!(region.refused(swap("t", "t")), Refusal::SameTable);
    assert_eq!(region.refused(swap("t", "nothing")), Refusal::TableNotFound);
    assert_eq!(region.refused(swap("other", "t/idx")), Refusal::TableNotFound);
    region.done(create("new", placed(1, &[1])));
    let creating = Refusal::InUse { status: TableStatus::Creating };
    assert_eq!(region.refused(swap("new", "t")), creating);
    let global = GlobalSnapshot { version: 1, replicas: BTreeMap::new() };
    region.done(Command::SetGlobal { table: other, global: Some(global) });
    assert_eq!(region.refused(swap("t", "other")), Refusal::Replicated);
    region.done(Command::SetGlobal { table: other, global: None });
    region.done(delete("other"));
    let deleting = Refusal::InUse { status: TableStatus::Deleting };
    assert_eq!(region.refused(swap("t", "other")), deleting);
}
