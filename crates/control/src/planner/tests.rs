//! Tests of the planner: one situation each, then random ones.

use super::model::{DEAD, Group, LIVE, Luck, Model, SILENT};
use super::*;
use crate::global::tests::{Cluster, REGIONS, upsert};
use crate::node::NodeState;
use crate::region::tests::{Region, addresses, create, placed, restore_source};
use crate::region::{Refusal, Setting, TableSettings};
use crate::table::StreamView;
use meridian_model::KeyRange;
use proptest::prelude::*;

fn ids(nodes: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    nodes.into_iter().map(NodeId).collect()
}

fn voters_of(model: &Model) -> Vec<BTreeSet<NodeId>> {
    model.groups.values().map(|group| group.voters().clone()).collect()
}

/// Checks that no partition's recorded or real replicas differ, and no move is open.
fn assert_settled(model: &Model) {
    for (id, record) in model.region.state.partitions() {
        let group = &model.groups[id];
        let recorded: BTreeSet<NodeId> = record.replicas.voters.iter().copied().collect();
        assert_eq!((&recorded, group.configs.len()), (group.voters(), 1));
        assert!(record.replicas.learners.is_empty() && group.learners.is_empty());
    }
}

fn leader_counts(model: &Model) -> BTreeMap<NodeId, usize> {
    let mut counts = BTreeMap::new();
    let leaders = model.groups.values().filter_map(|group| group.leader);
    leaders.for_each(|node| *counts.entry(node).or_default() += 1);
    counts
}

#[test]
fn a_new_table_is_spread_over_nodes_zones_and_leaders() {
    for (nodes, replicas) in [(1, 1), (2, 2), (3, 3), (5, 3), (6, 3)] {
        let mut model = Model::with_nodes(nodes);
        model.create("t", 6).unwrap();
        let counts: Vec<usize> =
            (1..=nodes).map(|n| model.region.state.replica_count(NodeId(n))).collect();
        // With five nodes one zone has one node, and zones go before counts.
        let even = counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1;
        assert!(even || nodes == 5, "{counts:?}");
        assert!(voters_of(&model).iter().all(|voters| voters.len() == replicas));
        let view = model.view();
        for voters in voters_of(&model) {
            let zones: BTreeSet<&str> = voters.iter().map(|node| view.zone(*node)).collect();
            assert_eq!(zones.len(), replicas);
        }
        let leaders = leader_counts(&model);
        assert_eq!(leaders.len(), usize::try_from(nodes).unwrap().min(6));
        assert!(leaders.values().max().unwrap() - leaders.values().min().unwrap() <= 1);
        model.converge();
        assert_eq!(model.region.state.tables()["t"].status, TableStatus::Active);
    }
}

#[test]
fn a_table_is_active_only_when_every_partition_keeps_its_changes_for_the_stream() {
    let mut model = Model::with_nodes(3);
    model.create("t", 2).unwrap();
    model.converge();
    let stream = Setting::Set(StreamView::NewImage);
    let settings = TableSettings { stream, ..TableSettings::default() };
    model.region.done(Command::UpdateTable {
        name: "t".to_owned(),
        settings: Box::new(settings),
        at_ms: 1,
    });
    let status = |model: &Model| model.region.state.tables()["t"].status;
    model.converge();
    assert_eq!(status(&model), TableStatus::Updating);
    let (table, partitions) = {
        let table = &model.region.state.tables()["t"];
        (table.id, table.partitions.clone())
    };
    for partition in partitions {
        assert_eq!(status(&model), TableStatus::Updating);
        model.region.done(Command::StreamStarted { table, partition });
        model.converge();
    }
    assert_eq!(status(&model), TableStatus::Active);
}

#[test]
fn a_table_is_active_only_when_every_partition_is_restored() {
    let mut model = Model::with_nodes(3);
    let mut create = create("t", placed(2, &[1, 2, 3]));
    if let Command::CreateTable { restore, .. } = &mut create {
        *restore = Some(Box::new(restore_source()));
    }
    model.region.done(create);
    let status = |model: &Model| model.region.state.tables()["t"].status;
    let (table, partitions) = {
        let table = &model.region.state.tables()["t"];
        (table.id, table.partitions.clone())
    };
    for partition in partitions {
        model.converge();
        assert_eq!(status(&model), TableStatus::Creating);
        model.region.done(Command::PartitionRestored { table, partition, at_ms: 1 });
    }
    model.converge();
    assert_eq!(status(&model), TableStatus::Active);
}

