//! The stored formats, against the sample files of every version that was ever written.
//!
//! A sample file holds one value a line, each as its versioned bytes. Files of version 1 never
//! change: a changed format gets a version, a reader for the old one and files of its own.

use crate::global::{self, GlobalState, RegionStatus};
use crate::node::NodeAddresses;
use crate::region::tests::{Region, addresses, create, definition, placed, restore_source};
use crate::region::{
    self, ExpectedPolicy, InsightsMode, Learner, OwnChange, RegionState, Replicas, Setting,
    TableSettings,
};
use crate::replica_settings::{Dimension, ReadOverride, ReplicaOverrides, Scaling};
use crate::stored::Stored;
use crate::table::{
    BillingMode, DefinitionError, Encryption, GlobalSnapshot, OnDemandMaximum, ReplicaStatus,
    StreamView, TableClass, TableDefinition, TableStatus, Throughput,
};
use meridian_base::codec::DecodeError;
use meridian_base::{LogIndex, NodeId, PartitionId, RegionId, TableId};
use meridian_model::{IndexProjection, KeyAttribute, KeyKind, LocalIndex};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;

fn check<T: Stored + PartialEq + Debug>(file: &str, sample: &[u8], values: &[T]) {
    let lines: Vec<&[u8]> = sample.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).collect();
    assert_eq!(lines.len(), values.len(), "{file}");
    for (line, value) in lines.into_iter().zip(values) {
        assert_eq!(T::decode(line).as_ref(), Ok(value), "{file}");
        assert_eq!(line, value.encode(), "{file}: {value:?} is written in another form");
    }
}

fn snapshot() -> GlobalSnapshot {
    use ReplicaStatus::{Active, Creating, CreationFailed, Deleting};
    let replicas = [("a", Active), ("b", Creating), ("c", CreationFailed), ("d", Deleting)];
    let replicas = replicas.map(|(region, status)| (region.to_owned(), status));
    GlobalSnapshot { version: 2, replicas: replicas.into() }
}

fn full_definition() -> TableDefinition {
    let mut full = TableDefinition {
        billing: BillingMode::Provisioned,
        throughput: Some(Throughput { read_units: 5, write_units: 6 }),
        stream: Some(StreamView::KeysOnly),
        class: Some(TableClass::StandardInfrequentAccess),
        deletion_protection: true,
        ..definition()
    };
    full.attributes.push(KeyAttribute::new("raw", KeyKind::B));
    full
}

fn region_commands() -> Vec<region::Command> {
    use region::Command;
    let table = TableId((2 << 48) | 1);
    let name = || "orders".to_owned();
    let learner = Learner { node: NodeId(4), replaces: Some(NodeId(3)) };
    let replicas = Replicas { voters: [1, 2, 3].map(NodeId).into(), learners: vec![learner] };
    let region = RegionId { number: 2, incarnation: 1 };
    let settings = TableSettings {
        billing: Some(BillingMode::PayPerRequest),
        throughput: Some(Throughput { read_units: 1, write_units: 2 }),
        stream: Setting::Set(StreamView::OldImage),
        class: Some(TableClass::Standard),
        deletion_protection: Some(false),
        ..TableSettings::default()
    };
    let unset = TableSettings { stream: Setting::Unset, ..TableSettings::default() };
    vec![
        Command::InitRegion { region, name: "eu-west-1".to_owned() },
        create("orders", placed(2, &[1, 2, 3])),
        Command::CreateTable {
            name: name(),
            definition: Box::new(full_definition()),
            partitions: placed(1, &[1]),
            forced: Some(table),
            global: Some(snapshot()),
            own: Vec::new(),
            restore: None,
            created_ms: 1_700_000_000_000,
        },
        Command::TableActive { table },
        Command::UpdateTable { name: name(), settings: Box::new(settings), at_ms: 5 },
        Command::UpdateTable { name: name(), settings: Box::new(unset), at_ms: 6 },
        Command::SetGlobal { table, global: None },
        Command::DeleteTable { name: name(), force: true, backup_ms: None },
        Command::TableGone { table },
        Command::PartitionReplicas { partition: PartitionId(16), expected_epoch: 3, replicas },
        Command::JoinNode { node: NodeId(1), zone: "a".to_owned(), addresses: addresses(1) },
        Command::DrainNode { node: NodeId(1) },
        Command::ActivateNode { node: NodeId(1) },
        Command::RemoveNode { node: NodeId(1), replaced_by: Some(NodeId(2)) },
    ]
}

