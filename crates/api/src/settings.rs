//! The settings that CreateTable and UpdateTable share.

use meridian_control::table::{BillingMode, StreamView, Throughput};
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter};

/// Most units of either kind (AWS: larger values are "out of bounds").
const UNITS_MAX: u64 = 1_000_000_000_000;

/// Takes `BillingMode`.
pub fn billing(fields: &mut Fields) -> Option<BillingMode> {
    fields.take_text("BillingMode").map(|mode| match mode.as_str() {
        "PAY_PER_REQUEST" => BillingMode::PayPerRequest,
        _ => BillingMode::Provisioned,
    })
}

/// Takes `ProvisionedThroughput`.
pub fn throughput(fields: &mut Fields) -> Result<Option<Throughput>, ApiError> {
    let Some(mut throughput) = fields.take_fields("ProvisionedThroughput") else { return Ok(None) };
    let read_units = units(&mut throughput, "ReadCapacityUnits")?;
    let write_units = units(&mut throughput, "WriteCapacityUnits")?;
    Ok(Some(Throughput { read_units, write_units }))
}

/// Says that provisioned billing needs throughput.
pub fn throughput_required() -> ApiError {
    invalid_parameter(
        "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is \
         PROVISIONED",
    )
}

/// `StreamSpecification`: on with a view, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSetting {
    /// The view, when the stream is to be on.
    pub view: Option<StreamView>,
}

/// Takes `StreamSpecification`.
pub fn stream(fields: &mut Fields) -> Result<Option<StreamSetting>, ApiError> {
    let Some(mut stream) = fields.take_fields("StreamSpecification") else { return Ok(None) };
    let enabled = stream.take_flag("StreamEnabled").unwrap_or(false);
    let view = stream.take_text("StreamViewType").map(|view| match view.as_str() {
        "KEYS_ONLY" => StreamView::KeysOnly,
        "NEW_IMAGE" => StreamView::NewImage,
        "OLD_IMAGE" => StreamView::OldImage,
        _ => StreamView::NewAndOldImages,
    });
    match (enabled, view) {
        (true, Some(_)) | (false, None) => Ok(Some(StreamSetting { view })),
        (true, None) => {
            Err(invalid_parameter("StreamViewType must be specified when a stream is enabled"))
        }
        (false, Some(_)) => {
            Err(invalid_parameter("StreamViewType cannot be specified when a stream is disabled"))
        }
    }
}

fn units(throughput: &mut Fields, name: &str) -> Result<u64, ApiError> {
    let given = throughput.take_number(name).unwrap_or_default();
    // The constraints keep it at 1 or more.
    let units = u64::try_from(given).unwrap_or_default();
    if units > UNITS_MAX {
        return Err(invalid(format!("Given value {units} for {name} is out of bounds")));
    }
    Ok(units)
}
