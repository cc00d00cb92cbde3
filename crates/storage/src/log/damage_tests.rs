//! Damage to synced files: every flipped byte, every cut, every missing file.

use super::segment::{SEGMENT_HEADER_BYTES, file_name};
use super::tests::{entry, options};
use super::*;
use crate::sim_disk::SimDisk;

type Groups = BTreeMap<u64, RecoveredGroup>;

/// Four segments, each with votes and entries of two groups, synced after each append.
fn sample() -> (SimDisk, Groups) {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    for i in 1..=16u8 {
        let vote = LogRecord::Vote { group: 2, bytes: vec![i; 20] };
        let index = u64::from(i);
        log.append(&[entry(1, index, &[i; 90]), vote, entry(2, index, &[0; 3])]).unwrap();
        log.sync().unwrap();
    }
    log.append(&[LogRecord::Purge { group: 1, upto: 2, bytes: vec![2] }]).unwrap();
    log.append(&[LogRecord::Truncate { group: 2, from: 15 }]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.segments(), 4);
    let (_, groups) = open(&disk.kill()).unwrap();
    (disk.kill(), groups)
}

fn open(disk: &SimDisk) -> Result<(SegmentedLog, Groups), StorageError> {
    SegmentedLog::open(Arc::new(disk.clone()), options(1500, 256))
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.kill().list().unwrap()
}

fn is_corrupt(disk: &SimDisk) -> bool {
    matches!(open(&disk.kill()), Err(StorageError::Corrupt { .. }))
}

#[test]
fn any_flipped_byte_of_a_record_or_header_is_noticed() {
    let (disk, groups) = sample();
    let last = names(&disk).pop().unwrap();
    for name in names(&disk) {
        let bytes = disk.contents(&name).unwrap();
        let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
        for at in 0..bytes.len() {
            disk.flip_bit(&name, at, u8::try_from(at % 8).unwrap());
            if at < used {
                assert!(is_corrupt(&disk), "{name} byte {at}");
            } else {
                // The zeros behind the last record hold nothing that could be lost.
                assert_eq!(name, last);
                assert!(
                    open(&disk.kill()).is_ok_and(|(_, found)| found == groups) || is_corrupt(&disk)
                );
            }
            disk.set_contents(&name, bytes.clone());
        }
    }
}

#[test]
fn a_cut_file_is_noticed_or_loses_only_its_end() {
    let (disk, groups) = sample();
    let last = names(&disk).pop().unwrap();
    for name in names(&disk) {
        let bytes = disk.contents(&name).unwrap();
        for len in 0..bytes.len() {
            disk.set_contents(&name, bytes[..len].to_vec());
            match open(&disk.kill()) {
                Err(StorageError::Corrupt { .. }) => {}
                Err(e) => panic!("{e}"),
                Ok((_, found)) => {
                    assert_eq!(name, last);
                    assert!(len >= SEGMENT_HEADER_BYTES);
                    let kept = |g: &RecoveredGroup| g.entries.keys().copied().max();
                    assert!(kept(&found[&1]) <= kept(&groups[&1]));
                }
            }
            disk.set_contents(&name, bytes.clone());
        }
    }
}

#[test]
fn a_missing_file_is_noticed() {
    let (disk, _) = sample();
    for name in names(&disk) {
        let bytes = disk.contents(&name).unwrap();
        disk.kill().remove(&name).unwrap();
        assert!(is_corrupt(&disk), "{name}");
        disk.set_contents(&name, bytes);
    }
}

#[test]
fn overwritten_blocks_are_noticed_whatever_is_written() {
    for size in [16, 512, 700] {
        let (disk, _) = sample();
        let last = names(&disk).pop().unwrap();
        for name in names(&disk) {
            let bytes = disk.contents(&name).unwrap();
            let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
            for fill in [0, 0x5a, 0xff] {
                for at in (0..used).step_by(37) {
                    let mut damaged = bytes.clone();
                    let end = (at + size).min(used);
                    damaged[at..end].fill(fill);
                    // The end of the last file, zeroed, is what a lost write looks like.
                    let looks_lost = name == last && fill == 0 && end == used;
                    if damaged == bytes || looks_lost {
                        continue;
                    }
                    disk.set_contents(&name, damaged);
                    assert!(is_corrupt(&disk), "{name}: {size} of {fill} at {at}");
                }
            }
            disk.set_contents(&name, bytes);
        }
    }
}

#[test]
fn a_lost_sector_before_a_later_sync_is_damage() {
    let disk = SimDisk::default();
    let wide = || options(100_000, 4096);
    let (mut log, _) = SegmentedLog::open(Arc::new(disk.clone()), wide()).unwrap();
    for i in 1..=40 {
        log.append(&[entry(1, i, &[9; 60])]).unwrap();
        log.sync().unwrap();
    }
    let bytes = disk.contents(&file_name(1)).unwrap();
    let sectors = log.active.end / 512;
    for sector in 0..sectors - 1 {
        let mut damaged = bytes.clone();
        damaged[sector * 512..][..512].fill(0);
        disk.set_contents(&file_name(1), damaged);
        let open = SegmentedLog::open(Arc::new(disk.kill()), wide());
        assert!(matches!(open, Err(StorageError::Corrupt { .. })), "sector {sector}");
    }
}

#[test]
fn a_record_inside_a_payload_is_not_taken_for_one() {
    let wide = || options(100_000, 0);
    let other = SimDisk::default();
    let (mut log, _) = SegmentedLog::open(Arc::new(other.clone()), wide()).unwrap();
    for i in 1..=30 {
        log.append(&[entry(1, i, b"x")]).unwrap();
        log.sync().unwrap();
    }
    // Records of another log, written after a sync of more than the first sector.
    let inner = other.contents(&file_name(1)).unwrap().split_off(800);

    let disk = SimDisk::default();
    let (mut log, _) = SegmentedLog::open(Arc::new(disk.clone()), wide()).unwrap();
    let sector = 512;
    let header_at = sector - record::HEADER_BYTES;
    let filler = header_at - SEGMENT_HEADER_BYTES - record::FRAME_BYTES;
    log.append(&[entry(1, 1, &vec![1; filler])]).unwrap();
    log.sync().unwrap();
    log.append(&[entry(1, 2, &inner)]).unwrap();
    // Of the second record, the sector with its header is lost.
    let mut bytes = disk.contents(&file_name(1)).unwrap();
    bytes[header_at..sector].fill(0);
    disk.set_contents(&file_name(1), bytes);
    let (_, groups) = SegmentedLog::open(Arc::new(disk.kill()), wide()).unwrap();
    assert_eq!(groups[&1].entries.len(), 1);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (disk, _) = sample();
    let name = names(&disk).pop().unwrap();
    let mut bytes = disk.contents(&name).unwrap();
    bytes[11] = 2;
    let crc = crc32fast::hash(&bytes[..SEGMENT_HEADER_BYTES - 4]);
    bytes[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
    disk.set_contents(&name, bytes.clone());
    let refused = open(&disk.kill());
    assert!(matches!(refused, Err(StorageError::NewerFormat { found: 2, .. })));
    assert_eq!(disk.contents(&name).unwrap(), bytes);
}
