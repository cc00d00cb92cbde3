//! Compares what an archive holds of a partition at a time with a table that was restored from it, item
//! by item, and both with the table itself as it is now.
//!
//! The live table is another witness of that time: an item of it that was not written since must be the
//! restored one. What was written since is read from the archive.
//!
//! # Invariants
//!
//! - An item counts as written since only if the archive has that write.
//!
//! Tested by `cluster_tests/catalogue.rs`, with items changed behind its back.

use super::inspect::hex;
use super::restores::{Found, from_object, own_backup};
use super::unavailable;
use crate::archive::objects::{ObjectError, Objects};
use crate::archive::reading::{chunk, differed, folded};
use crate::node::Node;
use meridian_api::admin::{AdminError, ArchivedSource};
use meridian_api::backend::Backend;
use meridian_archive::{
    ArchiveError, ArchivedItem, ArchivedPartition, Fold, ObjectName, RestorePlan, Subject,
};
use meridian_base::PartitionId;
use meridian_base::codec::Reader;
use meridian_control::region::TableRecord;
use meridian_model::{Item, KeySchema, decode_item};
use meridian_partition::PageRequest;
use meridian_raft::rt;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Wrong items that an answer names.
const NAMED_MAX: usize = 20;
/// Bytes of one page of a table.
const PAGE_BYTES: usize = 1 << 20;
/// How far clocks of nodes may be apart, ms, and how long the archive may take to get there.
const CLOCKS_MS: u64 = 1_000;
const ARCHIVED_LIMIT: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(200);

type Entry = (Vec<u8>, Item);

fn from_archive(error: ArchiveError) -> AdminError {
    AdminError::Refused(error.to_string())
}

/// The items of an archived partition at a time, by key.
struct ArchivedItems<'a> {
    objects: &'a Objects,
    plan: RestorePlan,
    chunks: VecDeque<ObjectName>,
    fold: Option<Fold>,
    ready: VecDeque<ArchivedItem>,
}

impl<'a> ArchivedItems<'a> {
    async fn open(objects: &'a Objects, of: PartitionId, at_ms: u64) -> Result<Self, AdminError> {
        let (plan, fold) = folded(objects, of, at_ms).await.map_err(from_object)?;
        let chunks = plan.chunks().collect();
        Ok(ArchivedItems { objects, plan, chunks, fold: Some(fold), ready: VecDeque::new() })
    }

    async fn next(&mut self) -> Result<Option<Entry>, AdminError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                let read = decode_item(&mut Reader::new(&item.image)).map_err(unavailable)?;
                return Ok(Some((item.key, read)));
            }
            let Some(fold) = &mut self.fold else { return Ok(None) };
            if let Some(name) = self.chunks.pop_front() {
                let (whole, chunk) = chunk(self.objects, name).await.map_err(from_object)?;
                self.ready = fold.merge_chunk(&whole, chunk).map_err(from_archive)?.into();
            } else {
                let end = self.objects.name_of(&self.plan.end());
                let rest = fold.finish(&end).map_err(from_archive)?;
                (self.ready, self.fold) = (rest.into(), None);
            }
        }
    }
}

/// The items of a table in the range of a partition, by key, as its leaders have them.
struct TableItems<'a> {
    node: &'a Node,
    table: Arc<TableRecord>,
    /// Where to go on; none at the end.
    from: Option<Bound<Vec<u8>>>,
    end: Bound<Vec<u8>>,
    ready: VecDeque<Entry>,
}

impl<'a> TableItems<'a> {
    fn open(node: &'a Node, table: Arc<TableRecord>, part: &ArchivedPartition) -> Self {
        let end = part.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let from = Some(Bound::Included(part.start.clone()));
        TableItems { node, table, from, end, ready: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Option<Entry>, AdminError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some(start) = self.from.take() else { return Ok(None) };
            let request = PageRequest {
                start,
                end: self.end.clone(),
                reverse: false,
                limit: None,
                bytes_max: PAGE_BYTES,
                filter: None,
                count_only: false,
                index: None,
            };
            let page = self.node.items.page(self.table.id, request, true).await;
            let page = page.map_err(unavailable)?;
            let key = &self.table.definition.key;
            let keyed = page.items.into_iter().map(|item| Ok((encoded_key(key, &item)?, item)));
            self.ready = keyed.collect::<Result<_, AdminError>>()?;
            self.from = page.resume.map(Bound::Excluded);
        }
    }
}

fn encoded_key(schema: &KeySchema, item: &Item) -> Result<Vec<u8>, AdminError> {
    Ok(schema.key_of_item(item).map_err(unavailable)?.encode().into_bytes())
}

/// What a comparison of one partition found.
#[derive(Default)]
struct Report {
    archived: u64,
    restored: u64,
    live: u64,
    wrong: u64,
    named: Vec<Value>,
}

impl Report {
    fn add_wrong(&mut self, key: &[u8], what: &str) {
        self.wrong += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(json!({"key": hex(key), "what": what}));
        }
    }
}

