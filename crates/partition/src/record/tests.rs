//! Tests of `record`.

use super::*;
use crate::header::{Freeze, Header, Held, LogPosition, Marks, Reader as LogReader};
use meridian_base::{
    Cause, Hlc, Incarnation, LogIndex, Origin, PartitionId, Position, Received, RegionId, Sequence,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn version(n: u64, region: u16) -> Version {
    Version { hlc: Hlc(n), region: RegionId { number: region, incarnation: 2 } }
}

fn origin() -> Origin {
    Origin {
        region: RegionId::new(3),
        partition: PartitionId(17),
        incarnation: Incarnation(4),
        position: Position(5),
    }
}

fn base() -> VersionVector {
    [version(3, 1), version(4, 2)].into_iter().collect()
}

fn change() -> ChangeRecord {
    ChangeRecord {
        position: Position(300),
        key: vec![1, 2, 3],
        old: None,
        new: Some(vec![4, 5]),
        version: version(1000, 1),
        base: base(),
        origin: origin(),
        cause: Cause::Write,
        commit_ms: 77,
        transacted_ms: None,
    }
}

fn conflict() -> ConflictRecord {
    ConflictRecord {
        key: vec![9],
        kept: version(6, 1),
        lost: version(5, 2),
        kept_deleted: false,
        lost_deleted: true,
        diverged: false,
        found_ms: 12,
    }
}

fn stranded() -> StrandedRecord {
    StrandedRecord {
        key: vec![9],
        version: version(5, 2),
        origin: origin(),
        deleted: false,
        outcome: StrandedOutcome::Overwritten,
        kept: version(6, 1),
        found_ms: 12,
    }
}

fn header() -> Header {
    Header {
        applied: Some(LogPosition { term: 3, index: LogIndex(0) }),
        incarnation: Incarnation(2),
        sequence: Sequence(9),
        region: RegionId::new(1),
        last: Hlc(99),
        position: Position(8),
        trimmed: Position(2),
        conflicts: 1,
        stranded: 2,
        items: 3,
        item_bytes: 400,
        committed_ms: 0,
        local: Default::default(),
    }
}

fn marks() -> Marks {
    let received = Received {
        region: RegionId::new(2),
        partition: PartitionId(30),
        start: vec![0x40],
        end: None,
        closed: Hlc(5),
        stable: Hlc(4),
    };
    Marks {
        cursors: [(LogReader::Region(2), Position(4)), (LogReader::Stream, Position(5))]
            .into_iter()
            .collect(),
        received: [((received.region, received.partition), received)].into_iter().collect(),
        freeze: Some(Freeze {
            epoch: 1,
            target: RegionId::new(3),
            position: Position(8),
            closed: Hlc(99),
        }),
        fed: BTreeMap::new(),
    }
}

#[test]
fn marks_keep_every_kind_of_reader() {
    use LogReader::{Archive, Copy, Index, Region, Stream};
    let readers = [Region(u16::MAX), Stream, Index(u64::MAX), Archive, Copy(7)];
    let marks = Marks {
        cursors: readers.into_iter().zip((1..).map(Position)).collect(),
        fed: [(PartitionId(16), Position(u64::MAX)), (PartitionId(17), Position(0))].into(),
        ..Marks::default()
    };
    assert_eq!(Marks::decode(&marks.encode()), Ok(marks));
}

#[test]
fn a_header_keeps_the_time_of_the_last_commit() {
    let header = Header { committed_ms: 1_700_000_000_000, ..header() };
    let path = format!("{}/samples/header.v2.bin", env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read(path).unwrap();
    assert_eq!(Header::decode(&sample), Ok(header));
    assert_eq!(header.encode(), sample);
}

#[test]
fn a_header_keeps_what_local_indexes_hold() {
    let mut header = Header { committed_ms: 1_700_000_000_000, ..header() };
    header.local[1] = Held { entries: 2, bytes: 300 };
    let path = format!("{}/samples/header.v3.bin", env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read(path).unwrap();
    assert_eq!(Header::decode(&sample), Ok(header));
    assert_eq!(header.encode(), sample);
}

/// Reads a stored form and writes it again.
type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

/// Each kind of record: its sample's name, its bytes as written now, and how to read them.
fn every_record() -> Vec<(&'static str, Vec<u8>, Again)> {
    let parked = ParkedChange { change: change().into_change(), late: true };
    let stone = Tombstone { version: version(7, 1), base: base(), deleted_ms: 70 };
    vec![
        ("item", encode_item_record(version(7, 1), &base(), 12, &[1, 2]), |bytes| {
            let state = decode_item_record(bytes)?;
            let image = state.image.unwrap_or_default();
            Ok(encode_item_record(state.version, &state.base, state.bytes, &image))
        }),
        ("tombstone", stone.encode(), |bytes| Tombstone::decode(bytes).map(|r| r.encode())),
        ("change", change().encode(), |bytes| ChangeRecord::decode(bytes).map(|r| r.encode())),
        ("conflict", conflict().encode(), |bytes| {
            ConflictRecord::decode(bytes).map(|r| r.encode())
        }),
        ("stranded", stranded().encode(), |bytes| {
            StrandedRecord::decode(bytes).map(|r| r.encode())
        }),
        ("parked", parked.encode(), |bytes| ParkedChange::decode(bytes).map(|r| r.encode())),
        ("header", header().encode(), |bytes| Header::decode(bytes).map(|r| r.encode())),
        ("marks", marks().encode(), |bytes| Marks::decode(bytes).map(|r| r.encode())),
    ]
}

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/samples/{name}.v1.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_first_formats_are_still_read_and_written() {
    for (name, bytes, again) in every_record() {
        let sample = sample(name);
        assert_eq!(again(&sample).as_ref(), Ok(&sample), "{name}");
        assert_eq!(bytes, sample, "{name}");
    }
}

#[test]
fn samples_hold_the_values_that_were_written() {
    assert_eq!(ChangeRecord::decode(&sample("change")), Ok(change()));
    assert_eq!(ConflictRecord::decode(&sample("conflict")), Ok(conflict()));
    assert_eq!(StrandedRecord::decode(&sample("stranded")), Ok(stranded()));
    assert_eq!(Header::decode(&sample("header")), Ok(header()));
    assert_eq!(Marks::decode(&sample("marks")), Ok(marks()));
}

#[test]
fn every_damaged_byte_is_noticed() {
    for (name, bytes, again) in every_record() {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(again(&damaged).is_err(), "{name}, byte {at}");
            }
            assert!(again(&bytes[..at]).is_err(), "{name}, cut at {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, format in 0u8..3) {
        for (_, _, again) in every_record() {
            let _ = again(&bytes);
            // With a right checksum, the content is what is read.
            let _ = again(&checked(format, &bytes));
        }
    }
}
