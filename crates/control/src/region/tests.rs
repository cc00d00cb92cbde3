//! Tests of the region group's state: answers one by one, invariants over random commands.

use super::*;
use crate::table::{
    BillingMode, DefinitionError, OnDemandMaximum, ReplicaStatus, StreamView, Throughput,
};
use meridian_model::{KeyAttribute, KeyKind, KeySchema};
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) fn definition() -> TableDefinition {
    let id = KeyAttribute::new("id", KeyKind::S);
    let at = KeyAttribute::new("at", KeyKind::N);
    TableDefinition {
        attributes: vec![id.clone(), at.clone()],
        key: KeySchema { partition: id, sort: Some(at) },
        local_indexes: Vec::new(),
        global_indexes: Vec::new(),
        billing: BillingMode::PayPerRequest,
        throughput: None,
        stream: None,
        class: None,
        deletion_protection: false,
        on_demand: OnDemandMaximum::default(),
        warm: None,
        encryption: None,
        ttl: None,
        overrides: BTreeMap::new(),
        scaling: Vec::new(),
    }
}

pub(crate) fn addresses(node: u64) -> NodeAddresses {
    let at = |kind: &str| format!("{kind}-{node}.test:1");
    NodeAddresses { peer: at("peer"), client: at("client"), admin: at("admin") }
}

pub(crate) fn placed(parts: u32, voters: &[u64]) -> Vec<PartitionPlacement> {
    let voters: Vec<NodeId> = voters.iter().copied().map(NodeId).collect();
    let first_leader = *voters.first().unwrap();
    let place = |range| PartitionPlacement { range, voters: voters.clone(), first_leader };
    KeyRange::full().split_evenly(parts).into_iter().map(place).collect()
}

pub(crate) fn restore_source() -> RestoreSource {
    RestoreSource {
        owner: None,
        table: TableId((2 << 48) | 1),
        table_name: "orders".to_owned(),
        table_arn: "arn:aws:dynamodb:eu-west-1:000000000000:table/orders".to_owned(),
        backup_arn: None,
        backup: None,
        at_ms: 1_700_000_000_000,
        later: LaterSettings::default(),
        is_scratch: false,
    }
}

pub(crate) fn create(name: &str, partitions: Vec<PartitionPlacement>) -> Command {
    Command::CreateTable {
        name: name.to_owned(),
        definition: Box::new(definition()),
        partitions,
        forced: None,
        own: Vec::new(),
        global: None,
        restore: None,
        created_ms: 1_000,
    }
}

/// A region whose commands are numbered by themselves.
pub(crate) struct Region {
    pub(crate) state: RegionState,
}

impl Region {
    /// Region 2, "eu-west-1", with that many nodes in zones a, b, c in turn.
    pub(crate) fn with_nodes(nodes: u64) -> Self {
        let mut region = Region { state: RegionState::new() };
        let name = "eu-west-1".to_owned();
        region.done(Command::InitRegion { region: RegionId::new(2), name });
        for node in 1..=nodes {
            region.join(node);
        }
        region
    }

    pub(crate) fn join(&mut self, node: u64) {
        let zone = ["c", "a", "b"][usize::try_from(node % 3).unwrap()].to_owned();
        self.done(Command::JoinNode { node: NodeId(node), zone, addresses: addresses(node) });
    }

    pub(crate) fn answer(&mut self, command: &Command) -> CommandResult {
        let next = LogIndex(self.state.applied().0 + 1);
        self.state.apply(next, command)
    }