fn region_results() -> Vec<region::CommandResult> {
    use region::{Done, Refusal};
    let table = TableId((2 << 48) | 1);
    vec![
        Ok(Done::Changed),
        Ok(Done::Table(table)),
        Ok(Done::Epoch(4)),
        Err(Refusal::NotInitialised),
        Err(Refusal::InitialisedOtherwise),
        Err(Refusal::Replayed),
        Err(Refusal::TableExists { table }),
        Err(Refusal::TableNotFound),
        Err(Refusal::InUse { status: TableStatus::Deleting }),
        Err(Refusal::LimitExceeded),
        Err(Refusal::DeletionProtected),
        Err(Refusal::Definition(DefinitionError::NamedTwice)),
        Err(Refusal::StalePlacement),
        Err(Refusal::PartitionNotFound),
        Err(Refusal::StaleEpoch { current: 9 }),
        Err(Refusal::NodeNotFound),
        Err(Refusal::NodeRemoved),
        Err(Refusal::LastNode),
    ]
}

fn region_state() -> RegionState {
    let mut region = Region::with_nodes(4);
    let answers: Vec<bool> =
        region_commands().iter().map(|command| region.answer(command).is_ok()).collect();
    assert!(answers.contains(&true));
    region.done(create("live", placed(4, &[2, 3, 4])));
    let partition = *region.state.tables()["live"].partitions.first().unwrap();
    let learners = vec![Learner { node: NodeId(3), replaces: None }];
    let replicas = Replicas { voters: [2, 4].map(NodeId).into(), learners };
    region.done(region::Command::PartitionReplicas { partition, expected_epoch: 1, replicas });
    region.state
}

fn global_commands() -> Vec<global::Command> {
    use global::Command;
    let (name, region) = (|| "orders".to_owned(), || "a".to_owned());
    let addresses = NodeAddresses { peer: "p".into(), client: "c".into(), admin: "m".into() };
    let (node, at_ms, expected_epoch) = (NodeId(1), 7, 1);
    let set = |to| Command::SetRegionState { region: region(), to, expected_epoch, at_ms };
    vec![
        Command::InitCluster {
            cluster: "c-1".to_owned(),
            regions: ["a", "b"].map(str::to_owned).into(),
            at_ms: 1,
        },
        Command::AddRegion { region: "c".to_owned(), at_ms },
        Command::RebuildRegion { region: region(), expected_epoch },
        Command::UpsertNode { node, region: region(), zone: "z".to_owned(), addresses },
        Command::DrainNode { node, drain: true },
        Command::RemoveNode { node, replaced_by: None },
        Command::CreateGlobalTable {
            name: name(),
            table: TableId((1 << 48) | 1),
            definition: full_definition(),
            region: region(),
            at_ms,
        },
        Command::AddReplica { name: name(), region: "b".to_owned(), at_ms },
        Command::ReplicaActive { name: name(), region: region(), at_ms },
        Command::ReplicaFailed { name: name(), region: region(), at_ms },
        Command::RemoveReplica { name: name(), region: region(), at_ms },
        Command::ReplicaRemoved { name: name(), region: region() },
        Command::UpdateTableDefinition {
            name: name(),
            expected_version: 2,
            definition: definition(),
        },
        Command::ReportSilence {
            by: "b".to_owned(),
            about: "c".to_owned(),
            since_ms: Some(1),
            at_ms,
        },
        set(RegionStatus::Draining { target: "b".to_owned() }),
        set(RegionStatus::Evacuated),
        set(RegionStatus::Lost),
        set(RegionStatus::Recovering),
        set(RegionStatus::Active),
    ]
}

