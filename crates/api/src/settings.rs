//! The settings that CreateTable and UpdateTable share.

use meridian_control::region::{OnDemandChange, Setting};
use meridian_control::table::{BillingMode, Encryption, StreamView, TableClass, Throughput};
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter};

/// Most units of either kind (AWS: larger values are "out of bounds").
const UNITS_MAX: u64 = 1_000_000_000_000;

/// Takes `BillingMode`.
pub fn billing(fields: &mut Fields) -> Option<BillingMode> {
    billing_member(fields, "BillingMode")
}

/// Takes a billing mode under another name.
pub fn billing_member(fields: &mut Fields, member: &str) -> Option<BillingMode> {
    fields.take_text(member).map(|mode| match mode.as_str() {
        "PAY_PER_REQUEST" => BillingMode::PayPerRequest,
        _ => BillingMode::Provisioned,
    })
}

/// Takes `ProvisionedThroughput`.
pub fn throughput(fields: &mut Fields) -> Result<Option<Throughput>, ApiError> {
    throughput_member(fields, "ProvisionedThroughput")
}

/// Takes provisioned throughput under another name.
pub fn throughput_member(
    fields: &mut Fields,
    member: &str,
) -> Result<Option<Throughput>, ApiError> {
    let Some(mut throughput) = fields.take_fields(member) else { return Ok(None) };
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

/// Takes `TableClass`.
pub fn class(fields: &mut Fields) -> Result<Option<TableClass>, ApiError> {
    class_member(fields, "TableClass")
}

/// Takes a `TableClass` under another name.
pub fn class_member(fields: &mut Fields, member: &str) -> Result<Option<TableClass>, ApiError> {
    match fields.take_text(member).as_deref() {
        None => Ok(None),
        Some("STANDARD") => Ok(Some(TableClass::Standard)),
        Some("STANDARD_INFREQUENT_ACCESS") => Ok(Some(TableClass::StandardInfrequentAccess)),
        Some(_) => Err(invalid(
            "Invalid table-class parameter provided. Please try again with a valid table-class \
             value: [STANDARD, STANDARD_INFREQUENT_ACCESS].",
        )),
    }
}

/// Which operation asks: the service has other words in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// CreateTable.
    Create,
    /// UpdateTable, where -1 takes a limit away.
    Update,
}

/// What a throughput setting is of, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// The table.
    Table,
    /// An index.
    Index(&'a str),
}

/// True for as many units as a limit of throughput can have.
pub fn are_units(units: u64) -> bool {
    (1..=UNITS_MAX).contains(&units)
}

/// Reads `OnDemandThroughput` of a table with this billing mode from now on.
pub fn on_demand(
    asked: Option<Fields>,
    billing: BillingMode,
    asking: Asking,
    of: Of<'_>,
) -> Result<OnDemandChange, ApiError> {
    let Some(mut maximum) = asked else { return Ok(OnDemandChange::default()) };
    let read = maximum.take_number("MaxReadRequestUnits");
    let write = maximum.take_number("MaxWriteRequestUnits");
    let named = [("MaxReadRequestUnits", read), ("MaxWriteRequestUnits", write)];
    if billing == BillingMode::Provisioned
        && let Some((name, _)) = named.iter().find(|(_, units)| units.is_some())
    {
        let table = match asking {
            Asking::Create => "table BillingMode is PROVISIONED.",
            Asking::Update => "the table BillingMode is PROVISIONED",
        };
        let index = match of {
            Of::Table => String::new(),
            Of::Index(index) => format!(" for index: {index}"),
        };
        return Err(invalid_parameter(format!(
            "{name} for OnDemandThroughput{index} cannot be specified when {table}"
        )));
    }
    let [read_units, write_units] = named.map(|(name, units)| match (units, asking) {
        (None, _) => Ok(Setting::Keep),
        (Some(-1), Asking::Update) => Ok(Setting::Unset),
        (Some(units), _) => match u64::try_from(units) {
            Ok(units) if are_units(units) => Ok(Setting::Set(units)),
            Ok(_) | Err(_) => {
                let of = match of {
                    Of::Table => "table".to_owned(),
                    Of::Index(index) => format!("index : {index}"),
                };
                Err(invalid_parameter(format!(
                    "Requested {name} for OnDemandThroughput for {of} is outside of valid range"
                )))
            }
        },
    });
    Ok(OnDemandChange { read_units: read_units?, write_units: write_units? })
}

/// Where the service explains what a new table takes at once.
const INITIAL: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/\
                       on-demand-capacity-mode.html#on-demand-capacity-mode-initial";