    pub(crate) fn done(&mut self, command: Command) -> Done {
        self.answer(&command).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    pub(crate) fn refused(&mut self, command: Command) -> Refusal {
        let before = self.state.clone();
        let refusal = self.answer(&command).unwrap_err();
        let applied = self.state.applied;
        assert_eq!(self.state, RegionState { applied, ..before }, "a refusal changed something");
        refusal
    }

    pub(super) fn active_table(&mut self, name: &str) -> TableId {
        self.done(create(name, placed(4, &[1, 2, 3])));
        let table = self.state.tables()[name].id;
        self.done(Command::TableActive { table });
        table
    }
}

pub(super) fn delete(name: &str) -> Command {
    Command::DeleteTable { name: name.to_owned(), force: false, backup_ms: None }
}

pub(super) fn update(settings: TableSettings) -> Command {
    Command::UpdateTable { name: "t".to_owned(), settings: Box::new(settings), at_ms: 2_000 }
}

#[test]
fn nothing_is_done_before_the_region_has_a_name() {
    let mut region = Region { state: RegionState::new() };
    assert_eq!(region.refused(create("t", placed(1, &[1]))), Refusal::NotInitialised);
    let init = |number, incarnation, name: &str| Command::InitRegion {
        region: RegionId { number, incarnation },
        name: name.to_owned(),
    };
    region.done(init(1, 0, "a"));
    region.done(init(1, 0, "a"));
    assert_eq!(region.refused(init(2, 0, "a")), Refusal::InitialisedOtherwise);
    assert_eq!(region.refused(init(1, 0, "b")), Refusal::InitialisedOtherwise);
    region.done(init(1, 1, "a"));
    assert_eq!(region.refused(init(1, 0, "a")), Refusal::InitialisedOtherwise);
}

#[test]
fn a_command_is_applied_once() {
    let mut region = Region::with_nodes(3);
    let at = region.state.applied();
    let before = region.state.clone();
    let replayed = region.state.apply(at, &create("t", placed(1, &[1])));
    assert_eq!(replayed, Err(Refusal::Replayed));
    assert_eq!(region.state, before);
}

#[test]
fn a_table_lives_from_creating_to_gone() {
    let mut region = Region::with_nodes(3);
    let table = TableId((2 << 48) | 1);
    assert_eq!(region.done(create("t", placed(4, &[1, 2, 3]))), Done::Table(table));
    let record = &region.state.tables()["t"];
    assert_eq!((record.status, record.partitions.len()), (TableStatus::Creating, 4));
    assert_eq!(record.partitions[0], PartitionId(GroupId::FIRST_PARTITION));
    assert!(!record.serves());
    let creating = Refusal::InUse { status: TableStatus::Creating };
    assert_eq!(region.refused(delete("t")), creating);
    assert_eq!(region.refused(update(TableSettings::default())), creating);
    region.done(Command::TableActive { table });
    assert!(region.state.tables()["t"].serves());
    assert_eq!(region.refused(create("t", placed(1, &[1]))), Refusal::TableExists { table });
    let active = Refusal::InUse { status: TableStatus::Active };
    assert_eq!(region.refused(Command::TableGone { table }), active);
    region.done(delete("t"));
    region.done(delete("t"));
    let deleting = Refusal::InUse { status: TableStatus::Deleting };
    assert_eq!(region.refused(Command::TableActive { table }), deleting);
    assert_eq!(region.refused(create("t", placed(1, &[1]))), Refusal::TableExists { table });
    region.done(Command::TableGone { table });
    assert_eq!(region.refused(delete("t")), Refusal::TableNotFound);
    assert!(region.state.partition_gone(PartitionId(GroupId::FIRST_PARTITION)));
    assert!(!region.state.partition_gone(PartitionId(GroupId::FIRST_PARTITION + 4)));
    assert_eq!(region.done(create("t", placed(1, &[1]))), Done::Table(TableId((2 << 48) | 2)));
}

#[test]
fn settings_change_one_call_at_a_time() {
    let mut region = Region::with_nodes(3);
    let table = region.active_table("t");
    let throughput = Some(Throughput { read_units: 5, write_units: 7 });
    let settings = TableSettings {
        billing: Some(BillingMode::Provisioned),
        throughput,
        stream: Setting::Set(StreamView::NewImage),
        deletion_protection: Some(true),
        ..TableSettings::default()
    };
    region.done(update(settings.clone()));
    let updating = Refusal::InUse { status: TableStatus::Updating };
    assert_eq!(region.refused(update(settings)), updating);
    region.done(Command::TableActive { table });
    let record = region.state.tables()["t"].clone();
    assert_eq!(record.definition.throughput, throughput);
    assert_eq!(record.stream_label().as_deref(), Some("1970-01-01T00:00:02.000"));
    assert_eq!(region.refused(delete("t")), Refusal::DeletionProtected);
    let less = Throughput { read_units: 4, write_units: 8 };
    region.done(update(TableSettings { throughput: Some(less), ..TableSettings::default() }));
    region.done(Command::TableActive { table });
    let record = region.state.tables()["t"].clone();
    assert_eq!(record.throughput_raised_ms, Some(2_000));
    assert_eq!(record.throughput_lowered_ms, Some(2_000));
    let billing = Some(BillingMode::PayPerRequest);
    let mismatch = TableSettings { billing, throughput, ..TableSettings::default() };
    let refusal = Refusal::Definition(DefinitionError::ThroughputMismatch);
    assert_eq!(region.refused(update(mismatch)), refusal);
    let stream = Setting::Unset;
    region.done(update(TableSettings { billing, stream, ..TableSettings::default() }));
    let record = &region.state.tables()["t"];
    assert_eq!((record.definition.throughput, record.definition.stream), (None, None));
    assert!(record.stream_label().is_some(), "the label of the latest stream stays");
}

#[test]
fn settings_between_two_definitions_make_them_equal() {
    let from = definition();
    let to = TableDefinition {
        billing: BillingMode::Provisioned,
        throughput: Some(Throughput { read_units: 1, write_units: 1 }),
        stream: Some(StreamView::NewAndOldImages),
        class: Some(crate::table::TableClass::Standard),
        warm: Some(Throughput { read_units: 20_000, write_units: 5_000 }),
        encryption: Some(crate::table::Encryption { key: None }),
        ..definition()
    };
    for (from, to) in
        [(&from, &to), (&to, &TableDefinition { class: to.class, warm: to.warm, ..from.clone() })]
    {
        let mut region = Region::with_nodes(1);
        let mut command = create("t", placed(1, &[1]));
        if let Command::CreateTable { definition, .. } = &mut command {
            **definition = from.clone();
        }
        region.done(command);
        let table = region.state.tables()["t"].id;
        region.done(Command::TableActive { table });
        region.done(update(TableSettings::between(from, to)));
        assert_eq!(region.state.tables()["t"].definition, *to);
    }
    assert!(TableSettings::between(&to, &to).is_empty());
}

#[test]
fn a_replica_takes_the_id_that_it_is_given() {
    let mut region = Region::with_nodes(3);
    let foreign = TableId((1 << 48) | 9);
    let own = TableId((2 << 48) | 40);
    for (name, id) in [("foreign", foreign), ("own", own)] {
        let mut command = create(name, placed(1, &[1]));
        if let Command::CreateTable { forced, .. } = &mut command {
            *forced = Some(id);
        }
        assert_eq!(region.done(command), Done::Table(id));
        let mut again = create("other", placed(1, &[1]));
        if let Command::CreateTable { forced, .. } = &mut again {
            *forced = Some(id);
        }
        assert_eq!(region.refused(again), Refusal::TableExists { table: id });
    }
    assert_eq!(region.done(create("new", placed(1, &[1]))), Done::Table(TableId((2 << 48) | 41)));
    let replicas = BTreeMap::from([("eu-west-1".to_owned(), ReplicaStatus::Active)]);
    let global = Some(GlobalSnapshot { version: 3, replicas });
    region.done(Command::SetGlobal { table: foreign, global: global.clone() });
    assert_eq!(region.state.tables()["foreign"].global, global);
}

#[test]
fn placements_that_do_not_fit_are_refused() {
    let mut region = Region::with_nodes(3);
    region.done(Command::DrainNode { node: NodeId(3) });
    let mut gap = placed(4, &[1, 2]);
    gap.remove(1);
    let mut short = placed(4, &[1, 2]);
    short.pop();
    let mut stray_leader = placed(1, &[1, 2]);
    stray_leader[0].first_leader = NodeId(3);
    let bad =
        [vec![], gap, short, stray_leader, placed(1, &[1, 1]), placed(1, &[1, 3]), placed(1, &[9])];
    for partitions in bad {
        assert_eq!(region.refused(create("t", partitions)), Refusal::StalePlacement);
    }
    let many = placed(1025, &[1]);
    assert_eq!(region.refused(create("t", many)), Refusal::LimitExceeded);
}

#[test]
fn replicas_change_by_epoch() {
    let mut region = Region::with_nodes(4);
    region.active_table("t");
    let partition = PartitionId(GroupId::FIRST_PARTITION);
    let change = |expected_epoch, replicas| Command::PartitionReplicas {
        partition,
        expected_epoch,
        replicas,
    };
    let learner = |node, replaces: Option<u64>| Replicas {
        learners: vec![Learner { node: NodeId(node), replaces: replaces.map(NodeId) }],
        ..Replicas::of([1, 2, 3].map(NodeId))
    };
    assert_eq!(region.refused(change(7, learner(4, None))), Refusal::StaleEpoch { current: 1 });
    for bad in [
        learner(3, None),
        learner(4, Some(5)),
        learner(9, None),
        Replicas::of([]),
        Replicas::of([1, 1].map(NodeId)),
    ] {
        assert_eq!(region.refused(change(1, bad)), Refusal::StalePlacement);
    }
    assert_eq!(region.done(change(1, learner(4, Some(3)))), Done::Epoch(2));
    region.done(Command::RemoveNode { node: NodeId(3), replaced_by: Some(NodeId(4)) });
    assert_eq!(region.state.replica_count(NodeId(4)), 1);
    // A removed node may stay in the record until its replica is replaced.
    assert_eq!(region.done(change(2, learner(4, Some(3)))), Done::Epoch(3));
    assert_eq!(region.done(change(3, Replicas::of([4, 1, 2].map(NodeId)))), Done::Epoch(4));
    let record = &region.state.partitions()[&partition];
    assert_eq!(record.replicas.voters, [1, 2, 4].map(NodeId));
    assert_eq!(region.refused(change(4, learner(3, None))), Refusal::StalePlacement);
}

#[test]
fn nodes_come_drain_and_go() {
    let mut region = Region::with_nodes(2);
    let (one, two) = (NodeId(1), NodeId(2));
    assert_eq!(region.refused(Command::DrainNode { node: NodeId(9) }), Refusal::NodeNotFound);
    region.done(Command::DrainNode { node: two });
    assert_eq!(region.refused(Command::DrainNode { node: one }), Refusal::LastNode);
    region.join(2);
    assert_eq!(region.state.nodes()[&two].state, NodeState::Draining);
    region.done(Command::ActivateNode { node: two });
    let replaced_by = Some(NodeId(9));
    let unknown_heir = Command::RemoveNode { node: one, replaced_by };
    assert_eq!(region.refused(unknown_heir), Refusal::NodeNotFound);
    region.done(Command::RemoveNode { node: one, replaced_by: Some(two) });
    region.done(Command::RemoveNode { node: one, replaced_by: None });
    let heir = NodeState::Removed { replaced_by: Some(two) };
    assert_eq!(region.state.nodes()[&one].state, heir);
    let (zone, addresses) = ("a".to_owned(), addresses(1));
    let back = Command::JoinNode { node: one, zone, addresses };
    assert_eq!(region.refused(back), Refusal::NodeRemoved);
    assert_eq!(region.refused(Command::ActivateNode { node: one }), Refusal::NodeRemoved);
    let last = Command::RemoveNode { node: two, replaced_by: None };
    assert_eq!(region.refused(last), Refusal::LastNode);
}

#[test]
fn a_catalog_finds_partitions_by_key_and_range() {
    let mut region = Region::with_nodes(3);
    let table = region.active_table("t");
    region.active_table("u");
    let catalog = Catalog::of(&region.state);
    let at = |key: &[u8]| catalog.partition_at(table, key).unwrap().id.0;
    let first = GroupId::FIRST_PARTITION;
    assert_eq!(
        [at(&[]), at(&[0x3f, 0xff]), at(&[0x40]), at(&[0xff])],
        [0, 0, 0, 3].map(|n| first + n)
    );
    assert_eq!(at(&[0x40, 0, 0, 0, 0, 0, 0, 0]), first + 1);
    let over = |start: &[u8], end: Option<&[u8]>| {
        let range = KeyRange { start: start.to_vec(), end: end.map(<[u8]>::to_vec) };
        let found = catalog.partitions_over(table, &range).iter();
        found.map(|p| p.id.0 - first).collect::<Vec<_>>()
    };
    assert_eq!(over(&[], None), [0, 1, 2, 3]);
    assert_eq!(over(&[0x41], Some(&[0x42])), [1]);
    assert_eq!(over(&[0x41], Some(&[0x81])), [1, 2]);
    assert!(over(&[0x42], Some(&[0x41])).is_empty());
    let names = |after| catalog.tables_after(after).map(|t| t.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names(None), names(Some("t"))), (vec!["t", "u"], vec!["u"]));
    assert!(catalog.partition_at(TableId(1), &[]).is_none());
}

fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn any_node() -> impl Strategy<Value = NodeId> {
    (1u64..7).prop_map(NodeId)
}

fn any_table() -> impl Strategy<Value = TableId> {
    (1u64..3, 1u64..6).prop_map(|(region, number)| TableId((region << 48) | number))
}

fn any_replicas() -> impl Strategy<Value = Replicas> {
    let learner = (any_node(), prop::option::of(any_node()))
        .prop_map(|(node, replaces)| Learner { node, replaces });
    (prop::collection::vec(any_node(), 0..4), prop::collection::vec(learner, 0..2))
        .prop_map(|(voters, learners)| Replicas { voters, learners })
}

fn any_create() -> impl Strategy<Value = Command> {
    let voters = prop::collection::vec(1u64..7, 1..4);
    let restores = prop::bool::weighted(0.3);
    (any_name(), 1u32..6, voters, prop::option::weighted(0.2, any_table()), restores).prop_map(
        |(name, parts, voters, id, restores)| {
            let mut command = create(&name, placed(parts, &voters));
            if let Command::CreateTable { forced, restore, .. } = &mut command {
                (*forced, *restore) = (id, restores.then(|| Box::new(restore_source())));
            }
            command
        },
    )
}

fn any_command() -> impl Strategy<Value = Command> {
    let restored = (any_table(), 16u64..30).prop_map(|(table, partition)| {
        Command::PartitionRestored { table, partition: PartitionId(partition), at_ms: 4 }
    });
    let recovery = (any_name(), prop::option::of(1u32..36)).prop_map(|(name, days)| {
        Command::ChangeOwn { name, change: OwnChange::Recovery(days), at_ms: 5 }
    });
    let replicas =
        (16u64..30, 1u64..4, any_replicas()).prop_map(|(id, expected_epoch, replicas)| {
            Command::PartitionReplicas { partition: PartitionId(id), expected_epoch, replicas }
        });
    let removal = (any_node(), prop::option::of(any_node()))
        .prop_map(|(node, replaced_by)| Command::RemoveNode { node, replaced_by });
    prop_oneof![
        4 => any_create(),
        2 => any_table().prop_map(|table| Command::TableActive { table }),
        1 => (any_name(), any_name())
            .prop_map(|(first, second)| Command::SwapTables { first, second }),
        1 => any_name().prop_map(|name| Command::UpdateTable {
            name,
            settings: Box::default(),
            at_ms: 3,
        }),
        2 => (any_name(), any::<bool>()).prop_map(|(name, force)| Command::DeleteTable { name, force, backup_ms: None }),
        2 => any_table().prop_map(|table| Command::TableGone { table }),
        4 => replicas,
        4 => restored,
        1 => recovery,
        1 => any_node().prop_map(|node| Command::DrainNode { node }),
        1 => any_node().prop_map(|node| Command::ActivateNode { node }),
        1 => (any_node(), 1u64..3).prop_map(|(node, loss)| Command::LoseNodeLog { node, loss }),
        1 => (any_node(), 1u64..3).prop_map(|(node, loss)| Command::ReturnNode { node, loss }),
        1 => removal,
        1 => any_node().prop_map(|node| Command::JoinNode {
            node,
            zone: "a".to_owned(),
            addresses: addresses(node.0),
        }),
    ]
}

