//! Takes a base of a partition: all of its items in one view, without stopping writes.

use super::log::Interrupted;
use super::objects::Objects;
use crate::hosting::HostedPartition;
use meridian_archive::{ArchivedItem, BaseChunk, BaseEnd, ObjectName};
use meridian_base::Change;
use meridian_partition::{CopyFrom, Header, ReadLimits, copy_page};
use meridian_raft::rt;
use meridian_storage::View;

/// How much one chunk holds.
const CHUNK: ReadLimits = ReadLimits { records: 16_384, bytes: 4 * 1024 * 1024 };

/// The items of a partition as they are when it is opened.
pub struct BaseView {
    view: Box<dyn View>,
    /// What the base's end will say; nothing is counted yet.
    pub end: BaseEnd,
}

impl BaseView {
    /// Opens it. Whoever is to go on from it reads the change log already.
    pub async fn open(hosted: &HostedPartition) -> Result<Self, Interrupted> {
        let closed = hosted.close_commits().await?;
        let view = hosted.engine.view()?;
        let header = Header::of_view(view.as_ref(), &hosted.spec)?;
        let end = BaseEnd {
            partition: hosted.spec.partition,
            position: header.position,
            commit_ms: header.committed_ms,
            closed_ms: closed.commit_ms,
            chunks: 0,
            items: 0,
            bytes: 0,
        };
        Ok(BaseView { view, end })
    }

    /// Stores the items.
    pub async fn store(
        self,
        hosted: &HostedPartition,
        objects: &Objects,
    ) -> Result<BaseEnd, Interrupted> {
        let BaseView { mut view, mut end } = self;
        let (partition, position) = (end.partition, end.position);
        let mut from = Some(CopyFrom::default()).filter(CopyFrom::has_items);
        while let Some(place) = from {
            let spec = hosted.spec.clone();
            let (back, page) = rt::blocking(move || {
                let page = copy_page(view.as_ref(), &spec, &place, CHUNK);
                (view, page)
            })
            .await;
            view = back;
            let page = page?;
            let items: Vec<ArchivedItem> = page.changes.into_iter().filter_map(archived).collect();
            end.items += items.len() as u64;
            end.bytes += items.iter().map(ArchivedItem::bytes).sum::<u64>();
            let chunk = BaseChunk { partition, position, number: end.chunks, items };
            let name = ObjectName::BaseChunk { partition, position, chunk: end.chunks };
            objects.put(&name, chunk.encode()).await?;
            end.chunks += 1;
            from = page.next.filter(CopyFrom::has_items);
        }
        objects.put(&ObjectName::BaseEnd { partition, position }, end.encode()).await?;
        tracing::info!(
            partition = partition.0,
            items = end.items,
            bytes = end.bytes,
            "a base is taken"
        );
        Ok(end)
    }
}

fn archived(change: Change) -> Option<ArchivedItem> {
    let Change { key, image, version, .. } = change;
    image.map(|image| ArchivedItem { key, image, version })
}
