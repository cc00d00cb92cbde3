//! What an account may ask of one table: the service's default quotas, which DescribeLimits shows.
//!
//! They come after everything that can be wrong with a request itself. What all tables of an account
//! have together is not counted.
//!
//! Tested by `tests/quotas.rs`: the texts name the region.

use meridian_control::table::{OnDemandMaximum, TableDefinition, Throughput};
use meridian_wire::ApiError;

use crate::settings::Of;

/// Units per second of an account (AWS: Service quotas, default).
pub const ACCOUNT_UNITS: u64 = 80_000;
/// Units per second of a table, or of an index (AWS: Service quotas, default).
pub const TABLE_UNITS: u64 = 40_000;

/// The throughput that a request asks of a table or of an index.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// `ProvisionedThroughput`.
    pub throughput: Option<Throughput>,
    /// `OnDemandThroughput`.
    pub on_demand: OnDemandMaximum,
    /// `WarmThroughput`.
    pub warm: Option<Throughput>,
}

/// Refuses a new table with more throughput than a table may have.
pub fn check_new(definition: &TableDefinition, region: &str) -> Result<(), ApiError> {
    let TableDefinition { throughput, on_demand, warm, .. } = definition;
    let table = Asked { throughput: *throughput, on_demand: *on_demand, warm: *warm };
    check(&table, Of::Table, region)?;
    definition.global_indexes.iter().try_for_each(|one| {
        let (throughput, on_demand, warm) = (one.throughput, one.on_demand, one.warm);
        check(&Asked { throughput, on_demand, warm }, Of::Index(&one.index.name), region)
    })
}

/// Refuses more than a table, or an index, may have.
pub fn check(asked: &Asked, of: Of<'_>, region: &str) -> Result<(), ApiError> {
    let is_over = |units: Option<u64>| units.filter(|units| *units > TABLE_UNITS);
    let (read, write) = sides(asked.throughput);
    for (side, units) in [("Read", is_over(read)), ("Write", is_over(write))] {
        if let Some(units) = units {
            return Err(above_provisioned(side, units, of, region));
        }
    }
    let OnDemandMaximum { read_units, write_units } = asked.on_demand;
    let (warm_read, warm_write) = sides(asked.warm);
    for (side, name, setting, units) in [
        ("Read", "MaxReadRequestUnits", "OnDemandThroughput", read_units),
        ("Write", "MaxWriteRequestUnits", "OnDemandThroughput", write_units),
        ("Read", "ReadUnitsPerSecond", "WarmThroughput", warm_read),
        ("Write", "WriteUnitsPerSecond", "WarmThroughput", warm_write),
    ] {
        if is_over(units).is_none() {
            continue;
        }
        let of = match (of, setting) {
            (Of::Table, _) => "table".to_owned(),
            (Of::Index(index), "OnDemandThroughput") => format!("index : {index}"),
            (Of::Index(index), _) => format!("index {index}"),
        };
        return Err(ApiError::LimitExceeded(format!(
            "Subscriber limit exceeded: Requested {name} for {setting} for {of} exceeds \
             TableMax{side}CapacityUnits of the account in region {region}"
        )));
    }
    Ok(())
}

fn sides(throughput: Option<Throughput>) -> (Option<u64>, Option<u64>) {
    (throughput.map(|both| both.read_units), throughput.map(|both| both.write_units))
}

fn above_provisioned(side: &str, units: u64, of: Of<'_>, region: &str) -> ApiError {
    let (index, kind) = match of {
        Of::Table => (String::new(), "table"),
        Of::Index(index) => (format!(" for index {index}"), "index"),
    };
    ApiError::LimitExceeded(format!(
        "The requested {side}CapacityUnits{index}, {units}, is above the per {kind} maximum for the \
         account in {region}. Per {kind} maximum: {TABLE_UNITS}. Refer to the Amazon DynamoDB \
         Developer Guide for current limits and how to request higher limits."
    ))
}