/// Reads `WarmThroughput`: a side that is not named keeps what it is.
pub fn warm(
    asked: Option<Fields>,
    current: Throughput,
    billing: BillingMode,
    asking: Asking,
    of: Of<'_>,
) -> Result<Option<Throughput>, ApiError> {
    let Some(mut warm) = asked else { return Ok(None) };
    let of = match of {
        Of::Table => "table".to_owned(),
        Of::Index(index) => format!("index {index}"),
    };
    let too_low = |side: &str| match (asking, billing) {
        (Asking::Update, _) => {
            "current WarmThroughput, decreasing WarmThroughput is not supported".to_owned()
        }
        (Asking::Create, BillingMode::PayPerRequest) => {
            format!("initial throughput for OnDemand. See: {INITIAL}")
        }
        (Asking::Create, BillingMode::Provisioned) => {
            format!("{side}CapacityUnits of ProvisionedThroughput")
        }
    };
    let mut side = |side: &str, current: u64| {
        let name = &format!("{side}UnitsPerSecond");
        match warm.take_number(name) {
            None => Ok(current),
            Some(units) => match u64::try_from(units) {
                Ok(units) if units > UNITS_MAX => {
                    Err(invalid(format!("Given value {units} for {name} is out of bounds")))
                }
                Ok(units) if units >= current => Ok(units),
                Ok(_) | Err(_) => Err(invalid_parameter(format!(
                    "Requested {name} for WarmThroughput for {of} is lower than {}",
                    too_low(side)
                ))),
            },
        }
    };
    let read_units = side("Read", current.read_units)?;
    Ok(Some(Throughput { read_units, write_units: side("Write", current.write_units)? }))
}

/// Takes a structure that means something only when a member of it is there.
pub fn some_of(fields: &mut Fields, name: &str) -> Option<Fields> {
    fields.take_fields(name).filter(|structure| structure.present().next().is_some())
}

/// What a table takes at once where nobody raised it (AWS: warm throughput).
pub fn warm_at_first(billing: BillingMode, throughput: Option<Throughput>) -> Throughput {
    match (billing, throughput) {
        (BillingMode::Provisioned, Some(throughput)) => throughput,
        (BillingMode::PayPerRequest, _) | (BillingMode::Provisioned, None) => {
            Throughput { read_units: 12_000, write_units: 4_000 }
        }
    }
}

/// What a table or an index takes at once, as DescribeTable shows it.
pub fn warm_shown(
    warm: Option<Throughput>,
    billing: BillingMode,
    throughput: Option<Throughput>,
) -> Throughput {
    warm.unwrap_or_else(|| warm_at_first(billing, throughput))
}

/// Takes `SSESpecification`.
pub fn encryption(fields: &mut Fields) -> Result<Setting<Encryption>, ApiError> {
    encryption_member(fields, "SSESpecification")
}

/// Takes an `SSESpecification` under another name.
pub fn encryption_member(
    fields: &mut Fields,
    member: &str,
) -> Result<Setting<Encryption>, ApiError> {
    let Some(mut asked) = fields.take_fields(member) else { return Ok(Setting::Keep) };
    let enabled = asked.take_flag("Enabled");
    let kind = asked.take_text("SSEType");
    let key = asked.take_text("KMSMasterKeyId");
    match (enabled, kind.as_deref()) {
        (_, Some("AES256")) => Err(invalid_parameter("SSEType AES256 is not supported")),
        (Some(false), Some(_)) => {
            Err(invalid_parameter("SSEType can not be specified if Enabled is false"))
        }
        (Some(false), None) if key.is_some() => {
            Err(invalid_parameter("KMSMasterKeyId can not be specified if Enabled is false"))
        }
        (Some(true) | None, None) if key.is_some() => {
            Err(invalid_parameter("SSEType KMS is required if KMSMasterKeyId is specified"))
        }
        (Some(true), _) | (None, Some(_)) => Ok(Setting::Set(Encryption { key })),
        (Some(false) | None, None) => Ok(Setting::Unset),
    }
}

/// `StreamSpecification`: on with a view, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSetting {
    /// The view, when the stream is to be on.
    pub view: Option<StreamView>,
}

/// Takes `StreamSpecification`.
pub fn stream(fields: &mut Fields, asking: Asking) -> Result<Option<StreamSetting>, ApiError> {
    let Some(mut stream) = fields.take_fields("StreamSpecification") else { return Ok(None) };
    let enabled = stream.take_flag("StreamEnabled").unwrap_or(false);
    let view = stream.take_text("StreamViewType").map(|view| match view.as_str() {
        "KEYS_ONLY" => StreamView::KeysOnly,
        "NEW_IMAGE" => StreamView::NewImage,
        "OLD_IMAGE" => StreamView::OldImage,
        _ => StreamView::NewAndOldImages,
    });
    Err(invalid_parameter(match (enabled, view, asking) {
        (true, Some(_), _) | (false, None, _) => return Ok(Some(StreamSetting { view })),
        (true, None, Asking::Create) => {
            "Table is being created with a stream enabled, UpdateViewType is required"
        }
        (true, None, Asking::Update) => {
            "If stream is being enabled then UpdateViewType is required"
        }
        (false, Some(_), Asking::Create) => {
            "Table is being created with a stream disabled, UpdateViewType should not be specified"
        }
        (false, Some(_), Asking::Update) => {
            "If stream is being disabled, then UpdateViewType must not be specified"
        }
    }))
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
