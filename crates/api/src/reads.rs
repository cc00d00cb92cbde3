//! What Query and Scan share: selection, pages and the answer.
//!
//! # Invariants
//!
//! - `Limit` and 1 MB hold before the filter; an empty page may go on.
//! - `LastEvaluatedKey` is there exactly when the page was cut.
//!
//! Tested by the golden transcripts.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use meridian_base::limits::PAGE_BYTES_MAX;
use meridian_control::region::TableRecord;
use meridian_expression::Condition;
use meridian_model::Item;
use meridian_partition::{Page, PageRequest};
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, write_item};

use crate::backend::{Backend, Consistency};
use crate::capacity::{Consumed, Report, block_units, read_units};
use crate::errors::{backend as backend_error, invalid};
use crate::index_source::Source;
use crate::projection::Wanted;

/// The keys of a page, in encoded form.
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What to read and how to answer it.
#[derive(Debug)]
pub struct PageRead {
    /// Which keys.
    pub bounds: Bounds,
    /// From the highest key to the lowest.
    pub reverse: bool,
    /// Most items before the filter.
    pub limit: Option<u32>,
    /// What items must satisfy.
    pub filter: Option<Condition>,
    /// Which parts of items.
    pub wanted: Wanted,
    /// What of each item `Select` asks for.
    pub select: Select,
    /// How fresh.
    pub consistency: Consistency,
    /// What of the cost to tell.
    pub report: Report,
}

/// Takes `ConsistentRead`.
pub fn consistency(fields: &mut Fields) -> Consistency {
    match fields.take_flag("ConsistentRead") {
        Some(true) => Consistency::Strong,
        Some(false) | None => Consistency::Eventual,
    }
}

/// Takes `Limit`, which the constraints keep at 1 or more.
pub fn limit(fields: &mut Fields) -> Option<u32> {
    fields.take_number("Limit").map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// `Select`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// What the projection names, or what the table or the index shows.
    Shown,
    /// ALL_ATTRIBUTES
    All,
    /// COUNT
    Count,
}

/// Takes `Select` and checks it against the projection.
pub fn select(fields: &mut Fields, wanted: &Wanted, parameter: &str) -> Result<Select, ApiError> {
    let select = fields.take_text("Select");
    match select.as_deref() {
        Some("COUNT") if wanted.is_partial() => Err(invalid(format!(
            "Cannot specify the {parameter} when choosing to get only the Count"
        ))),
        Some("ALL_ATTRIBUTES") if wanted.is_partial() => Err(invalid(format!(
            "Cannot specify the {parameter} when choosing to get ALL_ATTRIBUTES"
        ))),
        Some("SPECIFIC_ATTRIBUTES") if !wanted.is_partial() => Err(invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
             SPECIFIC_ATTRIBUTES",
        )),
        Some("ALL_PROJECTED_ATTRIBUTES") if !fields.has("IndexName") => Err(invalid(
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        )),
        Some("ALL_PROJECTED_ATTRIBUTES") if wanted.is_partial() => Err(invalid(format!(
            "Cannot specify the {parameter} when choosing to get ALL_PROJECTED_ATTRIBUTES"
        ))),
        Some("COUNT") => Ok(Select::Count),
        Some("ALL_ATTRIBUTES") => Ok(Select::All),
        Some(_) | None => Ok(Select::Shown),
    }
}

/// Starts a range after the encoded key of `ExclusiveStartKey`.
pub fn start_after(bounds: Bounds, start: Vec<u8>, reverse: bool) -> Bounds {
    if reverse { (bounds.0, Bound::Excluded(start)) } else { (Bound::Excluded(start), bounds.1) }
}

/// Tells whether an encoded key lies within bounds.
pub fn within(bounds: &Bounds, key: &[u8]) -> bool {
    let above = match &bounds.0 {
        Bound::Included(start) => key >= start.as_slice(),
        Bound::Excluded(start) => key > start.as_slice(),
        Bound::Unbounded => true,
    };
    above
        && match &bounds.1 {
            Bound::Included(end) => key <= end.as_slice(),
            Bound::Excluded(end) => key < end.as_slice(),
            Bound::Unbounded => true,
        }
}

/// Refuses what the index that is read does not show.
pub fn check_shown<'n>(
    source: Source<'_>,
    select: Select,
    wanted: impl Iterator<Item = &'n str>,
    filter: Option<&Condition>,
) -> Result<(), ApiError> {
    source.check_shown(select, wanted)?;
    let used = filter.map(Condition::attributes).unwrap_or_default();
    source.check_filter(used.iter().map(String::as_str))
}

/// Reads a page and writes the answer.
pub async fn run(
    backend: &dyn Backend,
    table: &Arc<TableRecord>,
    source: Source<'_>,
    read: PageRead,
) -> Result<Vec<u8>, ApiError> {
    let count_only = read.select == Select::Count;
    let whole = source.needs_items(read.select, read.wanted.names());
    let request = PageRequest {
        start: read.bounds.0,
        end: read.bounds.1,
        reverse: read.reverse,
        limit: read.limit,
        bytes_max: PAGE_BYTES_MAX,
        filter: read.filter,
        count_only,
        index: source.local_read(whole),
    };
    let page = backend.page(table, source.global_name(), request, read.consistency).await;
    let page = page.map_err(backend_error)?;
    let last = last_key(source, &page)?;
    let mut out = Vec::with_capacity(256);
    let mut answer = Object::open(&mut out);
    read.report.write(&mut answer, &table.name, &consumed(source, &page, read.consistency));
    answer.number("Count", u64::from(page.count));
    if !count_only {
        let mut items = Array::open(answer.key("Items"));
        for item in page.items {
            write_item(items.element(), &read.wanted.of(item));
        }
        items.close();
    }
    if let Some(last) = last {
        write_item(answer.key("LastEvaluatedKey"), &last);
    }
    answer.number("ScannedCount", u64::from(page.scanned));
    answer.close();
    Ok(out)
}

/// Reads the key of the last item evaluated; the backend made its bytes, so other ones are a fault
/// of ours.
pub fn last_key(source: Source<'_>, page: &Page) -> Result<Option<Item>, ApiError> {
    let Some(bytes) = &page.resume else { return Ok(None) };
    source.key_of(bytes).map(Some).map_err(|_| ApiError::InternalServerError)
}

/// A page of an index costs what it shows, and each item that is read beside it.
pub fn consumed(source: Source<'_>, page: &Page, consistency: Consistency) -> Consumed {
    let units = read_units(page.bytes, consistency);
    let of = |name: &str| BTreeMap::from([(name.to_owned(), units)]);
    match (source.index_name(), source.global_name()) {
        (None, _) => units.into(),
        (_, Some(name)) => Consumed { global: of(name), ..Consumed::default() },
        (Some(name), None) => {
            let table = block_units(page.fetched, consistency);
            Consumed { table, local: of(name), ..Consumed::default() }
        }
    }
}