fn global_results() -> Vec<global::CommandResult> {
    use global::{Done, Refusal};
    vec![
        Ok(Done::Changed),
        Ok(Done::Region(RegionId { number: 3, incarnation: 2 })),
        Ok(Done::Epoch(4)),
        Ok(Done::Version(5)),
        Err(Refusal::NotInitialised),
        Err(Refusal::InitialisedOtherwise),
        Err(Refusal::Replayed),
        Err(Refusal::RegionExists),
        Err(Refusal::RegionNotFound),
        Err(Refusal::LimitExceeded),
        Err(Refusal::StaleEpoch { current: 2 }),
        Err(Refusal::IllegalMove { from: RegionStatus::Draining { target: "b".to_owned() } }),
        Err(Refusal::BadTarget),
        Err(Refusal::LastRegion),
        Err(Refusal::SelfReport),
        Err(Refusal::NodeNotFound),
        Err(Refusal::NodeRemoved),
        Err(Refusal::NodeElsewhere { region: "a".to_owned() }),
        Err(Refusal::TableExists { table: TableId(1) }),
        Err(Refusal::TableNotFound),
        Err(Refusal::Definition(DefinitionError::KeyUndefined)),
        Err(Refusal::KeysChanged),
        Err(Refusal::StaleVersion { current: 3 }),
        Err(Refusal::ReplicaInUse { status: ReplicaStatus::Creating }),
        Err(Refusal::ReplicaNotFound),
        Err(Refusal::LastReplica),
    ]
}

fn global_state() -> GlobalState {
    let mut state = GlobalState::new();
    let mut index = 0;
    let mut apply = |state: &mut GlobalState, command: &global::Command| {
        index += 1;
        state.apply(LogIndex(index), command).is_ok()
    };
    let answers: Vec<bool> = global_commands().iter().map(|c| apply(&mut state, c)).collect();
    assert!(answers.contains(&true));
    state
}

#[test]
fn samples_of_version_1_are_read_and_written() {
    let region_commands_1 = include_bytes!("../samples/region-commands-1.bin");
    check("region-commands-1", region_commands_1, &region_commands());
    let region_results_1 = include_bytes!("../samples/region-results-1.bin");
    check("region-results-1", region_results_1, &region_results());
    let region_state_1 = include_bytes!("../samples/region-state-1.bin");
    check("region-state-1", region_state_1, &[region_state()]);
    let global_commands_1 = include_bytes!("../samples/global-commands-1.bin");
    check("global-commands-1", global_commands_1, &global_commands());
    let global_results_1 = include_bytes!("../samples/global-results-1.bin");
    check("global-results-1", global_results_1, &global_results());
    let global_state_1 = include_bytes!("../samples/global-state-1.bin");
    check("global-state-1", global_state_1, &[global_state()]);
}

fn overrides() -> BTreeMap<String, ReplicaOverrides> {
    let own = ReplicaOverrides {
        read: ReadOverride { provisioned: Some(9), on_demand: None },
        class: Some(TableClass::Standard),
        indexes: BTreeMap::new(),
    };
    BTreeMap::from([("eu-west-1".to_owned(), own)])
}

fn scaling() -> Scaling {
    Scaling {
        units_min: 1,
        units_max: 2,
        role: Some("role".to_owned()),
        policy: Some("policy".to_owned()),
        is_scale_in_disabled: Some(true),
        scale_in_cooldown_s: Some(-1),
        scale_out_cooldown_s: None,
        target_bits: 55.5f64.to_bits(),
    }
}

