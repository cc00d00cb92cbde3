//! Tests of `plan`.

use super::*;

const PARTITION: PartitionId = PartitionId(16);

fn log(first: u64, last: u64) -> ObjectName {
    ObjectName::Log { partition: PARTITION, first: Position(first), last: Position(last) }
}

fn base(position: u64, commit_ms: u64, chunks: u32) -> BaseEnd {
    let position = Position(position);
    BaseEnd { partition: PARTITION, position, commit_ms, closed_ms: 0, chunks, items: 0, bytes: 0 }
}

fn listed(base: BaseEnd) -> Vec<ObjectName> {
    let end = ObjectName::BaseEnd { partition: PARTITION, position: base.position };
    chunks(base).chain([end]).collect()
}

/// Bases at 10 (100 ms) and 20 (200 ms), segments to 30, watermark 30 (300 ms).
struct Archive {
    names: Vec<ObjectName>,
    bases: Vec<BaseEnd>,
    watermark: Watermark,
}

impl Archive {
    fn new() -> Self {
        let bases = vec![base(10, 100, 2), base(20, 200, 1)];
        let mut names: Vec<_> = bases.iter().copied().flat_map(listed).collect();
        names.extend([log(1, 8), log(5, 15), log(9, 13), log(14, 22), log(16, 25), log(26, 30)]);
        let watermark = Watermark { partition: PARTITION, position: Position(30), commit_ms: 300 };
        Archive { names, bases, watermark }
    }

    fn without(mut self, name: ObjectName) -> Self {
        self.names.retain(|n| *n != name);
        self
    }

    fn plan(&self, at_ms: u64) -> Result<(u64, Vec<ObjectName>), ArchiveError> {
        let plan = RestorePlan::new(&self.names, &self.bases, &self.watermark, at_ms)?;
        assert_eq!(plan.at_ms, at_ms);
        Ok((plan.base.position.0, plan.segments))
    }

    fn expired(&self, keep_from_ms: u64) -> Vec<ObjectName> {
        expired(PARTITION, &self.names, &self.bases, keep_from_ms)
    }
}

#[test]
fn the_newest_base_and_the_fewest_segments_are_taken() {
    let archive = Archive::new();
    assert_eq!(archive.plan(100), Ok((10, vec![log(5, 15), log(16, 25), log(26, 30)])));
    assert_eq!(archive.plan(199), archive.plan(100));
    assert_eq!(archive.plan(200), Ok((20, vec![log(16, 25), log(26, 30)])));
    assert_eq!(archive.plan(300), archive.plan(200));
    let plan = RestorePlan::new(&archive.names, &archive.bases, &archive.watermark, 150).unwrap();
    let chunk =
        |chunk| ObjectName::BaseChunk { partition: PARTITION, position: Position(10), chunk };
    assert_eq!(plan.chunks().collect::<Vec<_>>(), [chunk(0), chunk(1)]);
}

#[test]
fn times_outside_are_refused() {
    let mut archive = Archive::new();
    let late = ArchiveError::NotArchived { asked_ms: 301, latest_ms: 300 };
    assert_eq!(archive.plan(301), Err(late));
    let early = ArchiveError::TooEarly { asked_ms: 99, earliest_ms: 100 };
    assert_eq!(archive.plan(99), Err(early));
    archive.bases.clear();
    assert_eq!(archive.plan(99), Err(ArchiveError::NoBase { partition: PARTITION }));
}

#[test]
fn a_hole_is_named_by_its_first_position() {
    let missing = |position| {
        Err(ArchiveError::Missing { partition: PARTITION, position: Position(position) })
    };
    let holed = Archive::new().without(log(16, 25));
    assert_eq!(holed.plan(100), missing(23));
    assert_eq!(Archive::new().without(log(26, 30)).plan(200), missing(26));
    // A hole before the base does not matter.
    let before = Archive::new().without(log(5, 15)).without(log(9, 13));
    assert_eq!(before.plan(100), missing(11));
    assert_eq!(before.plan(200), Archive::new().plan(200));
}

#[test]
fn an_unfinished_base_counts_for_nothing() {
    let position = Position(20);
    for gone in [
        ObjectName::BaseChunk { partition: PARTITION, position, chunk: 0 },
        ObjectName::BaseEnd { partition: PARTITION, position },
    ] {
        let archive = Archive::new().without(gone);
        assert_eq!(archive.plan(300), Archive::new().plan(100));
        assert_eq!(archive.expired(300), [log(1, 8)]);
    }
}

#[test]
fn a_base_at_the_watermark_needs_no_segment() {
    let mut archive = Archive::new();
    archive.watermark.position = Position(20);
    assert_eq!(archive.plan(250), Ok((20, vec![])));
}

#[test]
fn only_what_no_kept_time_needs_expires() {
    let archive = Archive::new();
    assert_eq!(archive.expired(99), []);
    assert_eq!(archive.expired(100), [log(1, 8)]);
    assert_eq!(archive.expired(199), [log(1, 8)]);
    let mut gone = listed(base(10, 100, 2));
    gone.extend([log(1, 8), log(5, 15), log(9, 13)]);
    assert_eq!(archive.expired(200), gone);
    assert_eq!(archive.expired(u64::MAX), gone);
}

#[test]
fn an_older_unfinished_base_goes_and_a_newer_one_stays() {
    let mut archive = Archive::new();
    let chunk = |position| ObjectName::BaseChunk {
        partition: PARTITION,
        position: Position(position),
        chunk: 0,
    };
    archive.names.extend([chunk(7), chunk(29)]);
    assert_eq!(archive.expired(100), [log(1, 8), chunk(7)]);
}

#[test]
fn other_partitions_are_left_alone() {
    let mut archive = Archive::new();
    let partition = PartitionId(17);
    archive.names.extend([
        ObjectName::Log { partition, first: Position(1), last: Position(2) },
        ObjectName::BaseEnd { partition, position: Position(1) },
        ObjectName::Key { number: 1 },
        ObjectName::Meta { at_ms: 1 },
        ObjectName::Watermark { partition: PARTITION },
    ]);
    archive.bases.push(BaseEnd { partition, ..base(25, 210, 0) });
    assert_eq!(archive.plan(300), Archive::new().plan(300));
    assert_eq!(archive.expired(300), Archive::new().expired(300));
}

#[test]
fn the_last_of_all_positions_ends() {
    let mut archive = Archive::new();
    archive.watermark.position = Position(u64::MAX);
    archive.names.push(log(3, u64::MAX));
    assert_eq!(archive.plan(300), Ok((20, vec![log(3, u64::MAX)])));
}
