//! The second that a table is restored to, on the wall clock and on the clock of the drill.
//!
//! The nodes stamp their commits with the wall clock in whole milliseconds, and a restore to the
//! second T has those stamped T.000 at the latest. So the line between there and not there is where
//! the wall clock reaches T.001; the drill reads both clocks in turn there, and knows the line on its
//! own clock to within the time that such a reading takes.
//!
//! # Invariants
//!
//! - The line lies in `earliest..=latest` as long as the wall clock is not set within milliseconds
//!   of it.
//!
//! Tested below.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::record::{Clock, Nanos};

/// Least time between choosing a second and its coming.
const AHEAD: Duration = Duration::from_millis(200);
/// The unit of the stamps of commits.
const STAMP: Duration = Duration::from_millis(1);
/// Readings of both clocks, of which the quickest counts.
const READINGS: u32 = 64;

/// The line between what a restore to a second has and what not, on the drill's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What was acknowledged before this is in it.
    pub earliest: Nanos,
    /// What began at this or later is not.
    pub latest: Nanos,
}

/// A whole second that is over, and where it is on the drill's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Seconds since the Unix epoch.
    pub epoch_s: u64,
    /// The line on the drill's clock.
    pub moment: Moment,
}

/// The wall clock: since the Unix epoch.
pub fn wall() -> anyhow::Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).context("the wall clock is before 1970")
}

/// Waits for the next whole second, and returns within milliseconds after it.
pub async fn next_second(clock: Clock) -> anyhow::Result<Chosen> {
    let epoch_s = (wall()? + AHEAD).as_secs() + 1;
    let line = Duration::from_secs(epoch_s) + STAMP;
    loop {
        let now = wall()?;
        if now > line {
            break;
        }
        tokio::time::sleep(line - now + STAMP).await;
    }
    let mut readings = Vec::new();
    for _ in 0..READINGS {
        readings.push((clock.now(), wall()?, clock.now()));
    }
    let quickest = readings.into_iter().min_by_key(|(before, _, after)| after - before);
    let (before, wall, after) = quickest.context("no reading of the clocks")?;
    Ok(Chosen { epoch_s, moment: on_clock(line, wall, (before, after))? })
}

/// Where the wall clock was at `line`, on a clock that read `before` and `after` around `wall`.
fn on_clock(
    line: Duration,
    wall: Duration,
    (before, after): (Nanos, Nanos),
) -> anyhow::Result<Moment> {
    let since = wall.checked_sub(line).context("the wall clock was set back")?;
    let since = u64::try_from(since.as_nanos())?;
    let earliest = before.checked_sub(since).context("the wall clock was set forward")?;
    Ok(Moment { earliest, latest: after.saturating_sub(since) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_as_far_back_as_the_wall_clock_says() {
        let line = Duration::from_millis(5_001);
        let moment = on_clock(line, Duration::from_millis(5_003), (10_000_000, 10_000_700));
        assert_eq!(moment.unwrap(), Moment { earliest: 8_000_000, latest: 8_000_700 });
        assert!(on_clock(line, Duration::from_millis(5_000), (1, 2)).is_err());
        assert!(on_clock(line, Duration::from_millis(5_003), (1, 2)).is_err());
    }

    #[tokio::test]
    async fn the_next_second_is_over_and_lies_between_two_readings() {
        let (clock, before) = (Clock::start(), wall().unwrap());
        let chosen = next_second(clock).await.unwrap();
        let second = Duration::from_secs(chosen.epoch_s);
        assert!(second > before && second + STAMP < wall().unwrap());
        assert!(chosen.moment.earliest <= chosen.moment.latest);
        assert!(chosen.moment.latest < clock.now());
    }
}