#[test]
fn a_table_is_placed_on_answering_nodes_first() {
    let mut model = Model::with_nodes(4);
    model.silent_ms.insert(NodeId(2), SILENT);
    model.create("t", 4).unwrap();
    assert!(voters_of(&model).iter().all(|voters| *voters == ids([1, 3, 4])));
    model.silent_ms.insert(NodeId(3), DEAD);
    model.create("u", 1).unwrap();
    assert_eq!(voters_of(&model)[4], ids([1, 2, 4]), "a silent node may come back");
    model.silent_ms.insert(NodeId(4), SILENT);
    assert_eq!(model.create("v", 1), Err(PlaceError::TooFewNodes));
}

#[test]
fn a_node_short_of_disk_gets_nothing_new_and_no_leaderships() {
    let mut model = Model::with_nodes(4);
    model.short_of_room = ids([1]);
    model.create("t", 4).unwrap();
    model.converge();
    assert!(voters_of(&model).iter().all(|voters| *voters == ids([2, 3, 4])));
    assert!(!leader_counts(&model).contains_key(&NodeId(1)));
    model.short_of_room = ids([1, 2]);
    model.create("u", 1).unwrap();
    let leader = model.groups.values().last().unwrap().leader;
    assert!(leader == Some(NodeId(3)) || leader == Some(NodeId(4)), "{leader:?}");
    model.short_of_room = ids([1, 2, 3]);
    assert_eq!(model.create("v", 1), Err(PlaceError::TooFewNodes));
    // With room again it takes its share.
    model.short_of_room.clear();
    model.converge();
    assert!(model.region.state.replica_count(NodeId(1)) >= 2);
}

#[test]
fn a_dead_node_is_replaced_when_it_was_silent_for_long() {
    let mut model = Model::with_nodes(4);
    model.create("t", 4).unwrap();
    model.converge();
    model.silent_ms.insert(NodeId(1), SILENT);
    model.converge();
    assert!(voters_of(&model).iter().any(|voters| voters.contains(&NodeId(1))));
    model.silent_ms.insert(NodeId(1), DEAD);
    model.converge();
    assert!(voters_of(&model).iter().all(|voters| *voters == ids([2, 3, 4])));
    assert_settled(&model);
    model.silent_ms.insert(NodeId(1), LIVE);
    model.converge();
    assert_eq!(model.region.state.replica_count(NodeId(1)), 2, "it takes half of its zone");
}

#[test]
fn a_node_that_lost_its_log_leaves_every_group_and_comes_back() {
    for nodes in [3, 4] {
        let mut model = Model::with_nodes(nodes);
        model.create("t", 4).unwrap();
        model.converge();
        // It answers, as what it is, and yet counts for no majority.
        model.region.done(Command::LoseNodeLog { node: NodeId(1), loss: 7 });
        model.converge();
        let left = usize::try_from(nodes - 1).unwrap();
        assert!(voters_of(&model).iter().all(|v| v.len() == left && !v.contains(&NodeId(1))));
        assert_settled(&model);
        let members = |model: &Model| {
            let limits = Limits::default();
            region_members(&model.region.state, &ids(1..=nodes), &model.silent_ms, &limits)
        };
        let named = members(&model);
        assert!(!named.voters.contains(&NodeId(1)) && !named.learners.contains(&NodeId(1)));
        assert_eq!(
            model.region.refused(Command::DrainNode { node: NodeId(1) }),
            Refusal::NodeLostLog
        );

        model.region.done(Command::ReturnNode { node: NodeId(1), loss: 6 });
        assert_eq!(model.region.state.nodes()[&NodeId(1)].state, NodeState::LostLog { loss: 7 });
        model.region.done(Command::ReturnNode { node: NodeId(1), loss: 7 });
        // The report may come again, late.
        model.region.done(Command::LoseNodeLog { node: NodeId(1), loss: 7 });
        model.converge();
        assert!(voters_of(&model).iter().all(|voters| voters.len() == 3));
        assert!(model.region.state.replica_count(NodeId(1)) > 0);
        assert!(members(&model).voters.contains(&NodeId(1)) || nodes == 4);
        assert_settled(&model);
    }
}

