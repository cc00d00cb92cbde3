//! Scan, whole or by segments.
//!
//! Segments are equal parts of the space of hashes: items spread over them by partition key, and
//! all items of one partition key are in one segment.
//!
//! Tested below and by the golden transcripts.

use std::ops::Bound;

use meridian_expression::ExpressionKind;
use meridian_model::Item;
use meridian_wire::{ApiError, Fields, Wording};

use crate::backend::Backend;
use crate::capacity::Report;
use crate::errors::{expression, invalid};
use crate::expressions::{Parameters, condition, unused};
use crate::index_source::Source;
use crate::projection::Wanted;
use crate::reads::{self, Bounds, PageRead};
use crate::{legacy, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ProjectionExpression", "FilterExpression"],
    legacy: &["AttributesToGet", "ScanFilter", "ConditionalOperator"],
    wording: Wording::Older,
};

/// Answers Scan.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let mut placeholders = PARAMETERS.placeholders(&mut fields)?;
    let start = fields.take_item("ExclusiveStartKey");
    let start = start
        .map(|start| start.into_value())
        .transpose()
        .map_err(|fault| starting_key(&fault.text(PARAMETERS.wording)))?;
    let segment = Segment::take(&mut fields)?;
    let parameter =
        if fields.has("AttributesToGet") { "AttributesToGet" } else { "ProjectionExpression" };
    let legacy_filter = legacy::filter(&mut fields, "ScanFilter", PARAMETERS.wording)?;
    let filter = condition(&mut fields, ExpressionKind::Filter, &mut placeholders)?;
    let filter = filter.or(legacy_filter);
    let wanted = Wanted::take(&mut fields, &mut placeholders)?;
    unused(&placeholders)?;
    let select = reads::select(&mut fields, &wanted, parameter)?;
    let (limit, report) = (reads::limit(&mut fields), Report::take(&mut fields));
    let consistency = reads::consistency(&mut fields);

    let name = tables::take_name(&mut fields);
    let table = tables::serving(backend, &name)?;
    let source = Source::take(&mut fields, &table, consistency)?;
    let bounds = match start {
        None => segment.bounds(),
        Some(start) => {
            let start = started(source, &segment, &start)?;
            reads::start_after(segment.bounds(), start, false)
        }
    };
    let schema = source.keys();
    wanted.check_keys(&schema)?;
    if let Some(filter) = &filter {
        filter.check_keys(&schema).map_err(expression)?;
    }
    reads::check_shown(source, select, wanted.names(), filter.as_ref())?;
    let reverse = false;
    let read = PageRead { bounds, reverse, limit, filter, wanted, select, consistency, report };
    reads::run(backend, &table, source, read).await
}

/// Checks `ExclusiveStartKey`; returns its bytes.
fn started(source: Source<'_>, segment: &Segment, start: &Item) -> Result<Vec<u8>, ApiError> {
    let encoded = source.start(start).map_err(|error| starting_key(&error.to_string()))?;
    if reads::within(&segment.bounds(), &encoded) {
        return Ok(encoded);
    }
    Err(starting_key(&format!(
        "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. \
         TotalSegments: {} Segment: {}",
        segment.total, segment.number
    )))
}

fn starting_key(why: &str) -> ApiError {
    invalid(format!("The provided starting key is invalid: {why}"))
}

/// One of `total` equal parts of the space of hashes.
struct Segment {
    number: u32,
    total: u32,
}

impl Segment {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let number = fields.take_number("Segment");
        let total = fields.take_number("TotalSegments");
        match (number, total) {
            (None, None) => Ok(Segment { number: 0, total: 1 }),
            (Some(_), None) => Err(invalid(
                "The TotalSegments parameter is required but was not present in the request when \
                 Segment parameter is present",
            )),
            (None, Some(_)) => Err(invalid(
                "The Segment parameter is required but was not present in the request when \
                 parameter TotalSegments is present",
            )),
            (Some(number), Some(total)) if number >= total => Err(invalid(format!(
                "The Segment parameter is zero-based and must be less than parameter \
                 TotalSegments: Segment: {number} is not less than TotalSegments: {total}"
            ))),
            // The constraints keep both between 0 and a million.
            (Some(number), Some(total)) => Ok(Segment {
                number: u32::try_from(number).unwrap_or_default(),
                total: u32::try_from(total).unwrap_or(1),
            }),
        }
    }

    fn bounds(&self) -> Bounds {
        let start = match self.number {
            0 => Bound::Unbounded,
            number => Bound::Included(self.edge(number)),
        };
        let end = match self.number + 1 {
            next if next == self.total => Bound::Unbounded,
            next => Bound::Excluded(self.edge(next)),
        };
        (start, end)
    }

    /// The first hash of a segment, big-endian, as encoded keys begin.
    fn edge(&self, number: u32) -> Vec<u8> {
        let edge = (u128::from(number) << 64) / u128::from(self.total);
        let edge = u64::try_from(edge).expect("a segment's number is below the total");
        edge.to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_tile_the_keys() {
        for total in [1, 2, 3, 7, 1000, 1_000_000] {
            let last = Segment { number: total - 1, total };
            assert_eq!(Segment { number: 0, total }.bounds().0, Bound::Unbounded);
            assert_eq!(last.bounds().1, Bound::Unbounded);
            for number in (0..total - 1).take(2000) {
                let (Bound::Excluded(end), Bound::Included(start)) = (
                    Segment { number, total }.bounds().1,
                    Segment { number: number + 1, total }.bounds().0,
                ) else {
                    panic!("inner edges are bounds");
                };
                assert_eq!(end, start);
            }
        }
    }
}