impl Node {
    /// The table of which something is the archive, if this region still has it.
    fn live_table(&self, found: &Found) -> Option<Arc<TableRecord>> {
        if self.own_archive().as_ref() != Some(&found.owner) {
            return None;
        }
        let id = match found.subject {
            Subject::Table(id) => id,
            Subject::Backup(id) => own_backup(self, id)?,
        };
        self.catalog().table_by_id(id).cloned()
    }

    /// Compares one partition.
    pub(crate) async fn compare_json(
        &self,
        from: &ArchivedSource,
        restored: &str,
        partition: u64,
        at_ms: u64,
    ) -> Result<Value, AdminError> {
        let found = self.archived_source(from).await?;
        let meta = found.objects.meta(at_ms).await.map_err(from_object)?;
        let parts = meta.map(|meta| meta.partitions).unwrap_or_default();
        let part =
            parts.into_iter().find(|part| part.partition.0 == partition).ok_or_else(|| {
                AdminError::NotFound(format!("the archive has no partition {partition} of it"))
            })?;
        let table = Backend::table(self, restored);
        let table =
            table.ok_or_else(|| AdminError::NotFound(format!("there is no table {restored}")))?;
        let live = self.live_table(&found).filter(|table| table.serves());

        let mut report = Report::default();
        let mut archive = ArchivedItems::open(&found.objects, part.partition, at_ms).await?;
        let mut copy = TableItems::open(self, table, &part);
        let mut differing = Vec::new();
        let mut now = live.as_ref().map(|live| TableItems::open(self, Arc::clone(live), &part));
        let (mut a, mut c) = (archive.next().await?, copy.next().await?);
        let mut l = next_of(&mut now).await?;
        while let Some(key) = [&a, &c, &l].into_iter().flatten().map(|(key, _)| key).min().cloned()
        {
            let (of_archive, of_copy, of_live) = (at(&a, &key), at(&c, &key), at(&l, &key));
            match (of_archive, of_copy) {
                (Some(one), Some(other)) if one != other => {
                    report.add_wrong(&key, "the restored item is another than the archived one");
                }
                (Some(_), None) => report.add_wrong(&key, "the archived item was not restored"),
                (None, Some(_)) => report.add_wrong(&key, "the restored item is not archived"),
                (Some(_), Some(_)) | (None, None) => {}
            }
            let differs = now.is_some() && of_copy != of_live;
            if of_archive.is_some() {
                report.archived += 1;
                a = archive.next().await?;
            }
            if at(&c, &key).is_some() {
                report.restored += 1;
                c = copy.next().await?;
            }
            if at(&l, &key).is_some() {
                report.live += 1;
                l = next_of(&mut now).await?;
            }
            if differs {
                differing.push(key);
            }
        }
        let since = match &live {
            Some(live) if !differing.is_empty() => {
                self.written_since(live, part.partition, at_ms).await?
            }
            Some(_) | None => Some(BTreeSet::new()),
        };
        let differing_count = differing.len();
        if let Some(since) = &since {
            for key in differing.iter().filter(|key| !since.contains(*key)) {
                report.add_wrong(key, "the live item differs, and was not written since");
            }
        }
        Ok(json!({
            "partition": partition,
            "items": report.archived,
            "restored": report.restored,
            "live": live.as_ref().filter(|_| since.is_some()).map(|_| report.live),
            "written_since": differing_count,
            "wrong": report.wrong,
            "named": report.named,
        }))
    }

    /// The keys that were written after a time, up to now; none where that is not archived.
    async fn written_since(
        &self,
        live: &TableRecord,
        partition: PartitionId,
        at_ms: u64,
    ) -> Result<Option<BTreeSet<Vec<u8>>>, AdminError> {
        let Some(objects) = self.objects_of(Subject::Table(live.id)) else { return Ok(None) };
        let until_ms = self.options.clock.now_ms().saturating_add(CLOCKS_MS);
        let deadline = rt::now() + ARCHIVED_LIMIT;
        let reached_ms = loop {
            let reached = objects.watermark(partition).await.map_err(from_object)?;
            if let Some(mark) = reached.filter(|mark| mark.commit_ms >= until_ms) {
                break mark.commit_ms;
            }
            if live.own.recovery.is_none() || rt::now() > deadline {
                return Ok(None);
            }
            rt::sleep(AGAIN).await;
        };
        let (_, delta) = match differed(&objects, partition, at_ms + 1, reached_ms + 1).await {
            Ok(found) => found,
            // A backup of a time before recovery was turned on.
            Err(ObjectError::Archive(
                ArchiveError::TooEarly { .. } | ArchiveError::NoBase { .. },
            )) => return Ok(None),
            Err(error) => return Err(from_object(error)),
        };
        let keys = delta.written().map(<[u8]>::to_vec).collect();
        Ok(Some(keys))
    }
}

/// The item that stands first, if it has this key.
fn at<'a>(first: &'a Option<Entry>, key: &[u8]) -> Option<&'a Item> {
    first.as_ref().filter(|(at, _)| at == key).map(|(_, item)| item)
}

async fn next_of(items: &mut Option<TableItems<'_>>) -> Result<Option<Entry>, AdminError> {
    match items {
        Some(items) => items.next().await,
        None => Ok(None),
    }
}
