//! Runs a plan that reads pages.
//!
//! # Invariants
//!
//! - `Limit` and 1 MB hold before the filter and over all ranges together; an empty page may go on.
//! - There is a token exactly when a limit ended the page.

use meridian_base::limits::PAGE_BYTES_MAX;
use meridian_model::Item;
use meridian_partition::PageRequest;
use meridian_wire::ApiError;

use super::plan::Pages;
use super::token::Place;
use crate::backend::{Backend, Consistency};
use crate::capacity::Consumed;
use crate::errors::backend as backend_error;
use crate::index_source::Source;
use crate::reads;

/// Most items of a page of several values of the partition key (AWS developer guide, "PartiQL
/// operators").
const SEVERAL_VALUES_ITEMS_MAX: u32 = 10;

/// Where a page begins and how much it may hold.
#[derive(Debug)]
pub struct Start {
    /// The place that a token told.
    pub place: Option<Place>,
    /// `Limit`
    pub limit: Option<u32>,
    /// How fresh.
    pub consistency: Consistency,
}

/// A page.
#[derive(Debug)]
pub struct Found {
    /// The items as they are shown.
    pub items: Vec<Item>,
    /// What they cost.
    pub consumed: Consumed,
    /// Where to go on, and the key there.
    pub next: Option<(Place, Item)>,
}

/// Reads a page.
pub async fn run_pages(
    backend: &dyn Backend,
    pages: &Pages,
    start: Start,
) -> Result<Found, ApiError> {
    let source = Source::of(&pages.table, pages.index.as_deref(), start.consistency)?;
    let whole = source.needs_items(reads::Select::Shown, pages.columns.attributes());
    let several = (pages.ranges.len() > 1).then_some(SEVERAL_VALUES_ITEMS_MAX);
    let mut limit = start.limit.into_iter().chain(several).min();
    let mut bytes_max = PAGE_BYTES_MAX;
    let (first, mut after) = start.place.map_or((0, None), |place| (place.range, Some(place.key)));
    let mut found = Found { items: Vec::new(), consumed: Consumed::default(), next: None };
    for (number, bounds) in pages.ranges.iter().enumerate().skip(first) {
        let (low, high) = match after.take() {
            None => bounds.clone(),
            Some(key) => reads::start_after(bounds.clone(), key, pages.reverse),
        };
        let request = PageRequest {
            start: low,
            end: high,
            reverse: pages.reverse,
            limit,
            bytes_max,
            filter: pages.filter.clone(),
            count_only: false,
            index: source.local_read(whole),
        };
        let page =
            backend.page(&pages.table, source.global_name(), request, start.consistency).await;
        let page = page.map_err(backend_error)?;
        found.consumed.add(reads::consumed(source, &page, start.consistency));
        let last = reads::last_key(source, &page)?;
        limit = limit.map(|limit| limit.saturating_sub(page.scanned));
        bytes_max = bytes_max.saturating_sub(page.bytes);
        found.items.extend(page.items.into_iter().map(|item| pages.columns.of(item)));
        if let (Some(key), Some(last)) = (page.resume, last) {
            found.next = Some((Place { range: number, key }, last));
            break;
        }
    }
    Ok(found)
}