/// What the head of `region/mod.rs` promises of one state.
pub(crate) fn check_invariants(state: &RegionState) {
    let mut owned = BTreeSet::new();
    for table in state.tables.values() {
        let ranges: Vec<&KeyRange> =
            table.partitions.iter().map(|id| &state.partitions[id].range).collect();
        assert!(ranges[0].start.is_empty() && ranges[ranges.len() - 1].end.is_none());
        assert!(ranges.windows(2).all(|w| w[0].end.as_ref() == Some(&w[1].start)), "a gap");
        assert!(table.partitions.iter().all(|id| state.partitions[id].table == table.id));
        assert!(table.partitions.iter().all(|id| owned.insert(*id)), "shared by two tables");
        if let Some(restore) = &table.restore {
            assert!(restore.pending.iter().all(|id| table.partitions.contains(id)));
            assert_eq!(restore.pending.is_empty(), restore.done_ms.is_some());
        }
    }
    assert_eq!(owned.len(), state.partitions.len(), "a partition without a table");
    for (id, partition) in &state.partitions {
        assert!(*id == partition.id && id.0 < state.next_partition);
        let nodes: Vec<NodeId> = partition.replicas.nodes().collect();
        let distinct: BTreeSet<NodeId> = nodes.iter().copied().collect();
        assert_eq!(distinct.len(), nodes.len(), "two replicas on a node");
        assert!(!partition.replicas.voters.is_empty());
        assert!(partition.replicas.voters.is_sorted());
        assert!(distinct.iter().all(|node| state.nodes.contains_key(node)));
    }
    let ids: BTreeSet<TableId> = state.tables.values().map(|table| table.id).collect();
    assert_eq!(ids.len(), state.tables.len(), "two tables with one id");
}

