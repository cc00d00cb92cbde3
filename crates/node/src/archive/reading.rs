//! Reads what the archive holds of one partition: the state at a time, or what was written between two.
//!
//! Tested by `cluster_tests/archive.rs` and `cluster_tests/jobs.rs`.

use super::objects::{Bases, ObjectError, Objects};
use super::readback::note_damaged;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use meridian_api::backups::Restorable;
use meridian_archive::{
    ArchiveError, BaseChunk, BaseEnd, Delta, Fold, LogSegment, ObjectName, RestorePlan, Watermark,
    reach,
};
use meridian_base::{PartitionId, Position};
use meridian_raft::rt;

/// Segments that are read at a time.
const SEGMENTS_AHEAD: usize = 8;

/// The listing of a partition, as far as a time needs it.
struct Listing {
    names: Vec<ObjectName>,
    ends: Vec<BaseEnd>,
    watermark: Watermark,
    /// Why a base may not be among them.
    damaged: Option<ArchiveError>,
}

impl Listing {
    fn plan(self, at_ms: u64) -> Result<RestorePlan, ArchiveError> {
        let plan = RestorePlan::new(&self.names, &self.ends, &self.watermark, at_ms);
        plan.map_err(|error| match (error, self.damaged) {
            (ArchiveError::NoBase { .. } | ArchiveError::TooEarly { .. }, Some(damaged)) => damaged,
            (error, _) => error,
        })
    }
}

async fn listing(objects: &Objects, of: PartitionId, at_ms: u64) -> Result<Listing, ObjectError> {
    let watermark = objects.watermark(of).await?;
    let watermark = watermark.ok_or(ArchiveError::NoBase { partition: of })?;
    let Bases { mut names, ends, damaged } = objects.bases(of).await?;
    let early = ends.iter().filter(|end| end.commit_ms <= at_ms);
    let after = early.map(|end| end.position).max().unwrap_or_default();
    names.extend(objects.segments(of, after).await?);
    Ok(Listing { names, ends, watermark, damaged })
}

async fn segment(objects: &Objects, name: ObjectName) -> Result<(String, LogSegment), ObjectError> {
    let whole = objects.name_of(&name);
    let segment = LogSegment::decode(&whole, &objects.must(&name).await?)?;
    Ok((whole, segment))
}

/// A chunk of a base, and its object's name.
pub async fn chunk(
    objects: &Objects,
    name: ObjectName,
) -> Result<(String, BaseChunk), ObjectError> {
    let whole = objects.name_of(&name);
    let bytes = objects.must(&name).await?;
    let decoded = rt::blocking(move || {
        let chunk = BaseChunk::decode(&whole, &bytes);
        chunk.map(|chunk| (whole, chunk))
    });
    Ok(decoded.await?)
}

/// The segments of a plan with their objects' names, in order; some are read ahead.
fn segments<'a>(
    objects: &'a Objects,
    plan: &RestorePlan,
) -> BoxStream<'a, Result<(String, LogSegment), ObjectError>> {
    let names = plan.segments.clone();
    stream::iter(names).map(|name| segment(objects, name)).buffered(SEGMENTS_AHEAD).boxed()
}

/// The last base of a partition, and up to which position of the change log all is stored from it on;
/// none where there is no whole base.
pub async fn stored(
    objects: &Objects,
    of: PartitionId,
) -> Result<Option<(BaseEnd, Position)>, ObjectError> {
    let Bases { mut names, ends, damaged } = objects.bases(of).await?;
    if let Some(damaged) = damaged {
        note_damaged(&damaged);
    }
    let oldest = ends.iter().map(|end| end.position).min().unwrap_or_default();
    names.extend(objects.segments(of, oldest).await?);
    Ok(reach(of, &names, &ends))
}

/// The times of which the archive has all of some partitions; none as long as it has none of one.
pub async fn archived_times(
    objects: &Objects,
    partitions: impl Iterator<Item = PartitionId>,
) -> Result<Option<Restorable>, ObjectError> {
    let (mut earliest_ms, mut latest_ms) = (0, u64::MAX);
    for partition in partitions {
        let Some(watermark) = objects.watermark(partition).await? else { return Ok(None) };
        let Bases { ends, damaged, .. } = objects.bases(partition).await?;
        let Some(first_ms) = ends.iter().map(|end| end.commit_ms).min() else {
            return damaged.map_or(Ok(None), |damaged| Err(damaged.into()));
        };
        earliest_ms = earliest_ms.max(first_ms);
        latest_ms = latest_ms.min(watermark.commit_ms);
    }
    Ok((latest_ms < u64::MAX).then_some(Restorable { earliest_ms, latest_ms }))
}

/// A plan for the state of a partition at a time, with all changes since its base.
pub async fn folded(
    objects: &Objects,
    of: PartitionId,
    at_ms: u64,
) -> Result<(RestorePlan, Fold), ObjectError> {
    let plan = listing(objects, of, at_ms).await?.plan(at_ms)?;
    let mut fold = Fold::new(plan.base, at_ms);
    let mut segments = segments(objects, &plan);
    while let Some((whole, segment)) = segments.try_next().await? {
        fold.add(&whole, segment)?;
    }
    Ok((plan, fold))
}

/// A plan for what was written to a partition from one time on and before another, with all changes
/// since the base of the state before.
pub async fn differed(
    objects: &Objects,
    of: PartitionId,
    from_ms: u64,
    to_ms: u64,
) -> Result<(RestorePlan, Delta), ObjectError> {
    let before_ms = from_ms.saturating_sub(1);
    let mut listing = listing(objects, of, before_ms).await?;
    // Of the bases that hold nothing of the time the plan takes the newest.
    listing.ends.retain(|end| end.commit_ms <= before_ms);
    let plan = listing.plan(to_ms.saturating_sub(1))?;
    let mut delta = Delta::new(plan.base, from_ms, to_ms);
    let mut segments = segments(objects, &plan);
    while let Some((whole, segment)) = segments.try_next().await? {
        delta.add(&whole, segment)?;
    }
    Ok((plan, delta))
}
