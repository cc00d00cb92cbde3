//! A global table's life over two regions, driven only by [`replica_steps`].

use super::*;
use crate::global::tests::{Cluster, REGIONS};
use crate::global::{self, RegionStatus};
use crate::region;
use crate::region::TableSettings;
use crate::region::tests::{Region, create, definition, placed};
use crate::table::{ReplicaStatus, StreamView, TableDefinition};
use meridian_base::TableId;

const HERE: &str = REGIONS[1];
const ORDERS: TableId = TableId((1 << 48) | 1);

/// Region 2 of a cluster in which region 1 made the table "orders" global.
struct Pair {
    global: Cluster,
    region: Region,
    filled: BTreeSet<TableId>,
}

impl Pair {
    fn new() -> Self {
        let mut global = Cluster::of(&REGIONS, 1);
        global.done(global::Command::CreateGlobalTable {
            name: "orders".to_owned(),
            table: ORDERS,
            definition: definition(),
            region: REGIONS[0].to_owned(),
            at_ms: 1,
        });
        let region = Region::with_nodes(1);
        Pair { global, region, filled: BTreeSet::new() }
    }

    fn steps(&self) -> Vec<ReplicaStep> {
        replica_steps(&self.global.state, &self.region.state, &self.filled, 5)
    }

    /// Carries steps out until there are none; returns how many there were.
    fn run(&mut self) -> usize {
        for done in 0..20 {
            let Some(step) = self.steps().into_iter().next() else { return done };
            match step {
                ReplicaStep::Create { name, table, definition: wanted, global } => {
                    let mut command = create(&name, placed(2, &[1]));
                    if let region::Command::CreateTable {
                        definition,
                        forced,
                        global: snapshot,
                        ..
                    } = &mut command
                    {
                        (**definition, *forced, *snapshot) = (wanted, Some(table), Some(global));
                    }
                    self.region.done(command);
                }
                ReplicaStep::Region(command) => drop(self.region.done(command)),
                ReplicaStep::Global(command) => drop(self.global.done(command)),
            }
        }
        panic!("never ends: {:?}", self.steps());
    }

    fn add(&mut self) {
        let (name, region) = ("orders".to_owned(), HERE.to_owned());
        self.global.done(global::Command::AddReplica { name, region, at_ms: 2 });
    }

    fn remove(&mut self) {
        let (name, region) = ("orders".to_owned(), HERE.to_owned());
        self.global.done(global::Command::RemoveReplica { name, region, at_ms: 3 });
    }

    fn status(&self) -> Option<ReplicaStatus> {
        let table = self.global.state.tables().get("orders")?;
        table.replicas.get(HERE).map(|replica| replica.status)
    }

    fn activate(&mut self) {
        self.region.done(region::Command::TableActive { table: ORDERS });
    }
}

#[test]
fn a_replica_is_made_filled_followed_and_removed() {
    let mut pair = Pair::new();
    assert_eq!(pair.run(), 0, "no replica here yet");
    pair.add();
    assert_eq!(pair.run(), 1);
    assert_eq!(pair.region.state.tables()["orders"].id, ORDERS);
    pair.filled.insert(ORDERS);
    assert_eq!((pair.run(), pair.status()), (0, Some(ReplicaStatus::Creating)), "not active");
    pair.filled.clear();
    pair.activate();
    assert_eq!((pair.run(), pair.status()), (0, Some(ReplicaStatus::Creating)), "not filled");
    pair.filled.insert(ORDERS);
    pair.run();
    assert_eq!(pair.status(), Some(ReplicaStatus::Active));
    let snapshot = pair.global.state.tables()["orders"].snapshot();
    assert_eq!(pair.region.state.tables()["orders"].global, Some(snapshot));
    let changed = TableDefinition { stream: Some(StreamView::NewAndOldImages), ..definition() };
    let expected_version = pair.global.state.tables()["orders"].version;
    pair.global.done(global::Command::UpdateTableDefinition {
        name: "orders".to_owned(),
        expected_version,
        definition: changed.clone(),
    });
    pair.run();
    assert_eq!(pair.region.state.tables()["orders"].definition, changed);
    pair.remove();
    assert_eq!(pair.run(), 1, "deleted, and then waits for the nodes");
    pair.region.done(region::Command::TableGone { table: ORDERS });
    assert_eq!((pair.run(), pair.status()), (1, None));
    assert!(pair.region.state.tables().is_empty());
}

#[test]
fn another_table_of_that_name_stays_and_the_replica_fails() {
    let mut pair = Pair::new();
    pair.region.done(create("orders", placed(1, &[1])));
    let own = pair.region.state.tables()["orders"].clone();
    pair.add();
    assert_eq!((pair.run(), pair.status()), (1, Some(ReplicaStatus::CreationFailed)));
    pair.remove();
    pair.run();
    assert_eq!((pair.status(), pair.region.state.tables().get("orders")), (None, Some(&own)));
}

#[test]
fn the_last_replica_becomes_a_table_of_its_own() {
    let mut pair = Pair::new();
    pair.add();
    pair.run();
    pair.activate();
    pair.filled.insert(ORDERS);
    pair.run();
    let (name, region) = ("orders".to_owned(), REGIONS[0].to_owned());
    pair.global.done(global::Command::RemoveReplica {
        name: name.clone(),
        region: region.clone(),
        at_ms: 4,
    });
    pair.global.done(global::Command::ReplicaRemoved { name, region });
    assert_eq!(pair.run(), 1);
    assert_eq!(pair.region.state.tables()["orders"].global, None);
    let settings = TableSettings { deletion_protection: Some(true), ..TableSettings::default() };
    let name = "orders".to_owned();
    pair.region.done(region::Command::UpdateTable { name, settings: Box::new(settings), at_ms: 6 });
    assert_eq!(pair.global.state.regions()[HERE].status, RegionStatus::Active);
}