/// What it promises of two states, one after the other.
fn check_growth(before: &RegionState, after: &RegionState, seen: &mut BTreeSet<TableId>) {
    for (id, partition) in &after.partitions {
        match before.partitions.get(id) {
            Some(old) => {
                let grew = partition.epoch > old.epoch;
                assert!(partition.epoch >= old.epoch && (grew || partition == old));
            }
            None => assert!(id.0 >= before.next_partition, "a partition id used twice"),
        }
    }
    assert!(after.next_table >= before.next_table);
    for table in after.tables.values() {
        let is_new = before.table_by_id(table.id).is_none();
        let own = table.id.0 >> 48 == 2 && table.id.0 & 0xffff_ffff >= before.next_table;
        assert!(!is_new || !own || seen.insert(table.id), "a table id used twice");
    }
}

proptest! {
    #[test]
    fn any_commands_keep_the_invariants(commands in prop::collection::vec(any_command(), 1..80)) {
        let mut region = Region::with_nodes(4);
        let mut seen = BTreeSet::new();
        for command in commands {
            let before = region.state.clone();
            let answer = region.answer(&command);
            check_invariants(&region.state);
            check_growth(&before, &region.state, &mut seen);
            if answer.is_err() {
                let applied = region.state.applied;
                prop_assert_eq!(&region.state, &RegionState { applied, ..before });
            }
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
            prop_assert_eq!(CommandResult::decode(&answer.encode()), Ok(answer));
        }
        let read = RegionState::decode(&region.state.encode()).unwrap();
        prop_assert_eq!(&read, &region.state);
        let catalog = Catalog::of(&read);
        for table in read.tables().values() {
            for key in [&[][..], &[0x33], &[0x66, 1], &[0xff; 9]] {
                let holder = catalog.partition_at(table.id, key).unwrap();
                prop_assert!(holder.range.contains(key));
            }
        }
    }
}

