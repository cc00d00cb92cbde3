//! Tests of changes of a table's global indexes.

use super::tests::{Region, create, delete, placed, update};
use super::*;
use crate::table::{BillingMode, OnDemandMaximum, Throughput};
use meridian_model::{GlobalIndex, IndexProjection, KeyAttribute, KeyAttributes, KeyKind};

fn throughput(units: u64) -> Option<Throughput> {
    Some(Throughput { read_units: units, write_units: units })
}

/// An ACTIVE table `t`, provisioned, with an ACTIVE index `idx`.
pub(super) fn indexed(region: &mut Region) -> TableId {
    let mut command = create("t", placed(1, &[1]));
    let Command::CreateTable { definition, .. } = &mut command else { panic!("it makes a table") };
    (definition.billing, definition.throughput) = (BillingMode::Provisioned, throughput(1));
    definition.global_indexes.push(GlobalIndexDefinition {
        index: GlobalIndex {
            name: "idx".to_owned(),
            keys: KeyAttributes {
                partition: vec![KeyAttribute::new("at", KeyKind::N)],
                sort: Vec::new(),
            },
            projection: IndexProjection::KeysOnly,
        },
        throughput: throughput(1),
        on_demand: OnDemandMaximum::default(),
        warm: None,
    });
    let Done::Table(table) = region.done(command) else { panic!("no table was made") };
    let partitions = placed(1, &[1]);
    let made = Command::MakeIndex { table, index: "idx".to_owned(), partitions };
    let Done::Table(index) = region.done(made) else { panic!("no index was made") };
    let partition = region.state.tables()["t"].partitions[0];
    region.done(Command::TableActive { table: index });
    region.done(Command::IndexFilled { index, partition });
    region.done(Command::TableActive { table });
    table
}

fn changed(throughput: Option<Throughput>, warm: Option<Throughput>) -> Command {
    let name = "idx".to_owned();
    let on_demand = OnDemandChange::default();
    let indexes = vec![IndexChange::Update { name, throughput, on_demand, warm }];
    update(TableSettings { indexes, ..TableSettings::default() })
}

fn statuses(region: &Region) -> (TableStatus, IndexStatus) {
    let table = &region.state.tables()["t"];
    (table.status, table.index("idx").expect("it stays").status)
}

#[test]
fn an_index_is_updating_alone_until_the_planner_has_seen_to_its_table() {
    let mut region = Region::with_nodes(1);
    let table = indexed(&mut region);
    let settled = (TableStatus::Active, IndexStatus::Active);
    assert_eq!(statuses(&region), settled);
    assert!(!region.state.tables()["t"].is_settling());

    region.done(changed(throughput(3), None));
    assert_eq!(statuses(&region), (TableStatus::Active, IndexStatus::Updating));
    assert!(region.state.tables()["t"].is_settling());
    assert_eq!(region.refused(changed(throughput(4), None)), Refusal::IndexUpdating);
    let indexes = vec![IndexChange::Delete("idx".to_owned())];
    let gone = update(TableSettings { indexes, ..TableSettings::default() });
    assert_eq!(region.refused(gone), Refusal::IndexUpdating);

    region.done(Command::TableActive { table });
    assert_eq!(statuses(&region), settled);
    let index = region.state.tables()["t"].index("idx").unwrap().clone();
    assert_eq!((index.throughput_raised_ms, index.throughput_lowered_ms), (Some(2_000), None));
    region.done(changed(throughput(2), None));
    region.done(Command::TableActive { table });
    let index = region.state.tables()["t"].index("idx").unwrap().clone();
    assert_eq!(index.throughput_lowered_ms, Some(2_000));
    assert_eq!(index.definition.throughput, throughput(2));
}

#[test]
fn warm_throughput_changes_no_status() {
    let mut region = Region::with_nodes(1);
    indexed(&mut region);
    region.done(changed(None, throughput(9)));
    assert_eq!(statuses(&region), (TableStatus::Active, IndexStatus::Active));
    assert_eq!(region.refused(delete("none")), Refusal::TableNotFound);
}

#[test]
fn a_change_of_billing_is_one_of_the_table_and_of_its_indexes() {
    let mut region = Region::with_nodes(1);
    let table = indexed(&mut region);
    let billing = Some(BillingMode::PayPerRequest);
    region.done(update(TableSettings { billing, ..TableSettings::default() }));
    assert_eq!(statuses(&region), (TableStatus::Updating, IndexStatus::Updating));
    region.done(Command::TableActive { table });
    let maximum = |units| {
        let on_demand = OnDemandChange { read_units: Setting::Set(units), ..Default::default() };
        let name = "idx".to_owned();
        IndexChange::Update { name, throughput: None, on_demand, warm: None }
    };
    let indexes = vec![maximum(7)];
    region.done(update(TableSettings { indexes, ..TableSettings::default() }));
    assert_eq!(statuses(&region), (TableStatus::Active, IndexStatus::Updating));
    region.done(Command::TableActive { table });

    let name = "idx".to_owned();
    let on_demand = OnDemandChange::default();
    let provisioned = TableSettings {
        billing: Some(BillingMode::Provisioned),
        throughput: throughput(5),
        indexes: vec![IndexChange::Update {
            name,
            throughput: throughput(5),
            on_demand,
            warm: None,
        }],
        ..TableSettings::default()
    };
    region.done(update(provisioned));
    let index = region.state.tables()["t"].index("idx").unwrap().clone();
    assert!(index.definition.on_demand.is_none(), "what is billed otherwise has no such limit");
}
