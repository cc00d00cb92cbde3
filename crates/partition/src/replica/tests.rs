//! Tests of `replica`.

use super::*;
use crate::command::tests::every_mutation;
use crate::command::{Batch, Command, Mutation};
use crate::snapshot::CHUNK_BYTES;
use crate::testing::{Leader, delete, put, spec_in};
use meridian_base::{Hlc, Incarnation, LogIndex, PartitionId, RegionId, Sequence};
use meridian_storage::{MemoryEngine, Range};
use proptest::prelude::*;

fn replica() -> (Arc<MemoryEngine>, PartitionReplica) {
    let engine = Arc::new(MemoryEngine::new());
    let replica = PartitionReplica::open(engine.clone(), spec_in(1)).unwrap();
    (engine, replica)
}

fn at(index: u64) -> LogPosition {
    LogPosition { term: 1, index: LogIndex(index) }
}

fn begin(incarnation: u64) -> Command {
    let incarnation = Incarnation(incarnation);
    Command::Begin { incarnation, floor: Hlc(5), region: RegionId::new(1) }
}

fn batch(incarnation: u64, sequence: u64, mutations: Vec<Mutation>) -> Command {
    Command::Batch(Batch {
        incarnation: Incarnation(incarnation),
        sequence: Sequence(sequence),
        commit_ms: 1,
        mutations,
    })
}

fn apply_all(replica: &mut PartitionReplica, commands: &[Command]) -> Vec<ApplyOutcome> {
    let next = replica.applied().map_or(0, |applied| applied.index.0 + 1);
    let bytes: Vec<_> = commands.iter().map(Command::encode).collect();
    let entry = |(i, command): (usize, &'_ Vec<u8>)| (at(next + i as u64), command.clone());
    let entries: Vec<_> = bytes.iter().enumerate().map(entry).collect();
    let entries: Vec<_> =
        entries.iter().map(|(at, b)| Entry { at: *at, payload: Payload::Command(b) }).collect();
    replica.apply(&entries).unwrap()
}

/// Every key and value of an engine.
fn contents(engine: &dyn Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    engine
        .scan(Range::all(), &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            Control::Continue(())
        })
        .unwrap();
    all
}

/// A leader with items, tombstones and change records of about `bytes`.
fn filled(items: i64, bytes: usize) -> Leader {
    let mut leader = Leader::new(1);
    leader.evaluator.start_reader(crate::Reader::Region(2)).unwrap();
    for n in 0..items {
        leader.done(&put(n, &"x".repeat(bytes)));
    }
    leader.done(&delete(0));
    leader
}

fn chunks(replica: &PartitionReplica) -> Vec<Vec<u8>> {
    let mut reader = replica.snapshot().unwrap();
    std::iter::from_fn(|| reader.next_chunk().unwrap()).collect()
}

#[test]
fn only_the_successor_is_accepted() {
    use ApplyOutcome::{Accepted, Fenced};
    let (_, mut replica) = replica();
    let commands = [
        (batch(1, 1, vec![]), Fenced),
        (batch(0, 1, vec![]), Fenced),
        (begin(0), Fenced),
        (begin(1), Accepted),
        (batch(1, 2, vec![]), Fenced),
        (batch(1, 1, vec![]), Accepted),
        (batch(1, 1, vec![]), Fenced),
        (batch(1, 2, vec![]), Accepted),
        (begin(1), Fenced),
        (begin(3), Accepted),
        (batch(1, 3, vec![]), Fenced),
        (batch(2, 1, vec![]), Fenced),
        (begin(2), Fenced),
        (batch(3, 1, vec![]), Accepted),
    ];
    for (command, expected) in commands {
        assert_eq!(apply_all(&mut replica, std::slice::from_ref(&command)), [expected]);
    }
    assert_eq!(replica.applied(), Some(at(13)));
}

#[test]
fn a_fenced_batch_changes_nothing_but_the_applied_position() {
    let (engine, mut replica) = replica();
    apply_all(&mut replica, &[begin(1), batch(1, 1, every_mutation(3))]);
    let before = (contents(engine.as_ref()), *replica.header());
    apply_all(&mut replica, &[batch(1, 3, every_mutation(9))]);
    let header_key = layout::header_key(spec_in(1).partition);
    let rest = |all: Vec<(Vec<u8>, Vec<u8>)>| {
        all.into_iter().filter(|(key, _)| *key != header_key).collect::<Vec<_>>()
    };
    assert_eq!(rest(contents(engine.as_ref())), rest(before.0));
    assert_eq!(*replica.header(), Header { applied: Some(at(2)), ..before.1 });
}

