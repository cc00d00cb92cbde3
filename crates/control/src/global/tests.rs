//! Tests of the global group's state: the table of region moves, the votes of silence, answers one
//! by one, invariants over random commands.

use super::*;
use crate::region::tests::{addresses, definition};
use crate::table::{BillingMode, Throughput};
use proptest::prelude::*;

pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];

/// A cluster whose commands are numbered by themselves.
pub(crate) struct Cluster {
    pub(crate) state: GlobalState,
}

impl Cluster {
    /// Regions a, b, … with that many nodes each, numbered through.
    pub(crate) fn of(regions: &[&str], nodes_each: u64) -> Self {
        let mut cluster = Cluster { state: GlobalState::new() };
        let names = regions.iter().map(|name| (*name).to_owned()).collect();
        cluster.done(Command::InitCluster { cluster: "c".to_owned(), regions: names, at_ms: 1 });
        for region in regions {
            for _ in 0..nodes_each {
                let node = cluster.state.next_node();
                cluster.done(upsert(node, region));
            }
        }
        cluster
    }

    pub(crate) fn answer(&mut self, command: &Command) -> CommandResult {
        let next = LogIndex(self.state.applied().0 + 1);
        self.state.apply(next, command)
    }

    pub(crate) fn done(&mut self, command: Command) -> Done {
        self.answer(&command).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    fn refused(&mut self, command: Command) -> Refusal {
        let before = self.state.clone();
        let refusal = self.answer(&command).unwrap_err();
        let applied = self.state.applied;
        assert_eq!(self.state, GlobalState { applied, ..before }, "a refusal changed something");
        refusal
    }

    fn moved(&mut self, region: &str, to: RegionStatus) -> CommandResult {
        let expected_epoch = self.state.regions()[region].epoch;
        let region = region.to_owned();
        self.answer(&Command::SetRegionState { region, to, expected_epoch, at_ms: 9 })
    }

    fn status(&self, region: &str) -> RegionStatus {
        self.state.regions()[region].status.clone()
    }
}

pub(crate) fn upsert(node: NodeId, region: &str) -> Command {
    let zone = ["c", "a", "b"][usize::try_from(node.0 % 3).unwrap()].to_owned();
    Command::UpsertNode { node, region: region.to_owned(), zone, addresses: addresses(node.0) }
}

fn draining() -> RegionStatus {
    RegionStatus::Draining { target: REGIONS[1].to_owned() }
}

/// Every status, and the moves that lead there from Active.
fn paths() -> [(RegionStatus, Vec<RegionStatus>); 5] {
    use RegionStatus::{Active, Evacuated, Lost, Recovering};
    [
        (Active, vec![]),
        (draining(), vec![draining()]),
        (Evacuated, vec![draining(), Evacuated]),
        (Lost, vec![Lost]),
        (Recovering, vec![Lost, Recovering]),
    ]
}

#[test]
fn a_region_makes_the_legal_moves_and_no_other() {
    // Rows from, columns to: Active, Draining, Evacuated, Lost, Recovering.
    let legal = [
        [false, true, false, true, false],
        [true, false, true, true, false],
        [false, false, false, true, true],
        [false, false, false, false, true],
        [true, false, false, true, false],
    ];
    for ((from, path), row) in paths().into_iter().zip(legal) {
        for ((to, _), expected) in paths().into_iter().zip(row) {
            let mut cluster = Cluster::of(&REGIONS, 1);
            for step in path.clone() {
                cluster.moved(REGIONS[0], step).unwrap();
            }
            let epoch = cluster.state.regions()[REGIONS[0]].epoch;
            let answer = cluster.moved(REGIONS[0], to.clone());
            let record = &cluster.state.regions()[REGIONS[0]];
            if expected {
                assert_eq!(answer, Ok(Done::Epoch(epoch + 1)), "{from:?} to {to:?}");
                assert_eq!((&record.status, record.since_ms), (&to, 9));
            } else {
                let refusal = Refusal::IllegalMove { from: from.clone() };
                assert_eq!(answer, Err(refusal), "{from:?} to {to:?}");
                assert_eq!((&record.status, record.epoch), (&from, epoch));
            }
        }
    }
}

#[test]
fn a_move_names_the_epoch_and_a_fitting_target() {
    let mut cluster = Cluster::of(&REGIONS, 1);
    let [a, b, c] = REGIONS;
    let to = |target: &str| RegionStatus::Draining { target: target.to_owned() };
    let region = a.to_owned();
    let stale =
        Command::SetRegionState { region, to: RegionStatus::Lost, expected_epoch: 7, at_ms: 1 };
    assert_eq!(cluster.refused(stale), Refusal::StaleEpoch { current: 1 });
    cluster.moved(b, RegionStatus::Lost).unwrap();
    for target in [a, b, "nowhere"] {
        assert_eq!(cluster.moved(a, to(target)), Err(Refusal::BadTarget));
    }
    cluster.moved(a, to(c)).unwrap();
    // The target dies: the drain can still be aborted, since the region itself goes on.
    cluster.moved(c, RegionStatus::Lost).unwrap();
    assert_eq!(cluster.moved(a, RegionStatus::Lost), Err(Refusal::LastRegion));
    assert_eq!(cluster.moved(a, RegionStatus::Evacuated), Err(Refusal::LastRegion));
    cluster.moved(a, RegionStatus::Active).unwrap();
    assert_eq!(cluster.moved(a, RegionStatus::Lost), Err(Refusal::LastRegion));
}

#[test]
fn a_rebuilt_region_is_a_new_origin() {
    let mut cluster = Cluster::of(&REGIONS, 1);
    let region = REGIONS[2].to_owned();
    let rebuild =
        |expected_epoch| Command::RebuildRegion { region: region.clone(), expected_epoch };
    let active = Refusal::IllegalMove { from: RegionStatus::Active };
    assert_eq!(cluster.refused(rebuild(1)), active);
    cluster.moved(&region, RegionStatus::Lost).unwrap();
    assert_eq!(cluster.refused(rebuild(1)), Refusal::StaleEpoch { current: 2 });
    let id = RegionId { number: 3, incarnation: 1 };
    assert_eq!(cluster.done(rebuild(2)), Done::Region(id));
    assert_eq!(cluster.state.region_numbered(3).unwrap().1.epoch, 3);
}

#[test]
fn a_cluster_is_initialised_once() {
    let mut cluster = Cluster { state: GlobalState::new() };
    let add = Command::AddRegion { region: "d".to_owned(), at_ms: 2 };
    assert_eq!(cluster.refused(add.clone()), Refusal::NotInitialised);
    let init = |cluster: &str, regions: &[&str]| Command::InitCluster {
        cluster: cluster.to_owned(),
        regions: regions.iter().map(|r| (*r).to_owned()).collect(),
        at_ms: 1,
    };
    for bad in [init("c", &[]), init("c", &["a", "a"])] {
        assert_eq!(cluster.refused(bad), Refusal::InitialisedOtherwise);
    }
    cluster.done(init("c", &["b", "a"]));
    cluster.done(init("c", &["b", "a"]));
    assert_eq!(cluster.refused(init("d", &["b", "a"])), Refusal::InitialisedOtherwise);
    assert_eq!(cluster.state.regions()["b"].id, RegionId::new(1));
    assert_eq!(cluster.done(add.clone()), Done::Region(RegionId::new(3)));
    assert_eq!(cluster.refused(add), Refusal::RegionExists);
}

#[test]
fn a_node_id_belongs_to_one_node_for_ever() {
    let mut cluster = Cluster::of(&REGIONS[..2], 1);
    let [a, b, _] = REGIONS;
    let elsewhere = Refusal::NodeElsewhere { region: a.to_owned() };
    assert_eq!(cluster.refused(upsert(NodeId(1), b)), elsewhere);
    assert_eq!(cluster.refused(upsert(NodeId(9), "nowhere")), Refusal::RegionNotFound);
    cluster.done(Command::DrainNode { node: NodeId(1), drain: true });
    cluster.done(upsert(NodeId(1), a));
    assert_eq!(cluster.state.nodes()[&NodeId(1)].state, NodeState::Draining);
    cluster.done(upsert(NodeId(5), a));
    let replaced_by = Some(NodeId(5));
    cluster.done(Command::RemoveNode { node: NodeId(1), replaced_by });
    assert_eq!(cluster.refused(upsert(NodeId(1), a)), Refusal::NodeRemoved);
    let drain = Command::DrainNode { node: NodeId(1), drain: false };
    assert_eq!(cluster.refused(drain), Refusal::NodeRemoved);
    let gone_heir = Command::RemoveNode { node: NodeId(5), replaced_by: Some(NodeId(1)) };
    assert_eq!(cluster.refused(gone_heir), Refusal::NodeNotFound);
    assert_eq!(cluster.state.nodes_of(a).map(|(id, _)| id.0).collect::<Vec<_>>(), [5]);
    assert_eq!(cluster.state.next_node(), NodeId(6));
}

fn report(by: &str, about: &str, since_ms: Option<u64>, at_ms: u64) -> Command {
    Command::ReportSilence { by: by.to_owned(), about: about.to_owned(), since_ms, at_ms }
}

const POLICY: AutoPolicy = AutoPolicy { silent_ms_min: 3_000, report_age_ms_max: 2_000 };

#[test]
fn a_silent_region_fails_when_a_majority_of_the_others_agrees() {
    let [a, b, c] = REGIONS;
    let mut cluster = Cluster::of(&REGIONS, 1);
    let failing = |cluster: &Cluster, now| cluster.state.regions_to_fail(&POLICY, now);
    cluster.done(report(b, a, Some(1_000), 4_000));
    assert!(failing(&cluster, 4_000).is_empty(), "one of two is no majority");
    cluster.done(report(c, a, Some(1_001), 4_000));
    assert!(failing(&cluster, 4_000).is_empty(), "c has not waited long enough");
    cluster.done(report(c, a, Some(1_001), 4_001));
    assert_eq!(failing(&cluster, 6_000), [(a.to_owned(), 1)]);
    assert!(failing(&cluster, 6_001).is_empty(), "b's report is too old");
    cluster.done(report(b, a, Some(1_000), 3_000));
    assert_eq!(failing(&cluster, 6_000), [(a.to_owned(), 1)], "a report that came late counts not");
    cluster.done(report(c, a, None, 4_100));
    assert!(failing(&cluster, 4_100).is_empty(), "c hears it again");
    assert_eq!(cluster.refused(report(a, a, None, 1)), Refusal::SelfReport);
    assert_eq!(cluster.refused(report("x", a, None, 1)), Refusal::RegionNotFound);
}

#[test]
fn reports_end_with_the_move_that_they_led_to() {
    let [a, b, c] = REGIONS;
    let mut cluster = Cluster::of(&REGIONS, 1);
    cluster.done(report(b, a, Some(0), 5_000));
    cluster.done(report(c, a, Some(0), 5_000));
    let failing = cluster.state.regions_to_fail(&POLICY, 5_000);
    assert_eq!(failing, [(a.to_owned(), 1)]);
    cluster.moved(a, RegionStatus::Lost).unwrap();
    assert!(cluster.state.silences().is_empty());
    // A lost region has no vote: of a and b only b counts about c.
    cluster.done(report(a, c, Some(0), 5_000));
    assert!(cluster.state.regions_to_fail(&POLICY, 5_000).is_empty());
    cluster.done(report(b, c, Some(0), 5_000));
    assert_eq!(cluster.state.regions_to_fail(&POLICY, 5_000), [(c.to_owned(), 1)]);
    cluster.moved(c, RegionStatus::Lost).unwrap();
    cluster.done(report(a, b, Some(0), 5_000));
    assert!(cluster.state.regions_to_fail(&POLICY, 5_000).is_empty(), "b is the last one");
    assert_eq!(cluster.status(b), RegionStatus::Active);
}

fn table(kind: &str, region: &str) -> Command {
    let (name, region, at_ms) = ("t".to_owned(), region.to_owned(), 4);
    match kind {
        "create" => {
            let (table, definition) = (TableId(7), definition());
            Command::CreateGlobalTable { name, table, definition, region, at_ms }
        }
        "add" => Command::AddReplica { name, region, at_ms },
        "active" => Command::ReplicaActive { name, region, at_ms },
        "failed" => Command::ReplicaFailed { name, region, at_ms },
        "remove" => Command::RemoveReplica { name, region, at_ms },
        "removed" => Command::ReplicaRemoved { name, region },
        other => panic!("no command {other}"),
    }
}

#[test]
fn a_table_becomes_global_and_single_again() {
    let [a, b, c] = REGIONS;
    let mut cluster = Cluster::of(&REGIONS, 1);
    assert_eq!(cluster.refused(table("add", b)), Refusal::TableNotFound);
    assert_eq!(cluster.done(table("create", a)), Done::Version(1));
    assert_eq!(cluster.done(table("create", a)), Done::Version(1));
    let exists = Refusal::TableExists { table: TableId(7) };
    assert_eq!(cluster.refused(table("create", b)), exists);
    assert_eq!(cluster.done(table("add", b)), Done::Version(2));
    let creating = Refusal::ReplicaInUse { status: ReplicaStatus::Creating };
    assert_eq!(cluster.refused(table("add", b)), creating);
    assert_eq!(cluster.refused(table("remove", a)), Refusal::LastReplica);
    assert_eq!(cluster.done(table("active", b)), Done::Version(3));
    assert_eq!(cluster.done(table("active", b)), Done::Version(3));
    cluster.done(table("add", c));
    cluster.done(table("failed", c));
    let failed = Refusal::ReplicaInUse { status: ReplicaStatus::CreationFailed };
    assert_eq!(cluster.refused(table("active", c)), failed);
    assert_eq!(cluster.refused(table("removed", c)), failed);
    let status = |region: &str, cluster: &Cluster| {
        cluster.state.tables()["t"].snapshot().replicas.get(region).copied()
    };
    cluster.done(table("remove", c));
    assert_eq!(status(c, &cluster), Some(ReplicaStatus::Deleting));
    cluster.done(table("removed", c));
    assert_eq!((status(c, &cluster), status(a, &cluster)), (None, Some(ReplicaStatus::Active)));
    cluster.done(table("remove", a));
    assert_eq!(cluster.refused(table("remove", b)), Refusal::LastReplica);
    assert_eq!(cluster.done(table("removed", a)), Done::Changed);
    assert!(cluster.state.tables().is_empty());
}

#[test]
fn replicas_are_added_only_where_traffic_is() {
    let [a, b, _] = REGIONS;
    let mut cluster = Cluster::of(&REGIONS, 1);
    cluster.done(table("create", a));
    cluster.moved(b, RegionStatus::Lost).unwrap();
    let lost = Refusal::IllegalMove { from: RegionStatus::Lost };
    assert_eq!(cluster.refused(table("add", b)), lost);
    assert_eq!(cluster.refused(table("add", "nowhere")), Refusal::RegionNotFound);
}

#[test]
fn a_definition_changes_by_version_and_keeps_its_keys() {
    let mut cluster = Cluster::of(&REGIONS, 1);
    cluster.done(table("create", REGIONS[0]));
    let update = |expected_version, definition| Command::UpdateTableDefinition {
        name: "t".to_owned(),
        expected_version,
        definition,
    };
    let new = TableDefinition {
        billing: BillingMode::Provisioned,
        throughput: Some(Throughput { read_units: 1, write_units: 2 }),
        deletion_protection: true,
        ..definition()
    };
    assert_eq!(cluster.refused(update(2, new.clone())), Refusal::StaleVersion { current: 1 });
    let mut rekeyed = new.clone();
    rekeyed.key.sort = None;
    assert_eq!(cluster.refused(update(1, rekeyed)), Refusal::KeysChanged);
    assert_eq!(cluster.done(update(1, new.clone())), Done::Version(2));
    let stored = &cluster.state.tables()["t"].definition;
    assert_eq!(*stored, TableDefinition { deletion_protection: false, ..new });
}

fn any_region() -> impl Strategy<Value = String> {
    prop::sample::select(REGIONS.to_vec()).prop_map(str::to_owned)
}

fn any_status() -> impl Strategy<Value = RegionStatus> {
    prop_oneof![
        Just(RegionStatus::Active),
        any_region().prop_map(|target| RegionStatus::Draining { target }),
        Just(RegionStatus::Evacuated),
        Just(RegionStatus::Lost),
        Just(RegionStatus::Recovering),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let kinds = vec!["create", "add", "active", "failed", "remove", "removed"];
    let on_table = (prop::sample::select(kinds), any_region());
    let set = (any_region(), any_status(), 1u64..6, 0u64..9).prop_map(
        |(region, to, expected_epoch, at_ms)| Command::SetRegionState {
            region,
            to,
            expected_epoch,
            at_ms,
        },
    );
    let silence = (any_region(), any_region(), prop::option::of(0u64..9), 0u64..9);
    let rebuild = (any_region(), 1u64..6)
        .prop_map(|(region, expected_epoch)| Command::RebuildRegion { region, expected_epoch });
    let removal = (1u64..5, prop::option::of(1u64..5)).prop_map(|(node, heir)| {
        Command::RemoveNode { node: NodeId(node), replaced_by: heir.map(NodeId) }
    });
    prop_oneof![
        6 => on_table.prop_map(|(kind, region)| table(kind, &region)),
        6 => set,
        3 => silence.prop_map(|(by, about, since, at)| report(&by, &about, since, at)),
        1 => rebuild,
        1 => removal,
        2 => (1u64..5, any_region()).prop_map(|(node, region)| upsert(NodeId(node), &region)),
    ]
}

fn check_growth(before: &GlobalState, after: &GlobalState) {
    for (name, region) in &after.regions {
        let old = &before.regions[name];
        assert_eq!(region.id.number, old.id.number);
        assert!(region.epoch == old.epoch + 1 || region == old);
        let moved = region.status != old.status;
        assert!(!moved || old.status.may_become(&region.status));
    }
    assert!(after.regions.values().any(|region| region.status.takes_traffic()));
    for (name, table) in &after.tables {
        assert!(table.replicas.values().any(|r| r.status == ReplicaStatus::Active), "{name}");
        let old = before.tables.get(name).filter(|old| old.table == table.table);
        assert!(old.is_none_or(|old| table.version == old.version + 1 || table == old));
    }
    for (id, node) in &before.nodes {
        assert_eq!(after.nodes[id].region, node.region);
        assert!(!node.state.is_removed() || after.nodes[id] == *node);
    }
}

proptest! {
    #[test]
    fn any_commands_keep_the_invariants(commands in prop::collection::vec(any_command(), 1..80)) {
        let mut cluster = Cluster::of(&REGIONS, 1);
        for command in commands {
            let before = cluster.state.clone();
            let answer = cluster.answer(&command);
            check_growth(&before, &cluster.state);
            if answer.is_err() {
                let applied = cluster.state.applied;
                prop_assert_eq!(&cluster.state, &GlobalState { applied, ..before });
            }
            let policy = AutoPolicy { silent_ms_min: 1, report_age_ms_max: 9 };
            for (region, expected_epoch) in cluster.state.regions_to_fail(&policy, 9) {
                let to = RegionStatus::Lost;
                let fail = Command::SetRegionState { region, to, expected_epoch, at_ms: 9 };
                let mut next = Cluster { state: cluster.state.clone() };
                prop_assert!(next.answer(&fail).is_ok(), "decided what is refused");
            }
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
            prop_assert_eq!(CommandResult::decode(&answer.encode()), Ok(answer));
        }
        prop_assert_eq!(GlobalState::decode(&cluster.state.encode()), Ok(cluster.state));
    }
}
