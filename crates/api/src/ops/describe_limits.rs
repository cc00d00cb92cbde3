//! DescribeLimits.

use meridian_wire::json::Object;

use crate::quotas::{ACCOUNT_UNITS, TABLE_UNITS};

/// Answers DescribeLimits with the service's defaults.
pub fn run() -> Vec<u8> {
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    answer
        .number("AccountMaxReadCapacityUnits", ACCOUNT_UNITS)
        .number("AccountMaxWriteCapacityUnits", ACCOUNT_UNITS)
        .number("TableMaxReadCapacityUnits", TABLE_UNITS)
        .number("TableMaxWriteCapacityUnits", TABLE_UNITS);
    answer.close();
    out
}
