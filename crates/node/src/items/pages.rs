//! Pages of Query and Scan over as many partitions as their limits allow.

use super::message::{ItemAnswer, ItemRequest};
use super::{ItemError, Items};
use meridian_base::TableId;
use meridian_control::region::{Catalog, PartitionRecord};
use meridian_model::KeyRange;
use meridian_partition::{Page, PageRequest};
use std::ops::Bound;
use std::sync::Arc;

/// The partitions that a request touches, in the order in which it reads them.
fn partitions(
    catalog: &Catalog,
    table: TableId,
    request: &PageRequest,
) -> Vec<Arc<PartitionRecord>> {
    let start = match &request.start {
        Bound::Included(key) | Bound::Excluded(key) => key.clone(),
        Bound::Unbounded => Vec::new(),
    };
    let end = match &request.end {
        // The smallest key after an included one.
        Bound::Included(key) => Some([key.as_slice(), &[0]].concat()),
        Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    let mut found = catalog.partitions_over(table, &KeyRange { start, end }).to_vec();
    if request.reverse {
        found.reverse();
    }
    found
}

impl Items {
    /// Reads a page; it goes on in the next partition until a limit ends it.
    pub async fn page(
        &self,
        table: TableId,
        mut request: PageRequest,
        strong: bool,
    ) -> Result<Page, ItemError> {
        let catalog = self.catalog();
        if catalog.table_by_id(table).is_none() {
            return Err(ItemError::NoTable);
        }
        let mut page = Page::default();
        for partition in partitions(&catalog, table, &request) {
            let part = self.part(table, &partition, &request, strong).await?;
            page.scanned += part.scanned;
            page.count += part.count;
            page.bytes += part.bytes;
            page.fetched += part.fetched;
            page.items.extend(part.items);
            page.resume = part.resume;
            if page.resume.is_some() {
                return Ok(page);
            }
            request.limit = request.limit.map(|limit| limit.saturating_sub(part.scanned));
            request.bytes_max = request.bytes_max.saturating_sub(part.bytes);
            debug_assert!(
                request.limit != Some(0) && request.bytes_max > 0,
                "else it had a resume"
            );
        }
        Ok(page)
    }

    async fn part(
        &self,
        table: TableId,
        partition: &PartitionRecord,
        request: &PageRequest,
        strong: bool,
    ) -> Result<Page, ItemError> {
        let wanted = ItemRequest::Page(Box::new(request.clone()), strong);
        let answer = if strong {
            let id = partition.id;
            let find = |catalog: &Catalog| catalog.partition(id).cloned();
            self.to_leader(table, find, &wanted).await?
        } else {
            self.anywhere(partition, &wanted).await?
        };
        match answer {
            ItemAnswer::Page(page) => Ok(page),
            other => Err(other.unexpected()),
        }
    }
}
