//! Tests of `log`.

use super::*;
use crate::sim_disk::SimDisk;

pub(super) fn options(segment_bytes: u32, preallocate_bytes: u32) -> LogOptions {
    LogOptions { segment_bytes, preallocate_bytes, create: true }
}

pub(super) fn open(disk: &SimDisk) -> Result<Opened, StorageError> {
    SegmentedLog::open(Arc::new(disk.clone()), options(1024, 256))
}

type Opened = (SegmentedLog, BTreeMap<u64, RecoveredGroup>);

pub(super) fn entry(group: u64, index: u64, payload: &[u8]) -> LogRecord {
    LogRecord::Entry { group, index, term: 1, payload: payload.to_vec() }
}

fn vote(group: u64) -> LogRecord {
    LogRecord::Vote { group, bytes: b"vote".to_vec() }
}

fn purge(group: u64, upto: u64) -> LogRecord {
    LogRecord::Purge { group, upto, bytes: upto.to_be_bytes().to_vec() }
}

fn indexes(group: &RecoveredGroup) -> Vec<u64> {
    group.entries.keys().copied().collect()
}

#[test]
fn everything_synced_is_found_again_and_can_be_read() {
    let disk = SimDisk::default();
    let (mut log, groups) = open(&disk).unwrap();
    assert!(groups.is_empty());
    let places = log
        .append(&[entry(1, 1, b"a"), entry(2, 1, b""), entry(1, 2, b"b"), vote(1), vote(2)])
        .unwrap();
    let committed = LogRecord::Committed { group: 1, bytes: b"c".to_vec() };
    log.append(&[committed, purge(1, 1), LogRecord::Forget { group: 2 }]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.reader().read(places[0]).unwrap(), b"a");

    let (log, groups) = open(&disk.crash(|_| 0)).unwrap();
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [1]);
    let group = &groups[&1];
    assert_eq!(indexes(group), [2]);
    assert_eq!(group.entries[&2], RecoveredEntry { term: 1, location: places[2] });
    assert_eq!(group.vote.as_deref(), Some(&b"vote"[..]));
    assert_eq!(group.committed.as_deref(), Some(&b"c"[..]));
    assert_eq!(group.purged.as_ref().unwrap().upto, 1);
    assert_eq!(log.reader().read(places[2]).unwrap(), b"b");
}

#[test]
fn a_replaced_or_truncated_entry_does_not_return() {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    let all: Vec<_> = (1..=9).map(|i| entry(1, i, b"old")).collect();
    log.append(&all).unwrap();
    log.append(&[LogRecord::Truncate { group: 1, from: 7 }, entry(1, 7, b"new")]).unwrap();
    log.append(&[entry(1, 3, b"newer")]).unwrap();
    log.sync().unwrap();
    let (log, groups) = open(&disk.crash(|_| 0)).unwrap();
    assert_eq!(indexes(&groups[&1]), [1, 2, 3]);
    assert_eq!(log.reader().read(groups[&1].entries[&3].location).unwrap(), b"newer");
}

#[test]
fn a_hole_is_refused_and_nothing_is_written() {
    let (mut log, _) = open(&SimDisk::default()).unwrap();
    log.append(&[entry(1, 5, b"")]).unwrap();
    let refused = |log: &mut SegmentedLog, records: &[LogRecord]| {
        let bytes = log.active.end;
        assert!(matches!(log.append(records), Err(StorageError::Gap { group: 1, .. })));
        assert_eq!(log.active.end, bytes);
    };
    refused(&mut log, &[entry(1, 7, b"")]);
    refused(&mut log, &[entry(1, 6, b""), entry(1, 8, b"")]);
    log.append(&[purge(1, 10)]).unwrap();
    refused(&mut log, &[entry(1, 12, b"")]);
    refused(&mut log, &[entry(1, 10, b"")]);
    log.append(&[entry(1, 11, b"")]).unwrap();
}