#[test]
fn a_move_takes_these_steps() {
    let mut model = Model::with_nodes(3);
    model.create("t", 1).unwrap();
    model.converge();
    let leader = model.groups.values().next().unwrap().leader.unwrap();
    model.region.join(4);
    model.silent_ms.insert(NodeId(4), LIVE);
    model.region.done(Command::RemoveNode { node: leader, replaced_by: Some(NodeId(4)) });
    let mut named = Vec::new();
    while let [step] = plan(&model.view()).as_slice() {
        named.push(match step {
            Step::Propose(Command::PartitionReplicas { replicas, .. }) => {
                format!(
                    "record {} voters, {} learners",
                    replicas.voters.len(),
                    replicas.learners.len()
                )
            }
            Step::Propose(command) => format!("{command:?}"),
            Step::AddLearner { node, .. } => format!("add {node}"),
            Step::ChangeVoters { voters, .. } => format!("{} voters", voters.len()),
            Step::RemoveLearner { node, .. } => format!("remove {node}"),
            Step::TransferLeader { from, .. } => format!("{from} stops leading"),
        });
        model.round(|| Luck::Works);
    }
    let first = format!("{leader} stops leading");
    let rest = ["record 3 voters, 1 learners", "add 4", "3 voters", "record 3 voters, 0 learners"];
    assert_eq!(named, [&[first.as_str()], &rest[..]].concat());
    assert!(voters_of(&model)[0].contains(&NodeId(4)));
}

#[test]
fn a_drained_node_holds_nothing_also_without_a_replacement() {
    let mut model = Model::with_nodes(3);
    model.create("t", 4).unwrap();
    model.region.done(Command::DrainNode { node: NodeId(3) });
    model.converge();
    assert_eq!(model.region.state.replica_count(NodeId(3)), 0);
    assert!(voters_of(&model).iter().all(|voters| *voters == ids([1, 2])));
    model.region.done(Command::ActivateNode { node: NodeId(3) });
    model.converge();
    assert!(voters_of(&model).iter().all(|voters| *voters == ids([1, 2, 3])));
    assert_settled(&model);
    let leaders = leader_counts(&model);
    assert_eq!(leaders.len(), 3, "the leaders are spread again: {leaders:?}");
}

#[test]
fn without_a_quorum_nothing_is_touched() {
    let mut model = Model::with_nodes(5);
    model.create("t", 1).unwrap();
    model.converge();
    let voters: Vec<NodeId> =
        model.groups.values().next().unwrap().voters().iter().copied().collect();
    for node in &voters[..2] {
        model.silent_ms.insert(*node, DEAD);
    }
    model.settle();
    assert_eq!(plan(&model.view()), []);
    // A leader that still believes in itself reports: no quorum, so no change of voters either.
    let group = Group { leader: Some(voters[2]), ..Group::of(voters.clone()) };
    let mut view = model.view();
    view.groups.insert(PartitionId(16), group.observed().unwrap());
    let steps = plan(&view);
    assert!(!steps.iter().any(|step| matches!(step, Step::ChangeVoters { .. })), "{steps:?}");
}

#[test]
fn a_joint_change_that_was_left_is_finished() {
    let mut model = Model::with_nodes(4);
    model.create("t", 1).unwrap();
    model.converge();
    let leader = model.groups.values().next().unwrap().leader.unwrap();
    let other = *voters_of(&model)[0].iter().find(|node| **node != leader).unwrap();
    model.region.done(Command::DrainNode { node: other });
    for _ in 0..10 {
        model.round(|| Luck::Halfway);
    }
    assert!(!voters_of(&model)[0].contains(&other));
    assert_settled(&model);
}

#[test]
fn only_so_many_moves_run_at_once() {
    let mut model = Model::with_nodes(3);
    model.limits.moves_max = 2;
    model.create("t", 8).unwrap();
    model.region.join(4);
    model.silent_ms.insert(NodeId(4), LIVE);
    model.region.done(Command::DrainNode { node: NodeId(1) });
    for _ in 0..60 {
        model.round(|| Luck::Works);
        let partitions = model.region.state.partitions().values();
        let moving = partitions.filter(|p| !p.replicas.learners.is_empty()).count();
        assert!(moving <= 2, "{moving} moves");
    }
    assert_eq!(model.region.state.replica_count(NodeId(1)), 0);
}

