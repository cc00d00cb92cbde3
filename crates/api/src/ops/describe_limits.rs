//! DescribeLimits.

use meridian_wire::json::Object;

/// Units per second of an account (AWS: Service quotas, default).
const ACCOUNT_UNITS: u64 = 80_000;
/// Units per second of a table (AWS: Service quotas, default).
const TABLE_UNITS: u64 = 40_000;

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