#[test]
fn segments_leave_when_nothing_in_them_is_alive() {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[vote(1), vote(2)]).unwrap();
    for i in 1..=40 {
        log.append(&[entry(1, i, &[7; 100])]).unwrap();
    }
    log.append(&[entry(2, 1, b"pin")]).unwrap();
    assert!(log.segments() > 4);
    assert_eq!(log.pinned(), [Pin { group: 1, upto: 6 }]);
    assert_eq!(log.trim().unwrap(), 0);

    log.append(&[purge(1, 20)]).unwrap();
    let before = log.segments();
    let removed = log.trim().unwrap();
    assert_eq!(usize::try_from(removed).unwrap(), before - log.segments());
    assert!(removed > 0);
    assert_eq!(log.segments(), disk.list().unwrap().len());

    let (mut log, groups) = open(&disk.crash(|_| 0)).unwrap();
    assert_eq!(indexes(&groups[&1]), (21..=40).collect::<Vec<_>>());
    assert!(groups[&1].vote.is_some() && groups[&2].vote.is_some());
    assert_eq!(groups[&1].purged.as_ref().unwrap().upto, 20);
    log.append(&[purge(1, 40), LogRecord::Forget { group: 2 }]).unwrap();
    log.trim().unwrap();
    assert_eq!(log.segments(), 1);
    assert!(log.pinned().is_empty());
}

#[test]
fn a_reader_sees_appended_entries_and_learns_of_removed_segments() {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    let reader = log.reader();
    let first = log.append(&[entry(1, 1, b"one")]).unwrap()[0];
    assert_eq!(reader.read(first).unwrap(), b"one");
    let wrong = Location { length: 2, ..first };
    assert!(matches!(reader.read(wrong), Err(StorageError::Corrupt { .. })));
    let wrong = Location { offset: first.offset + 1, ..first };
    assert!(matches!(reader.read(wrong), Err(StorageError::Corrupt { .. })));
    for i in 2..=20 {
        log.append(&[entry(1, i, &[7; 100])]).unwrap();
    }
    log.append(&[purge(1, 19)]).unwrap();
    log.trim().unwrap();
    assert!(matches!(reader.read(first), Err(StorageError::Removed { segment: 1 })));
}

#[test]
fn a_failed_sync_poisons() {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 1, b"")]).unwrap();
    disk.set_fail_syncs(true);
    assert!(matches!(log.sync(), Err(StorageError::Io { .. })));
    disk.set_fail_syncs(false);
    assert!(matches!(log.sync(), Err(StorageError::Poisoned)));
    assert!(matches!(log.append(&[]), Err(StorageError::Poisoned)));
    assert!(matches!(log.trim(), Err(StorageError::Poisoned)));
}

#[test]
fn a_failed_write_poisons_but_a_full_disk_does_not() {
    for capacity in [1100, 1500, 1900, 2047, 2048, 2200] {
        let disk = SimDisk::default();
        let (mut log, _) = open(&disk).unwrap();
        disk.set_capacity(Some(capacity));
        let mut written = 0;
        let refused = loop {
            match log.append(&[entry(1, written + 1, &[7; 100])]) {
                Ok(_) => written += 1,
                Err(e) => break e,
            }
        };
        assert!(matches!(refused, StorageError::Full { .. }), "{refused}");
        log.sync().unwrap();
        let (_, groups) = open(&disk.kill().crash(|n| n)).unwrap();
        assert_eq!(indexes(&groups[&1]), (1..=written).collect::<Vec<_>>());
    }
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    disk.set_capacity(Some(1100));
    while log.append(&[vote(1)]).is_ok() {}
    disk.set_capacity(None);
    log.append(&[entry(1, 1, &[7; 1000])]).unwrap();
    disk.set_fail_writes(true);
    assert!(matches!(log.append(&[vote(1)]), Err(StorageError::Io { .. })));
    disk.set_fail_writes(false);
    assert!(matches!(log.append(&[vote(1)]), Err(StorageError::Poisoned)));
}