#[test]
fn a_table_that_is_being_deleted_is_left_alone() {
    let mut model = Model::with_nodes(4);
    model.create("t", 4).unwrap();
    model.converge();
    model.region.done(Command::DeleteTable { name: "t".to_owned(), force: false, backup_ms: None });
    model.region.done(Command::DrainNode { node: NodeId(1) });
    model.silent_ms.insert(NodeId(2), DEAD);
    model.settle();
    assert_eq!(plan(&model.view()), []);
}

#[test]
fn replicas_even_out_and_spread_over_zones() {
    let mut model = Model::with_nodes(3);
    model.create("t", 8).unwrap();
    for node in 4..=6 {
        model.region.join(node);
        model.silent_ms.insert(NodeId(node), LIVE);
    }
    model.converge();
    assert!((1..=6).all(|n| model.region.state.replica_count(NodeId(n)) == 4));
    assert_settled(&model);
    // All in one zone, then a node comes in another: every partition wants to be there too.
    let mut model = Model::with_nodes(3);
    for node in 1..=3 {
        let (zone, addresses) = ("a".to_owned(), addresses(node));
        model.region.done(Command::JoinNode { node: NodeId(node), zone, addresses });
    }
    model.create("t", 4).unwrap();
    model.region.join(4);
    model.silent_ms.insert(NodeId(4), LIVE);
    model.converge();
    assert_eq!(model.region.state.replica_count(NodeId(4)), 3, "its share of zone a");
    let (zone, addresses) = ("b".to_owned(), addresses(4));
    model.region.done(Command::JoinNode { node: NodeId(4), zone, addresses });
    model.converge();
    assert_eq!(model.region.state.replica_count(NodeId(4)), 4);
}

fn region_with(zones: &[&str]) -> Region {
    let mut region = Region::with_nodes(0);
    for (node, zone) in (1..).zip(zones) {
        let (zone, addresses) = ((*zone).to_owned(), addresses(node));
        region.done(Command::JoinNode { node: NodeId(node), zone, addresses });
    }
    region
}

#[test]
fn a_region_group_has_odd_voters_spread_by_zone() {
    for (nodes, voters) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (9, 5)] {
        let state = Region::with_nodes(nodes).state;
        let members = region_members(&state, &ids([]), &BTreeMap::new(), &Limits::default());
        assert_eq!(members.voters.len(), voters, "{nodes} nodes");
        assert_eq!(members.voters.len() + members.learners.len(), usize::try_from(nodes).unwrap());
    }
    let state = region_with(&["a", "a", "b", "c"]).state;
    let silent = BTreeMap::from([(NodeId(1), DEAD)]);
    let none = BTreeMap::new();
    let desired =
        |current, silent| region_members(&state, &current, silent, &Limits::default()).voters;
    assert_eq!(desired(ids([]), &none), ids([1, 3, 4]));
    assert_eq!(desired(ids([2, 3, 4]), &none), ids([2, 3, 4]), "a voter stays");
    assert_eq!(desired(ids([1, 3, 4]), &silent), ids([2, 3, 4]), "a dead one is replaced");
    let state = region_with(&["a", "b", "c"]).state;
    let members = region_members(&state, &ids([1, 2, 3]), &silent, &Limits::default());
    assert_eq!(members.voters, ids([1, 2, 3]), "a dead one stays where nobody can replace it");
}

