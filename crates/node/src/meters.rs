//! Throughput of tables and indexes that have a limit: what a request may use, and what it used.
//!
//! A region has one token bucket for each limit, kept in memory by the leader of the table's (or the
//! index's) first partition ([`bucket`]). Nodes take tokens from it ahead, for a tenth of a second,
//! and let requests through as long as they have some; what a request cost is known when it is done,
//! so that a node may owe. The service works in the same way (ATC 2022, "global admission control").
//!
//! # Invariants
//!
//! - A table without limit costs nothing but a look at its definition.
//! - Where the bucket cannot be asked, requests go through: a limit is no reason to be unavailable.
//!
//! Tested by `cluster_tests/meters.rs` and `bucket.rs`.

pub mod bucket;

use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use bucket::{Lease, Milli};
use meridian_api::backend::{BackendError, Exceeded};
use meridian_api::capacity::Consumed;
use meridian_api::transact::CancelReason;
use meridian_base::TableId;
use meridian_control::region::{IndexRecord, TableRecord};
use meridian_control::replica_settings::ReadOverride;
use meridian_control::table::{BillingMode, IndexStatus, OnDemandMaximum, Throughput};
use meridian_raft::rt;
use meridian_wire::arn::{index_arn, table_arn};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tokens are taken for as long as this.
const AHEAD_MS: u64 = 100;
/// Tokens that were not used for so long are forgotten: another node may need them.
const KEPT: Duration = Duration::from_secs(1);
/// After the bucket was found empty it is not asked again for so long.
const PAUSE: Duration = Duration::from_millis(50);

/// What a limit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// A limit, units a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Units a second.
    pub rate: u64,
    /// Set by `OnDemandThroughput`, or else provisioned.
    pub on_demand: bool,
}

/// The limit of a table or index with this billing mode and these settings.
fn limit(
    billing: BillingMode,
    throughput: Option<Throughput>,
    maximum: OnDemandMaximum,
    access: Access,
) -> Option<Limit> {
    let on_demand = billing == BillingMode::PayPerRequest;
    let rate = match (billing, access) {
        (BillingMode::Provisioned, Access::Read) => throughput.map(|units| units.read_units),
        (BillingMode::Provisioned, Access::Write) => throughput.map(|units| units.write_units),
        (BillingMode::PayPerRequest, Access::Read) => maximum.read_units,
        (BillingMode::PayPerRequest, Access::Write) => maximum.write_units,
    };
    rate.map(|rate| Limit { rate, on_demand })
}

fn table_limit(table: &TableRecord, access: Access, region: &str) -> Option<Limit> {
    let definition = &table.definition;
    let own = definition.overrides.get(region).map(|own| own.read);
    let units = (definition.throughput, definition.on_demand);
    overridden(limit(definition.billing, units.0, units.1, access), own, access)
}

fn index_limit(
    table: &TableRecord,
    index: &IndexRecord,
    access: Access,
    region: &str,
) -> Option<Limit> {
    let definition = &index.definition;
    let own = table.definition.overrides.get(region);
    let own = own.and_then(|own| own.indexes.get(index.name()).copied());
    let units = (definition.throughput, definition.on_demand);
    overridden(limit(table.definition.billing, units.0, units.1, access), own, access)
}

/// The limit of reads that the region has of its own. Which of the two there can be follows from the
/// billing mode.
fn overridden(limit: Option<Limit>, own: Option<ReadOverride>, access: Access) -> Option<Limit> {
    match (own, access) {
        (Some(ReadOverride { provisioned: Some(rate), .. }), Access::Read) => {
            Some(Limit { rate, on_demand: false })
        }
        (Some(ReadOverride { on_demand: Some(rate), .. }), Access::Read) => {
            Some(Limit { rate, on_demand: true })
        }
        (_, Access::Read | Access::Write) => limit,
    }
}

/// What this node holds of one bucket.
struct Held {
    /// May be below zero: owed.
    units: Milli,
    until: rt::Instant,
    /// Until then the bucket is known to be empty.
    paused: Option<rt::Instant>,
}

/// What this node holds of every bucket that its clients use.
#[derive(Default)]
pub struct Meters {
    held: Mutex<HashMap<(TableId, Access), Held>>,
}

/// What to do with a request.
enum Look {
    Pass,
    Refuse,
    /// Ask for so much.
    Ask(Milli),
}

impl Meters {
    fn look(&self, id: TableId, access: Access, limit: Limit) -> Look {
        let mut held = self.held.lock().expect("no holder panics");
        let now = rt::now();
        let fresh = || Held { units: 0, until: now, paused: None };
        let one = held.entry((id, access)).or_insert_with(fresh);
        if one.units > 0 && one.until <= now {
            one.units = 0;
        }
        if one.units > 0 {
            return Look::Pass;
        }
        if one.paused.is_some_and(|until| until > now) {
            return Look::Refuse;
        }
        let ahead = Milli::try_from(limit.rate.saturating_mul(AHEAD_MS)).unwrap_or(Milli::MAX);
        Look::Ask(ahead.max(1000).saturating_sub(one.units))
    }