#[test]
fn what_belongs_to_one_region_changes_without_a_status() {
    let mut region = Region::with_nodes(3);
    region.active_table("t");
    let mut change = |change| {
        let command = Command::ChangeOwn { name: "t".to_owned(), change, at_ms: 5_000 };
        let answer = region.answer(&command);
        (answer.map(|_| ()), region.state.tables()["t"].clone())
    };
    let tags = |from: usize, to: usize| -> BTreeMap<String, String> {
        (from..to).map(|n| (format!("k{n}"), "v".to_owned())).collect()
    };
    let (done, table) = change(OwnChange::Tag(tags(0, TAGS_MAX)));
    assert_eq!((done, table.own.tags.len(), table.status), (Ok(()), 50, TableStatus::Active));
    let (refused, table) = change(OwnChange::Tag(tags(49, 51)));
    assert_eq!((refused, table.own.tags.len()), (Err(Refusal::TooManyTags), 50));
    assert_eq!(change(OwnChange::Untag(vec!["k0".into(), "none".into()])).1.own.tags.len(), 49);

    let set = |expected| OwnChange::SetPolicy { text: "{}".to_owned(), expected };
    let revision = |table: &TableRecord| table.own.policy.as_ref().map(|p| p.revision);
    assert_eq!(revision(&change(set(ExpectedPolicy::Absent)).1), Some(5_000));
    let (refused, table) = change(set(ExpectedPolicy::Absent));
    assert_eq!((refused, revision(&table)), (Err(Refusal::OtherPolicy), Some(5_000)));
    assert_eq!(revision(&change(set(ExpectedPolicy::Revision(5_000))).1), Some(5_001));
    let (refused, _) = change(OwnChange::DropPolicy(ExpectedPolicy::Revision(5_000)));
    assert_eq!(refused, Err(Refusal::OtherPolicy));
    assert_eq!(revision(&change(OwnChange::DropPolicy(ExpectedPolicy::Any)).1), None);
    assert_eq!(change(OwnChange::DropPolicy(ExpectedPolicy::Any)).0, Ok(()));
    assert_eq!(revision(&change(set(ExpectedPolicy::Any)).1), Some(5_002), "never one again");

    let mode = Some(InsightsMode::ThrottledKeys);
    let insights = change(OwnChange::Insights(mode)).1.own.insights;
    assert_eq!(insights, Some(Insights { mode, changed_ms: 5_000 }));
}

#[test]
fn a_table_with_too_many_tags_is_not_made() {
    let mut region = Region::with_nodes(1);
    let tags = (0..=TAGS_MAX).map(|n| (n.to_string(), String::new())).collect();
    let mut command = create("t", placed(1, &[1]));
    if let Command::CreateTable { own, .. } = &mut command {
        own.push(OwnChange::Tag(tags));
    }
    assert_eq!(region.refused(command), Refusal::TooManyTags);
    let made = region.done(create("t", placed(1, &[1])));
    assert_eq!(made, Done::Table(TableId((2 << 48) | 1)));
}
