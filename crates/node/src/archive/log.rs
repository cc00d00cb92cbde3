//! Writes a partition's change log into an archive: segments, and how far they reach.

use super::objects::{ObjectError, Objects};
use crate::hosting::HostedPartition;
use crate::pipeline::Refused;
use meridian_archive::{ArchivedChange, LogSegment, ObjectName, Watermark};
use meridian_base::Position;
use meridian_partition::{ChangeRecord, PartitionError, ReadLimits, read_changes};
use meridian_raft::rt;
use std::sync::Arc;

/// How much one segment holds.
const SEGMENT: ReadLimits = ReadLimits { records: 16_384, bytes: 4 * 1024 * 1024 };

/// Why archiving stopped for now.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The object store.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The partition group: another replica leads, say.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The engine.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The engine gives no view.
    #[error(transparent)]
    Storage(#[from] meridian_storage::StorageError),
    /// The region group.
    #[error("the region group: {0}")]
    Control(String),
    /// The change log lacks what is not archived.
    #[error("the change log after {after} begins only at {first}")]
    Hole {
        /// What is archived.
        after: Position,
        /// Where the change log goes on.
        first: Position,
    },
}

/// A segment that was put.
pub struct PutSegment {
    /// Its name.
    pub name: ObjectName,
    /// The position of its last change.
    pub last: Position,
    /// How many bytes it has in the store.
    pub bytes: u64,
}

/// Writes what one partition's change log holds.
pub struct LogWriter {
    /// The partition.
    pub hosted: Arc<HostedPartition>,
    /// Where to.
    pub objects: Arc<Objects>,
}

impl LogWriter {
    /// Stores the next changes after a position.
    pub async fn put_segment(&self, after: Position) -> Result<PutSegment, Interrupted> {
        let segment = self.changes(after).await?;
        let LogSegment { partition, first, last, .. } = segment;
        let name = ObjectName::Log { partition, first, last };
        let bytes = self.objects.put(&name, segment.encode()).await?;
        metrics::counter!("meridian_archive_bytes_total").increment(bytes);
        Ok(PutSegment { name, last, bytes })
    }

    /// The next changes after a position, as many as make a segment. Error: `Hole`, when the change log
    /// does not hold the first of them.
    pub async fn changes(&self, after: Position) -> Result<LogSegment, Interrupted> {
        let (engine, partition) = (Arc::clone(&self.hosted.engine), self.hosted.spec.partition);
        let page = rt::blocking(move || read_changes(engine.as_ref(), partition, after, SEGMENT));
        let page = page.await?;
        let first = page.records.first().map_or(Position(u64::MAX), |record| record.position);
        if first != after.next() {
            return Err(Interrupted::Hole { after, first });
        }
        let changes = page.records.into_iter().map(archived).collect();
        Ok(LogSegment { partition, first, last: page.upto, changes })
    }

    /// Notes that all changes up to a position are stored, and that nothing more was, or will be,
    /// committed at or before a time.
    pub async fn put_watermark(
        &self,
        position: Position,
        commit_ms: u64,
    ) -> Result<(), Interrupted> {
        let partition = self.hosted.spec.partition;
        let watermark = Watermark { partition, position, commit_ms };
        self.objects.put(&ObjectName::Watermark { partition }, watermark.encode()).await?;
        Ok(())
    }
}

fn archived(record: ChangeRecord) -> ArchivedChange {
    ArchivedChange {
        position: record.position,
        commit_ms: record.counts_from_ms(),
        key: record.key,
        image: record.new,
        version: record.version,
        cause: record.cause,
    }
}
