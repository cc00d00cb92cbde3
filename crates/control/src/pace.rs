//! How often what may not be changed too often was changed. Time comes with the command.
//!
//! Tested here, and through `UpdateTable` in the `api` crate.

/// A day, ms.
pub const DAY_MS: u64 = 24 * 3600 * 1000;
/// How long a change of the class counts, ms (AWS: two in 30 days).
pub const CLASS_WINDOW_MS: u64 = 30 * DAY_MS;

/// Decreases on the UTC day of `now_ms`, where there were `count` on the day of the last one.
pub fn decreases_today(count: u32, last_ms: Option<u64>, now_ms: u64) -> u32 {
    if last_ms.is_some_and(|last| last / DAY_MS == now_ms / DAY_MS) { count } else { 0 }
}

/// Notes a change of the class: those that count no more are forgotten.
pub(crate) fn note_class(times_ms: &mut Vec<u64>, at_ms: u64) {
    times_ms.retain(|time| time.saturating_add(CLASS_WINDOW_MS) > at_ms);
    times_ms.push(at_ms);
}

/// Notes a change of the encryption. A day begins with the first one after the last day (AWS: the 24h
/// window of encryption mode changes).
pub(crate) fn note_encryption(times_ms: &mut Vec<u64>, at_ms: u64) {
    if times_ms.first().is_some_and(|first| first.saturating_add(DAY_MS) <= at_ms) {
        times_ms.clear();
    }
    times_ms.push(at_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_decreases_ends_at_midnight() {
        let noon = 20 * DAY_MS + DAY_MS / 2;
        assert_eq!(decreases_today(3, Some(noon), noon + DAY_MS / 2 - 1), 3);
        assert_eq!(decreases_today(3, Some(noon), noon + DAY_MS / 2), 0);
        assert_eq!(decreases_today(0, None, noon), 0);
    }

    #[test]
    fn changes_are_forgotten_when_they_count_no_more() {
        let mut class = Vec::new();
        for at_ms in [1, 2, CLASS_WINDOW_MS + 1] {
            note_class(&mut class, at_ms);
        }
        assert_eq!(class, [2, CLASS_WINDOW_MS + 1]);
        let mut encryption = Vec::new();
        for at_ms in [1, DAY_MS] {
            note_encryption(&mut encryption, at_ms);
        }
        assert_eq!(encryption, [1, DAY_MS], "one window from the first");
        note_encryption(&mut encryption, DAY_MS + 1);
        assert_eq!(encryption, [DAY_MS + 1]);
    }
}
