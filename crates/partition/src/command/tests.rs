//! Tests of `command`.

use super::*;
use crate::transact::{Decision, Head, Intended, Intent, Place, Token, TransactId};
use meridian_base::TableId;
use meridian_base::{Change, PartitionId};
use proptest::prelude::*;

pub(crate) fn version(n: u64) -> Version {
    Version { hlc: Hlc(n), region: RegionId::new(u16::try_from(n % 3).unwrap() + 1) }
}

fn change(n: u64) -> Change {
    Change {
        key: n.to_be_bytes().to_vec(),
        image: n.is_multiple_of(2).then(|| vec![1; 3]),
        version: version(n),
        base: [version(n + 1)].into_iter().collect(),
        origin: Origin {
            region: RegionId::new(2),
            partition: PartitionId(n),
            incarnation: Incarnation(n),
            position: Position(n),
        },
        cause: Cause::Write,
        commit_ms: n,
    }
}

/// One mutation of each kind.
pub(crate) fn every_mutation(n: u64) -> Vec<Mutation> {
    let key = n.to_be_bytes().to_vec();
    let base: VersionVector = [version(n), version(n + 1)].into_iter().collect();
    let origin = change(n).origin;
    let state = ItemState { version: version(n), base: base.clone(), image: None, bytes: n };
    let received = Received {
        region: RegionId::new(2),
        partition: PartitionId(n),
        start: key.clone(),
        end: None,
        closed: Hlc(n),
        stable: Hlc(n),
    };
    vec![
        Mutation::Item(ItemMutation {
            key: key.clone(),
            image: Some(vec![9]),
            bytes: n,
            old: Some(vec![8]),
            old_bytes: n.is_multiple_of(2).then_some(n),
            buried: n.is_multiple_of(2),
            version: version(n),
            base: base.clone(),
            origin: (n % 2 == 1).then_some(origin),
            cause: Cause::Replicated,
            transacted_ms: None,
        }),
        Mutation::Rebase { key: key.clone(), state },
        Mutation::Conflict(ConflictRecord {
            key: key.clone(),
            kept: version(n),
            lost: version(n + 1),
            kept_deleted: true,
            lost_deleted: false,
            diverged: true,
            found_ms: n,
        }),
        Mutation::Stranded(StrandedRecord {
            key: key.clone(),
            version: version(n),
            origin,
            deleted: true,
            outcome: crate::StrandedOutcome::Overwritten,
            kept: version(n + 1),
            found_ms: n,
        }),
        Mutation::Park(ParkedChange { change: change(n), late: true }),
        Mutation::Unpark { version: version(n), key: key.clone() },
        Mutation::Note(Note::Cursor { reader: Reader::Region(3), position: Position(n) }),
        Mutation::Note(Note::DropCursor { reader: Reader::Index(n) }),
        Mutation::Note(Note::Received(received)),
        Mutation::Note(Note::ForgetRegion { region: 7 }),
        Mutation::Note(Note::Freeze { epoch: n, target: RegionId::new(2) }),
        Mutation::Note(Note::Thaw { epoch: n }),
        Mutation::Intent { key: key.clone(), intent: None },
        Mutation::Intent { key: key.clone(), intent: Some(intent(n, Intended::Same)) },
        Mutation::Intent { key: key.clone(), intent: Some(intent(n, Intended::Becomes(None))) },
        Mutation::Intent {
            key: key.clone(),
            intent: Some(intent(n, Intended::Becomes(Some((vec![7], n))))),
        },
        Mutation::Decision { id: TransactId(n.into()), decision: decision(n) },
        Mutation::Forget { id: TransactId(n.into()), token: Some("token".to_owned()) },
        Mutation::Expiry { key: key.clone(), from: None, to: Some(n) },
        Mutation::Expiry { key: key.clone(), from: Some(n), to: None },
        Mutation::Note(Note::Fed { source: PartitionId(n), position: Position(9) }),
        Mutation::Note(Note::TrimChanges { upto: Position(n) }),
        Mutation::Note(Note::DropTombstones { keys: vec![key, vec![]] }),
    ]
}

fn intent(n: u64, intended: Intended) -> Intent {
    let home = Place { table: TableId(n), partition: PartitionId(n) };
    Intent { head: Head { id: TransactId(n.into()), home, began_ms: n }, intended, held_ms: n + 1 }
}

fn decision(n: u64) -> Decision {
    let token = Some(Token { token: "token".to_owned(), fingerprint: n });
    let places = vec![Place { table: TableId(n), partition: PartitionId(n) }];
    Decision { committed: true, at_ms: n, token, places }
}

fn batch(n: u64, mutations: Vec<Mutation>) -> Command {
    Command::Batch(Batch {
        incarnation: Incarnation(n),
        sequence: Sequence(n),
        commit_ms: n,
        mutations,
    })
}

proptest! {
    #[test]
    fn commands_round_trip(n in 0..u64::MAX - 2) {
        let begin = Command::Begin {
            incarnation: Incarnation(n),
            floor: Hlc(n),
            region: RegionId { number: 2, incarnation: 3 },
        };
        for command in [begin, batch(n, every_mutation(n))] {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes: Vec<u8>,
        n: u64,
        at: prop::sample::Index,
        flip in 1u8..,
    ) {
        let _ = Command::decode(&bytes);
        let mut damaged = batch(n / 2, every_mutation(n / 2)).encode();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let _ = Command::decode(&damaged);
        let _ = Command::decode(&damaged[..at]);
    }
}

#[test]
fn a_long_command_is_packed_where_that_shortens_it() {
    let long = |image: Vec<u8>| {
        let mut item = every_mutation(4);
        item.truncate(1);
        let Some(Mutation::Item(item)) = item.first_mut() else { panic!("the first is an item") };
        item.image = Some(image);
        let command = batch(4, vec![Mutation::Item(item.clone())]);
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes), Ok(command));
        bytes.len()
    };
    assert!(long(vec![7; 100_000]) < 1_000);
    assert!(long(vec![7; 10_000]) > 10_000);
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    assert!(long(noise.take(100_000).collect()) < 100_100);
}

#[test]
fn the_first_format_is_still_read() {
    let sample = include_bytes!("../../samples/command.v1.bin");
    // What came later has tags of its own.
    let mut known = every_mutation(6);
    let is_later = |mutation: &Mutation| {
        matches!(
            mutation,
            Mutation::Note(Note::Fed { .. })
                | Mutation::Expiry { .. }
                | Mutation::Intent { .. }
                | Mutation::Decision { .. }
                | Mutation::Forget { .. }
        )
    };
    known.retain(|mutation| !is_later(mutation));
    assert_eq!(Command::decode(sample), Ok(batch(6, known.clone())));
    assert_eq!(batch(6, known).encode(), sample);
}