    /// Takes what the bucket gave; true when there is something to use then.
    fn take(&self, id: TableId, access: Access, given: Milli) -> bool {
        let mut held = self.held.lock().expect("no holder panics");
        let Some(one) = held.get_mut(&(id, access)) else { return true };
        let now = rt::now();
        one.units = one.units.saturating_add(given);
        one.until = now + KEPT;
        one.paused = (one.units <= 0).then(|| now + PAUSE);
        one.units > 0
    }

    fn use_up(&self, id: TableId, access: Access, units: f64) {
        let mut held = self.held.lock().expect("no holder panics");
        if let Some(one) = held.get_mut(&(id, access)) {
            one.units = one.units.saturating_sub(bucket::milli(units));
        }
    }
}

impl Node {
    /// Lets a request on a table, or on a global index of it, through, or refuses it.
    pub async fn admit(
        &self,
        table: &TableRecord,
        index: Option<&IndexRecord>,
        access: Access,
    ) -> Result<(), BackendError> {
        let (id, limit) = match index {
            None => (table.id, table_limit(table, access, &self.options.region)),
            Some(index) => (index.id, index_limit(table, index, access, &self.options.region)),
        };
        let Some(limit) = limit else { return Ok(()) };
        let passes = match self.meters.look(id, access, limit) {
            Look::Pass => true,
            Look::Refuse => false,
            Look::Ask(units) => match self.lease(id, Lease { access, limit, units }).await {
                Some(given) => self.meters.take(id, access, given),
                None => true,
            },
        };
        if passes { Ok(()) } else { Err(self.exceeded(table, index, access, limit)) }
    }

    /// Lets a write through, or refuses it: for the table, or for an index that it may change.
    pub async fn admit_write(&self, table: &TableRecord) -> Result<(), BackendError> {
        self.admit(table, None, Access::Write).await?;
        for index in table.indexes.iter().filter(|index| index.status != IndexStatus::Deleting) {
            self.admit(table, Some(index), Access::Write).await?;
        }
        Ok(())
    }

    /// Lets the parts of a transaction through, or tells of each whether a limit stops it.
    pub async fn stopped(
        &self,
        tables: &[Arc<TableRecord>],
        access: Access,
    ) -> Result<Option<Vec<Option<CancelReason>>>, BackendError> {
        let mut reasons = Vec::with_capacity(tables.len());
        for table in tables {
            let admitted = match access {
                Access::Read => self.admit(table, None, access).await,
                Access::Write => self.admit_write(table).await,
            };
            reasons.push(match admitted {
                Ok(()) => None,
                Err(BackendError::Exceeded(limit)) => Some(CancelReason::Exceeded(limit)),
                Err(error) => return Err(error),
            });
        }
        Ok(reasons.iter().any(Option::is_some).then_some(reasons))
    }

    /// Notes what a request used, which is worked out only where there is a limit.
    pub fn charge(&self, table: &TableRecord, access: Access, used: impl FnOnce() -> Consumed) {
        let is_limited =
            |index: &IndexRecord| index_limit(table, index, access, &self.options.region).is_some();
        if table_limit(table, access, &self.options.region).is_none()
            && !table.indexes.iter().any(is_limited)
        {
            return;
        }
        let used = used();
        if table_limit(table, access, &self.options.region).is_some() {
            let units = used.table + used.local.values().sum::<f64>();
            self.meters.use_up(table.id, access, units);
        }
        for (name, units) in &used.global {
            if let Some(index) = table.index(name)
                && is_limited(index)
            {
                self.meters.use_up(index.id, access, *units);
            }
        }
    }

    /// Asks the bucket; none where it gives no answer.
    async fn lease(&self, id: TableId, lease: Lease) -> Option<Milli> {
        let catalog = self.catalog();
        let first = catalog.partition_at(id, &[])?.id;
        let request = ItemRequest::Lease(lease);
        match self.items.at_partition(id, first, &request).await {
            Ok(ItemAnswer::Leased(given)) => Some(given),
            Ok(_) | Err(_) => None,
        }
    }

    fn exceeded(
        &self,
        table: &TableRecord,
        index: Option<&IndexRecord>,
        access: Access,
        limit: Limit,
    ) -> BackendError {
        let region = &self.options.region;
        let name = table.name.clone();
        let of = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        metrics::counter!("meridian_throttled_total", "table" => name, "access" => of).increment(1);
        let resource = match index {
            None => table_arn(region, &table.name),
            Some(index) => index_arn(region, &table.name, index.name()),
        };
        BackendError::Exceeded(Arc::new(Exceeded {
            resource,
            of_index: index.is_some(),
            of_writes: access == Access::Write,
            on_demand: limit.on_demand,
        }))
    }
}
