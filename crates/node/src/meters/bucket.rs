//! The token buckets of the limits whose first partition is led here.
//!
//! # Invariants
//!
//! - A bucket gives no more than its rate, beside what it saved up before.
//! - It is in memory: a new leader begins with a full one.

use super::{Access, Limit};
use meridian_base::PartitionId;
use meridian_base::codec::{DecodeError, Reader, put_var};
use meridian_raft::rt;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// Thousandths of a capacity unit.
pub type Milli = i64;

/// How much a provisioned bucket saves up (AWS: 300 seconds of unused capacity), s.
const SAVED_S: u64 = 300;
/// How much a bucket of an on-demand maximum saves up, s.
const SAVED_ON_DEMAND_S: u64 = 1;

/// Units in thousandths.
#[expect(clippy::cast_possible_truncation, reason = "no request costs so much")]
pub fn milli(units: f64) -> Milli {
    (units * 1000.0) as Milli
}

/// A node asks for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Of which limit.
    pub access: Access,
    /// The limit, as the node knows it.
    pub limit: Limit,
    /// How many, what it owes included.
    pub units: Milli,
}

impl Lease {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.access {
            Access::Read => 0,
            Access::Write => 1,
        });
        out.push(u8::from(self.limit.on_demand));
        put_var(out, self.limit.rate);
        put_var(out, u64::try_from(self.units).unwrap_or(0));
    }

    /// Reads it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let access = match reader.u8()? {
            0 => Access::Read,
            1 => Access::Write,
            _ => return Err(DecodeError::Unknown("access")),
        };
        let on_demand = reader.u8()? == 1;
        let limit = Limit { rate: reader.var()?, on_demand };
        Ok(Lease { access, limit, units: Milli::try_from(reader.var()?).unwrap_or(Milli::MAX) })
    }
}

struct Bucket {
    units: Milli,
    at: rt::Instant,
}

impl Bucket {
    fn give(&mut self, limit: Limit, wanted: Milli, now: rt::Instant) -> Milli {
        let since = now.saturating_duration_since(self.at);
        self.units = self.units.saturating_add(earned(limit.rate, since)).min(saved(limit));
        self.at = now;
        let given = wanted.clamp(0, self.units.max(0));
        self.units -= given;
        given
    }
}

fn earned(rate: u64, since: Duration) -> Milli {
    let units = u128::from(rate) * since.as_micros() / 1000;
    Milli::try_from(units).unwrap_or(Milli::MAX)
}

fn saved(limit: Limit) -> Milli {
    let seconds = if limit.on_demand { SAVED_ON_DEMAND_S } else { SAVED_S };
    Milli::try_from(limit.rate.saturating_mul(seconds * 1000)).unwrap_or(Milli::MAX)
}

/// The buckets, by the first partition of what they limit.
#[derive(Default)]
pub struct Buckets {
    known: Mutex<HashMap<(PartitionId, Access), Bucket>>,
}

impl Buckets {
    /// Gives tokens.
    pub fn give(&self, first: PartitionId, lease: Lease) -> Milli {
        let now = rt::now();
        let mut known = self.known.lock().expect("no holder panics");
        let full = || Bucket { units: saved(lease.limit), at: now };
        let bucket = known.entry((first, lease.access)).or_insert_with(full);
        bucket.give(lease.limit, lease.units, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_what_it_saved() {
        let limit = Limit { rate: 10, on_demand: false };
        let start = rt::now();
        let mut bucket = Bucket { units: saved(limit), at: start };
        let mut give =
            |ms: u64, units: Milli| bucket.give(limit, units, start + Duration::from_millis(ms));
        assert_eq!(give(0, 2_999_000), 2_999_000);
        assert_eq!(give(0, 5_000), 1_000);
        assert_eq!(give(0, 5_000), 0);
        assert_eq!(give(250, 5_000), 2_500);
        assert_eq!(give(1_000_000, 9_000_000), 3_000_000);
        assert_eq!(give(1_000_000, -5), 0);
    }

    #[test]
    fn what_is_sent_is_read() {
        for access in [Access::Read, Access::Write] {
            let limit = Limit { rate: 7, on_demand: access == Access::Read };
            let lease = Lease { access, limit, units: 123_456 };
            let mut out = Vec::new();
            lease.encode(&mut out);
            assert_eq!(Lease::decode(&mut Reader::new(&out)), Ok(lease));
        }
    }
}