#[test]
fn blank_and_membership_entries_move_the_applied_position() {
    let (engine, mut replica) = replica();
    let entries = [
        Entry { at: at(0), payload: Payload::Membership(b"three voters") },
        Entry { at: at(1), payload: Payload::Blank },
    ];
    assert_eq!(replica.apply(&entries).unwrap(), [ApplyOutcome::Blank; 2]);
    let again = PartitionReplica::open(engine, spec_in(1)).unwrap();
    assert_eq!(again.applied(), Some(at(1)));
    assert_eq!(again.membership(), Some(b"three voters".as_slice()));
}

#[test]
fn entries_out_of_order_and_unreadable_commands_are_errors() {
    let (_, mut replica) = replica();
    apply_all(&mut replica, &[begin(1)]);
    let gap = Entry { at: at(2), payload: Payload::Blank };
    assert!(matches!(replica.apply(&[gap]), Err(PartitionError::Order { found: 2, applied: 0 })));
    let newer = Entry { at: at(1), payload: Payload::Command(&[99]) };
    assert!(matches!(replica.apply(&[newer]), Err(PartitionError::Command { index: 1, .. })));
    assert_eq!(replica.applied(), Some(at(0)));
}

#[test]
fn a_snapshot_makes_an_equal_replica() {
    let leader = filled(40, 20_000);
    let chunks = chunks(&leader.replica);
    assert!(chunks.len() > 3);
    assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 70_000));
    // What the receiver held before goes.
    let (engine, mut copy) = replica();
    apply_all(&mut copy, &[begin(1), batch(1, 1, every_mutation(3))]);
    copy.install(&chunks).unwrap();
    assert_eq!(contents(engine.as_ref()), contents(leader.replica.engine().as_ref()));
    assert_eq!(copy.header(), leader.replica.header());
    assert_eq!(copy.state_hash().unwrap(), leader.replica.state_hash().unwrap());
    // And it was on disk when the install ended.
    let after_crash = PartitionReplica::open(Arc::new(engine.crash()), spec_in(1)).unwrap();
    assert_eq!(after_crash.header(), leader.replica.header());
}

#[test]
fn an_install_cut_short_is_noticed_and_can_be_repeated() {
    let leader = filled(40, 20_000);
    let chunks = chunks(&leader.replica);
    for stop in 0..=chunks.len() {
        let (engine, mut copy) = replica();
        apply_all(&mut copy, &[begin(1), batch(1, 1, every_mutation(3))]);
        copy.install_begin().unwrap();
        for chunk in &chunks[..stop] {
            copy.install_chunk(chunk).unwrap();
        }
        let crashed = Arc::new(engine.crash());
        let opened = PartitionReplica::open(crashed.clone(), spec_in(1));
        assert!(matches!(opened, Err(PartitionError::Installing(PartitionId(16)))));
        let emptied = Arc::new(engine.crash());
        let copy = PartitionReplica::open_or_empty(emptied.clone(), spec_in(1)).unwrap();
        assert_eq!((copy.applied(), contents(emptied.as_ref()).len()), (None, 0));
        let mut again = PartitionReplica::for_install(crashed.clone(), spec_in(1));
        again.install(&chunks).unwrap();
        assert_eq!(contents(crashed.as_ref()), contents(leader.replica.engine().as_ref()));
    }
}

#[test]
fn damaged_missing_and_foreign_chunks_are_refused() {
    let leader = filled(20, 30_000);
    let good = chunks(&leader.replica);
    let (_, mut copy) = replica();
    let mut damaged = good.clone();
    damaged[1][100] ^= 1;
    assert!(matches!(copy.install(&damaged), Err(PartitionError::Chunk(_))));
    assert!(matches!(copy.install(&good[1..]), Err(PartitionError::Chunk(_))));
    assert!(matches!(copy.install(&good[..1]), Err(PartitionError::Chunk(_))));
    let mut other = spec_in(1);
    other.partition = PartitionId(99);
    let mut foreign = PartitionReplica::for_install(Arc::new(MemoryEngine::new()), other);
    assert!(matches!(foreign.install(&good), Err(PartitionError::Chunk(_))));
}