#[test]
fn global_voters_by_regions() {
    let share = |regions: usize, nodes_each: u64| {
        let names: Vec<String> = (0..regions).map(|n| format!("r{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let cluster = Cluster::of(&names, nodes_each);
        let limits = Limits::default();
        let voters = global_members(&cluster.state, &ids([]), &BTreeMap::new(), &limits).voters;
        let count = |region: &&str| {
            voters.iter().filter(|n| cluster.state.nodes()[n].region == **region).count()
        };
        names.iter().map(count).collect::<Vec<_>>()
    };
    assert_eq!(share(1, 1), [1]);
    assert_eq!(share(1, 2), [2]);
    assert_eq!(share(1, 3), [3]);
    assert_eq!(share(1, 6), [5]);
    assert_eq!(share(2, 1), [1, 1]);
    assert_eq!(share(2, 2), [2, 1]);
    assert_eq!(share(2, 3), [3, 2]);
    assert_eq!(share(3, 1), [1, 1, 1]);
    assert_eq!(share(3, 2), [2, 2, 1]);
    assert_eq!(share(3, 3), [2, 2, 1]);
    assert_eq!(share(4, 1), [1, 1, 1, 0]);
    assert_eq!(share(4, 3), [2, 1, 1, 1]);
    assert_eq!(share(6, 3), [1, 1, 1, 1, 1, 0]);
}

#[test]
fn no_large_region_gets_a_majority_of_the_global_voters() {
    let mut cluster = Cluster::of(&REGIONS, 1);
    for node in 4..=6 {
        cluster.done(upsert(NodeId(node), REGIONS[0]));
    }
    let none = BTreeMap::new();
    let members = global_members(&cluster.state, &ids([]), &none, &Limits::default());
    assert_eq!(members.voters, ids([1, 2, 3]), "3 + 1 + 1 would not survive the first region");
}

#[test]
fn half_of_the_voters_is_no_quorum() {
    let is_live = |node: NodeId| node.0 < 3;
    assert!(has_quorum(&ids([1, 2, 3]), is_live));
    assert!(!has_quorum(&ids([1, 2, 3, 4]), is_live));
    assert!(!has_quorum(&ids([1, 3]), is_live));
    assert!(!has_quorum(&ids([]), is_live));
}

#[test]
fn a_lost_region_keeps_its_global_voters() {
    let cluster = Cluster::of(&REGIONS, 3);
    let limits = Limits::default();
    let before = global_members(&cluster.state, &ids([]), &BTreeMap::new(), &limits);
    assert_eq!(before.voters, ids([1, 2, 4, 5, 7]));
    assert_eq!(before.learners, ids([3, 6, 8, 9]));
    let silent = (1..=3).map(|node| (NodeId(node), DEAD)).collect();
    assert_eq!(global_members(&cluster.state, &before.voters, &silent, &limits), before);
    let silent = BTreeMap::from([(NodeId(1), DEAD)]);
    let after = global_members(&cluster.state, &before.voters, &silent, &limits);
    assert_eq!(after.voters, ids([2, 3, 4, 5, 7]), "its own region has another node");
}

#[test]
fn a_control_group_reaches_its_members() {
    let is_live = |node: NodeId| node != NodeId(9);
    for (from, to) in [
        (ids([1]), Members { voters: ids([1, 2, 3]), learners: ids([4]) }),
        (ids([1, 2, 3]), Members { voters: ids([4, 5, 6]), learners: ids([1]) }),
        (ids([1, 2, 9]), Members { voters: ids([1, 2, 3]), learners: ids([]) }),
        (ids([1]), Members { voters: ids([2]), learners: ids([]) }),
    ] {
        let mut group = Group::of(from);
        for round in 0.. {
            group.settle(is_live);
            let observed = group.observed().unwrap();
            let Some(step) = member_step(GroupId::Region, &to, &observed, is_live) else { break };
            assert!(round < 40, "{step:?}");
            group.carry_out(&step, is_live, round % 2 == 0);
        }
        assert_eq!((group.voters(), &group.learners), (&to.voters, &to.learners));
    }
}

/// Something that happens to a region.
#[derive(Debug, Clone)]
enum Event {
    Silence(u64, u64),
    Drain(u64),
    Activate(u64),
    Remove(u64, Option<u64>),
    Join(u64),
    Create(u32),
    Delete,
    Rounds(Vec<Luck>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let luck = prop_oneof![
        6 => Just(Luck::Works),
        2 => Just(Luck::Fails),
        1 => Just(Luck::Halfway),
    ];
    prop_oneof![
        2 => (1u64..9, prop::sample::select(vec![LIVE, LIVE, SILENT, DEAD]))
            .prop_map(|(node, ms)| Event::Silence(node, ms)),
        1 => (1u64..9).prop_map(Event::Drain),
        1 => (1u64..9).prop_map(Event::Activate),
        1 => (1u64..9, prop::option::of(1u64..9)).prop_map(|(n, heir)| Event::Remove(n, heir)),
        1 => (1u64..9).prop_map(Event::Join),
        1 => (1u32..5).prop_map(Event::Create),
        1 => Just(Event::Delete),
        4 => prop::collection::vec(luck, 1..12).prop_map(Event::Rounds),
    ]
}

/// Lets an event happen; commands that the region refuses just do not.
fn happen(model: &mut Model, event: &Event, number: usize) {
    let command = match event.clone() {
        Event::Silence(node, ms) => {
            model.silent_ms.entry(NodeId(node)).and_modify(|silent| *silent = ms);
            None
        }
        Event::Drain(node) => Some(Command::DrainNode { node: NodeId(node) }),
        Event::Activate(node) => Some(Command::ActivateNode { node: NodeId(node) }),
        Event::Remove(node, heir) => {
            Some(Command::RemoveNode { node: NodeId(node), replaced_by: heir.map(NodeId) })
        }
        Event::Join(node) => {
            model.silent_ms.entry(NodeId(node)).or_insert(LIVE);
            let zone = ["a", "b", "c"][usize::try_from(node % 3).unwrap()].to_owned();
            Some(Command::JoinNode { node: NodeId(node), zone, addresses: addresses(node) })
        }
        Event::Create(parts) => {
            let _ = model.create(&format!("t{number}"), parts);
            None
        }
        Event::Delete => {
            let name = model.region.state.tables().keys().next().cloned();
            name.map(|name| Command::DeleteTable { name, force: true, backup_ms: None })
        }
        Event::Rounds(luck) => {
            let mut luck = luck.into_iter().cycle();
            for _ in 0..4 {
                model.round(|| luck.next().unwrap());
            }
            None
        }
    };
    command.iter().for_each(|command| {
        let _ = model.region.answer(command);
    });
    model.settle();
}

/// What holds when the planner has run out of steps.
fn check_end(model: &Model) {
    let view = model.view();
    let fit: BTreeSet<NodeId> = view.fit_nodes().collect();
    let all_live = fit.iter().all(|node| view.is_live(*node));
    for record in view.partitions() {
        let Some(observed) = view.groups.get(&record.id) else { continue };
        let voters = observed.voters();
        let recorded: BTreeSet<NodeId> = record.replicas.voters.iter().copied().collect();
        assert_eq!(voters, recorded);
        let strays = observed.learners.iter().filter(|node| !record.replicas.holds(**node));
        assert_eq!(strays.count(), 0, "{observed:?}");
        if fit.len() >= 3 && all_live {
            assert_eq!(voters.len(), 3, "{record:?}");
            assert!(voters.is_subset(&fit), "{voters:?} of {fit:?}");
            assert!(record.replicas.learners.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn the_planner_ends_where_it_should(
        nodes in 1u64..6,
        events in prop::collection::vec(any_event(), 1..25),
    ) {
        let mut model = Model::with_nodes(nodes);
        model.create("first", 3).unwrap();
        for (number, event) in events.iter().enumerate() {
            happen(&mut model, event, number);
        }
        model.converge();
        check_end(&model);
        // Once every node answers again, everything is as it should be.
        model.silent_ms.values_mut().for_each(|silent| *silent = LIVE);
        model.converge();
        check_end(&model);
        let leaderless = model.groups.values().filter(|group| group.leader.is_none()).count();
        prop_assert_eq!(leaderless, 0);
        let drained = model.region.state.nodes().iter().filter(|(_, node)| node.state != NodeState::Active);
        for (node, _) in drained {
            let left = model.view().partitions().filter(|p| p.replicas.holds(*node)).count();
            prop_assert_eq!(left, 0, "node {} keeps replicas", node);
        }
    }

    #[test]
    fn chosen_voters_stay_chosen(
        zones in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..10),
        current in prop::collection::btree_set((1u64..10).prop_map(NodeId), 0..6),
        dead in prop::collection::btree_set((1u64..10).prop_map(NodeId), 0..4),
    ) {
        let state = region_with(&zones).state;
        let silent = dead.iter().map(|node| (*node, DEAD)).collect();
        let limits = Limits::default();
        let first = region_members(&state, &current, &silent, &limits);
        prop_assert_eq!(&region_members(&state, &first.voters, &silent, &limits), &first);
        prop_assert!(first.voters.is_disjoint(&first.learners));
        let odd = first.voters.len() % 2 == 1 || first.voters.len() == 2;
        prop_assert!(odd || first.voters.is_empty());
        let live = |node: &NodeId| !dead.contains(node);
        let stays = |node: &NodeId| live(node) || current.contains(node);
        prop_assert!(first.voters.iter().all(stays), "a dead node got a vote");
        prop_assert_eq!(place_table_total(&state), zones.len().min(3));
    }
}

fn place_table_total(state: &RegionState) -> usize {
    let silent_ms = state.nodes().keys().map(|node| (*node, LIVE)).collect();
    let limits = Limits::default();
    let short_of_room = BTreeSet::new();
    let view = View { state, silent_ms, short_of_room, groups: BTreeMap::new(), limits };
    place_table(&view, &[KeyRange::full()]).unwrap()[0].voters.len()
}
