//! Dates as text, from milliseconds: nothing here knows what time it is.

/// `2015-05-20T23:46:10.107`, the form of DynamoDB's stream labels, in UTC.
pub fn iso_label(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil_from_days(days);
    let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (seconds, millis) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}

const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `Friday, October 9, 2026 at 12:21:34 AM`, in UTC: how DynamoDB's messages tell a time.
pub fn long_date(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil_from_days(days);
    let nth = |names: &[&'static str], n: u64| {
        usize::try_from(n).ok().and_then(|n| names.get(n)).copied().unwrap_or_default()
    };
    let (weekday, month) = (nth(&WEEKDAYS, days % 7), nth(&MONTHS, month.saturating_sub(1)));
    let (hours, minutes, seconds) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    let half = if hours < 12 { "AM" } else { "PM" };
    let hours = if hours % 12 == 0 { 12 } else { hours % 12 };
    format!("{weekday}, {month} {day}, {year} at {hours}:{minutes:02}:{seconds:02} {half}")
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms"), for days from 1970 on.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{iso_label, long_date};

    #[test]
    fn long_dates_name_day_and_month() {
        assert_eq!(long_date(0), "Thursday, January 1, 1970 at 12:00:00 AM");
        assert_eq!(long_date(951_827_696_000), "Tuesday, February 29, 2000 at 12:34:56 PM");
        assert_eq!(long_date(1_432_165_570_107), "Wednesday, May 20, 2015 at 11:46:10 PM");
    }

    #[test]
    fn labels_are_utc_dates() {
        assert_eq!(iso_label(0), "1970-01-01T00:00:00.000");
        assert_eq!(iso_label(1_432_165_570_107), "2015-05-20T23:46:10.107");
        assert_eq!(iso_label(951_782_400_000), "2000-02-29T00:00:00.000");
        assert_eq!(iso_label(4_107_542_399_999), "2100-02-28T23:59:59.999");
        assert_eq!(iso_label(u64::MAX).len(), "584554049-00-00T00:00:00.000".len());
    }
}