#[test]
fn removing_a_replica_leaves_the_neighbours_alone() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let bound = crate::testing::key(5).encode().into_bytes();
    let (mut left, mut right) = (spec_in(1), spec_in(1));
    left.range.end = Some(bound.clone());
    right.range.start = bound;
    right.partition = PartitionId(17);
    let mut neighbour = Leader::on(Arc::clone(&engine), right);
    for n in 5..8 {
        neighbour.done(&put(n, "stays"));
    }
    let before = contents(engine.as_ref());
    let mut leader = Leader::on(Arc::clone(&engine), left);
    for n in 0..5 {
        leader.done(&put(n, "goes"));
    }
    leader.replica.destroy().unwrap();
    assert_eq!(contents(engine.as_ref()), before);
}

#[test]
fn a_new_partition_does_not_find_the_items_of_an_old_one() {
    let leader = filled(3, 10);
    let engine = Arc::clone(leader.replica.engine());
    let mut header = meridian_storage::Batch::new();
    header.delete(layout::header_key(spec_in(1).partition));
    engine.write(header).unwrap();
    let replica = PartitionReplica::open(Arc::clone(&engine), spec_in(1)).unwrap();
    assert_eq!(replica.applied(), None);
    assert_eq!(contents(engine.as_ref()), []);
}

/// A command of a small world, so that fences and keys meet.
fn command() -> impl Strategy<Value = Command> {
    let mutations = prop::collection::vec((0usize..14, 0u64..4), 0..4).prop_map(|picks| {
        picks.into_iter().map(|(kind, n)| every_mutation(n).swap_remove(kind)).collect()
    });
    prop_oneof![
        1 => (0u64..4).prop_map(begin),
        5 => (0u64..4, 0u64..5, mutations).prop_map(|(i, s, m)| batch(i, s, m)),
    ]
}

proptest! {
    #[test]
    fn of_each_incarnation_a_gapless_prefix_is_accepted(
        commands in prop::collection::vec(command(), 1..60),
    ) {
        let (_, mut replica) = replica();
        let mut accepted: Vec<(u64, u64)> = Vec::new();
        for command in commands {
            if apply_all(&mut replica, std::slice::from_ref(&command)) == [ApplyOutcome::Accepted] {
                accepted.push(match command {
                    Command::Begin { incarnation, .. } => (incarnation.0, 0),
                    Command::Batch(batch) => (batch.incarnation.0, batch.sequence.0),
                });
            }
        }
        for pair in accepted.windows(2) {
            let next_in = pair[1] == (pair[0].0, pair[0].1 + 1);
            let new = pair[1].0 > pair[0].0 && pair[1].1 == 0;
            prop_assert!(next_in || new, "{accepted:?}");
        }
        prop_assert!(accepted.first().is_none_or(|first| first.1 == 0));
    }

    #[test]
    fn the_same_log_gives_the_same_bytes_however_it_is_cut(
        commands in prop::collection::vec(command(), 1..40),
        cuts in prop::collection::vec(1usize..9, 1..40),
        reopen: bool,
    ) {
        let (one_engine, mut one) = replica();
        apply_all(&mut one, &commands);
        let (two_engine, mut two) = replica();
        let mut rest = commands.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            apply_all(&mut two, now);
            rest = later;
            if reopen {
                two = PartitionReplica::open(two_engine.clone(), spec_in(1)).unwrap();
            }
        }
        prop_assert_eq!(contents(one_engine.as_ref()), contents(two_engine.as_ref()));
        prop_assert_eq!(one.header(), two.header());
        prop_assert_eq!(one.marks(), two.marks());
        prop_assert_eq!(one.state_hash().unwrap(), two.state_hash().unwrap());
    }

    #[test]
    fn no_decodable_command_panics(
        seeds in prop::collection::vec(any::<u64>(), 1..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
    ) {
        let (_, mut replica) = replica();
        apply_all(&mut replica, &[begin(1)]);
        let mut sequence = 1;
        for seed in seeds {
            let n = seed.min(u64::MAX - 2);
            let mut bytes = batch(1, sequence, every_mutation(n)).encode();
            for (at, flip) in &flips {
                // Behind the sequence, so that the fence lets it through.
                let at = 4 + at.index(bytes.len() - 4);
                bytes[at] ^= flip;
            }
            let Ok(command) = Command::decode(&bytes) else { continue };
            if apply_all(&mut replica, &[command]) == [ApplyOutcome::Accepted] {
                sequence += 1;
            }
        }
    }
}