/// What came after the samples of version 1: none of it is in the bytes where it is not used.
#[test]
fn later_settings_round_trip() {
    let index = |projection| LocalIndex {
        name: "by-size".to_owned(),
        sort: KeyAttribute::new("size", KeyKind::N),
        projection,
    };
    let names = vec!["a".to_owned(), "b".to_owned()];
    let local_indexes = vec![
        index(IndexProjection::All),
        index(IndexProjection::KeysOnly),
        index(IndexProjection::Include(names.clone())),
    ];
    let definition = TableDefinition {
        local_indexes,
        on_demand: OnDemandMaximum { read_units: Some(7), write_units: None },
        warm: Some(Throughput { read_units: 9, write_units: 8 }),
        encryption: Some(Encryption { key: Some("k".to_owned()) }),
        overrides: overrides(),
        scaling: vec![(Dimension { region: Some("eu-west-1".to_owned()), index: None }, scaling())],
        ..full_definition()
    };
    let tags = [("k".to_owned(), "v".to_owned())].into();
    let (text, expected) = ("{}".to_owned(), ExpectedPolicy::Revision(3));
    let own = vec![
        OwnChange::Tag(tags),
        OwnChange::Untag(names),
        OwnChange::SetPolicy { text, expected },
        OwnChange::DropPolicy(ExpectedPolicy::Absent),
        OwnChange::SetStreamPolicy { label: "l".to_owned(), text: "{}".to_owned(), expected },
        OwnChange::DropStreamPolicy { label: "l".to_owned(), expected },
        OwnChange::Insights(Some(InsightsMode::ThrottledKeys)),
        OwnChange::Insights(None),
        OwnChange::IndexInsights { index: "by-name".to_owned(), mode: None },
        OwnChange::Recovery(Some(35)),
        OwnChange::Recovery(None),
    ];
    let settings = TableSettings::between(&full_definition(), &definition);
    assert!(!settings.is_empty());
    let name = || "orders".to_owned();
    let (partitions, at_ms) = (placed(1, &[1]), 5);
    let owner = Some(region::ArchiveOwner { cluster: "c".to_owned(), region: "r".to_owned() });
    let later = region::LaterSettings {
        stream: Some(StreamView::KeysOnly),
        ttl: Some("t".to_owned()),
        recovery_days: Some(1),
    };
    let changes = own.iter().cloned();
    let changes = changes.map(|change| region::Command::ChangeOwn { name: name(), change, at_ms });
    let commands = changes.chain([
        region::Command::UpdateTable { name: name(), settings: Box::new(settings), at_ms },
        region::Command::CreateTable {
            name: name(),
            definition: Box::new(definition),
            partitions,
            forced: None,
            global: None,
            own: own.clone(),
            restore: Some(Box::new(region::RestoreSource {
                owner,
                later,
                is_scratch: true,
                ..restore_source()
            })),
            created_ms: 1,
        },
        region::Command::PartitionRestored { table: TableId(1), partition: PartitionId(16), at_ms },
        region::Command::RestoreProgress {
            table: TableId(1),
            partition: PartitionId(16),
            restored: region::Restored { items: 1, bytes: 2, bytes_total: 3 },
        },
        region::Command::DropRestoring { table: TableId(1) },
        region::Command::SwapTables { first: name(), second: name() },
    ]);
    for command in commands {
        assert_eq!(region::Command::decode(&command.encode()), Ok(command));
    }
}

#[test]
fn bytes_of_no_known_format_are_refused() {
    assert_eq!(RegionState::decode(&[]), Err(DecodeError::Short));
    let version = DecodeError::Unknown("control format version");
    assert_eq!(RegionState::decode(b"\x02{}"), Err(version));
    let value = DecodeError::Unknown("control value");
    assert_eq!(RegionState::decode(b"\x01{}"), Err(value));
    let odd = br#"{"range":{"start":"0","end":null},"voters":[1],"first_leader":1}"#;
    assert!(serde_json::from_slice::<region::PartitionPlacement>(odd).is_err());
    let no_hex = br#"{"range":{"start":"0x","end":null},"voters":[1],"first_leader":1}"#;
    assert!(serde_json::from_slice::<region::PartitionPlacement>(no_hex).is_err());
}

#[test]
fn definitions_that_contradict_themselves_are_refused() {
    assert_eq!(full_definition().check(), Ok(()));
    let broken = |change: fn(&mut TableDefinition)| {
        let mut definition = full_definition();
        change(&mut definition);
        definition.check()
    };
    let named_twice = Err(DefinitionError::NamedTwice);
    assert_eq!(broken(|d| d.attributes.push(KeyAttribute::new("id", KeyKind::S))), named_twice);
    assert_eq!(broken(|d| d.key.sort = Some(d.key.partition.clone())), named_twice);
    let undefined = Err(DefinitionError::KeyUndefined);
    assert_eq!(broken(|d| d.attributes.clear()), undefined);
    assert_eq!(broken(|d| d.key.partition.kind = KeyKind::N), undefined);
    let mismatch = Err(DefinitionError::ThroughputMismatch);
    assert_eq!(broken(|d| d.throughput = None), mismatch);
    assert_eq!(broken(|d| d.billing = BillingMode::PayPerRequest), mismatch);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(json in "[\\x20-\\x7e]{0,64}", raw: Vec<u8>) {
        let mut bytes = vec![1];
        bytes.extend_from_slice(json.as_bytes());
        for bytes in [&bytes, &raw] {
            let _ = (RegionState::decode(bytes), GlobalState::decode(bytes));
            let _ = (region::Command::decode(bytes), global::Command::decode(bytes));
        }
    }
}
