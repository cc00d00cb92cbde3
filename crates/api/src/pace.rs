//! What may not be changed too often: lower throughput, the class, the encryption.
//!
//! Tested here and by `tests/pace.rs`; the texts are the service's.

use meridian_control::pace::{CLASS_WINDOW_MS, DAY_MS, decreases_today};
use meridian_control::region::TableRecord;
use meridian_control::table::Throughput;
use meridian_control::time::{iso_label, long_date};
use meridian_wire::ApiError;

/// Decreases of a table, or an index, that may follow at once on a UTC day (AWS: quotas).
const DECREASES_AT_ONCE: u32 = 4;
/// After them, between one decrease and the next, ms.
const DECREASE_MS: u64 = 3600 * 1000;
/// Changes of the class in 30 days (AWS: quotas).
const CLASS_CHANGES: usize = 2;
/// Changes of the encryption that may follow at once in 24 h.
const ENCRYPTIONS_AT_ONCE: usize = 4;
/// After them, between one and the next, ms.
const ENCRYPTION_MS: u64 = 6 * 3600 * 1000;

fn exceeded(what: &str) -> ApiError {
    ApiError::LimitExceeded(format!("Subscriber limit exceeded: {what}"))
}

/// Refuses to lower throughput too often. `lowered` is how often that was done on the day of the
/// last time, and when that was.
pub fn check_decrease(
    (before, after): (Option<Throughput>, Option<Throughput>),
    (count, last_ms): (u32, Option<u64>),
    now_ms: u64,
) -> Result<(), ApiError> {
    let (Some(before), Some(after), Some(last)) = (before, after, last_ms) else { return Ok(()) };
    let is_lower = after.read_units < before.read_units || after.write_units < before.write_units;
    let today = decreases_today(count, last_ms, now_ms);
    let midnight = (now_ms / DAY_MS + 1) * DAY_MS;
    let next = last.saturating_add(DECREASE_MS).min(midnight);
    if !is_lower || today < DECREASES_AT_ONCE || now_ms >= next {
        return Ok(());
    }
    let date = |ms| format!("{} Coordinated Universal Time", long_date(ms));
    Err(exceeded(&format!(
        "Provisioned throughput decreases are limited within a given UTC day. After the first \
         {DECREASES_AT_ONCE} decreases, each subsequent decrease in the same UTC day can be performed \
         at most once every {} seconds. Number of decreases today: {today}. Last decrease at {}. Next \
         decrease can be made at {}",
        DECREASE_MS / 1000,
        date(last),
        date(next)
    )))
}

/// Refuses to change the class too often, also to what it is.
pub fn check_class(table: &TableRecord, now_ms: u64) -> Result<(), ApiError> {
    let counts = |time: &&u64| time.saturating_add(CLASS_WINDOW_MS) > now_ms;
    if table.class_changed_ms.iter().filter(counts).count() < CLASS_CHANGES {
        return Ok(());
    }
    Err(exceeded("Updates to TableClass are limited to 2 times in 30 day(s)."))
}

/// Refuses to change the encryption too often.
pub fn check_encryption(table: &TableRecord, now_ms: u64) -> Result<(), ApiError> {
    let times = &table.encryption_changed_ms;
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(()) };
    let end = first.saturating_add(DAY_MS);
    let next = last.saturating_add(ENCRYPTION_MS).min(end);
    if times.len() < ENCRYPTIONS_AT_ONCE || now_ms >= next {
        return Ok(());
    }
    let date = |ms| format!("{}Z", iso_label(ms));
    Err(exceeded(&format!(
        "Encryption mode changes are limited in the 24h window ending at {}. After the first \
         {ENCRYPTIONS_AT_ONCE} change, each subsequent change in the same window can be performed at \
         most once every {} seconds. Number of updates today: {}. Last change at {}. Next changes can \
         be made at {}.",
        date(end),
        ENCRYPTION_MS / 1000,
        times.len(),
        date(*last),
        date(next)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_four_decreases_one_an_hour_until_midnight() {
        let units = |units| Some(Throughput { read_units: units, write_units: units });
        let (lower, raise) = ((units(2), units(1)), (units(1), units(2)));
        // 2026-10-09T00:21:34Z.
        let last = 1_791_505_294_000;
        let lowered = (4, Some(last));
        let refused = check_decrease(lower, lowered, last + 3_599_999).unwrap_err();
        let ApiError::LimitExceeded(text) = refused else { panic!("{refused:?}") };
        assert_eq!(
            text,
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given \
             UTC day. After the first 4 decreases, each subsequent decrease in the same UTC day can be \
             performed at most once every 3600 seconds. Number of decreases today: 4. Last decrease at \
             Friday, October 9, 2026 at 12:21:34 AM Coordinated Universal Time. Next decrease can be \
             made at Friday, October 9, 2026 at 1:21:34 AM Coordinated Universal Time"
        );
        assert_eq!(check_decrease(lower, lowered, last + 3_600_000), Ok(()));
        assert_eq!(check_decrease(raise, lowered, last), Ok(()));
        assert_eq!(check_decrease(lower, (3, Some(last)), last), Ok(()));
        let late = last / DAY_MS * DAY_MS + DAY_MS - 60_000;
        assert!(check_decrease(lower, (4, Some(late)), late + 59_999).is_err());
        assert_eq!(check_decrease(lower, (4, Some(late)), late + 60_000), Ok(()), "midnight");
    }
}