#[test]
fn too_large_records_are_refused() {
    let (mut log, _) = open(&SimDisk::default()).unwrap();
    let large = entry(1, 1, &vec![0; RECORD_BYTES_MAX + 1]);
    assert!(matches!(log.append(&[large]), Err(StorageError::TooLarge { .. })));
    log.append(&[entry(1, 1, &[0; 5000])]).unwrap();
}

#[test]
fn a_log_that_must_exist_is_not_made_again() {
    let disk = SimDisk::default();
    let must_exist = LogOptions { create: false, ..options(1024, 0) };
    let open = SegmentedLog::open(Arc::new(disk.clone()), must_exist.clone());
    assert!(matches!(open, Err(StorageError::Corrupt { .. })));
    drop(super::tests::open(&disk).unwrap());
    assert!(SegmentedLog::open(Arc::new(disk), must_exist).is_ok());
}

#[test]
fn one_sync_covers_many_appends_and_an_idle_one_costs_nothing() {
    let disk = SimDisk::default();
    let (mut log, _) = SegmentedLog::open(Arc::new(disk.clone()), options(1 << 20, 0)).unwrap();
    let before = disk.syncs();
    for i in 1..=50 {
        log.append(&[entry(1, i, b"x")]).unwrap();
    }
    log.sync().unwrap();
    log.sync().unwrap();
    assert_eq!(disk.syncs(), before + 1);
}

/// The log whose files are committed under `samples/log-1`, in the format of that number.
fn sample_disk() -> SimDisk {
    let disk = SimDisk::default();
    let (mut log, _) = SegmentedLog::open(Arc::new(disk.clone()), options(400, 64)).unwrap();
    let committed = LogRecord::Committed { group: 1, bytes: b"committed".to_vec() };
    log.append(&[vote(1), vote(16), vote(17)]).unwrap();
    log.append(&[entry(1, 0, b"zero"), entry(1, 1, b"one"), committed]).unwrap();
    log.append(&[entry(16, 7, b"seven"), entry(16, 8, b""), purge(16, 7)]).unwrap();
    log.append(&[entry(1, 2, b"two"), LogRecord::Forget { group: 17 }]).unwrap();
    log.append(&[LogRecord::Truncate { group: 1, from: 2 }, purge(1, 0)]).unwrap();
    log.append(&[entry(1, 2, b"again"), purge(1, 1), purge(16, 7)]).unwrap();
    log.trim().unwrap();
    disk
}

const SAMPLE: &[(&str, &[u8])] = &[
    ("0000000000000002.log", include_bytes!("../../samples/log-1/0000000000000002.log")),
    ("0000000000000003.log", include_bytes!("../../samples/log-1/0000000000000003.log")),
];

#[test]
fn the_first_format_is_written_and_read() {
    let written = sample_disk();
    if let Some(dir) = std::env::var_os("MERIDIAN_WRITE_SAMPLES") {
        let dir = std::path::Path::new(&dir);
        for name in written.list().unwrap() {
            std::fs::write(dir.join(&name), written.contents(&name).unwrap()).unwrap();
        }
    }
    let disk = SimDisk::default();
    for (name, bytes) in SAMPLE {
        disk.set_contents(name, bytes.to_vec());
        assert_eq!(written.contents(name).as_deref(), Some(*bytes), "{name}");
    }
    assert_eq!(written.list().unwrap().len(), SAMPLE.len());
    let (log, groups) = open(&disk).unwrap();
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [1, 16]);
    assert_eq!(indexes(&groups[&1]), [2]);
    assert_eq!(indexes(&groups[&16]), [8]);
    assert_eq!(groups[&1].committed.as_deref(), Some(&b"committed"[..]));
    assert_eq!(groups[&1].vote, groups[&16].vote);
    assert_eq!(groups[&16].purged.as_ref().unwrap().upto, 7);
    assert_eq!(log.reader().read(groups[&1].entries[&2].location).unwrap(), b"again");
}
