//! Times in requests.

use std::time::Duration;

use meridian_wire::Node;

/// Half a millisecond: times are rounded to one.
const ROUNDING: Duration = Duration::from_micros(500);

/// Returns a time in ms since the Unix epoch. One before 1970, or beyond all bounds, is at the bound:
/// out of every range as well.
pub fn milliseconds(node: Option<Node>) -> Option<u64> {
    let Some(Node::Decimal(seconds)) = node else { return None };
    let since = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let ms = since.saturating_add(ROUNDING).as_millis();
    Some(u64::try_from(ms).unwrap_or(u64::MAX))
}
