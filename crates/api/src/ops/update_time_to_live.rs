//! UpdateTimeToLive.
//!
//! The service lets a table's time to live be changed once an hour; here it may be at any time.
//!
//! Tested by `time_to_live.txt`.

use meridian_control::region::{Setting, TableSettings};
use meridian_control::table::TableStatus;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::{change, in_use, invalid, table_not_found};
use crate::tables;

/// Answers UpdateTimeToLive.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let specification = fields.take_fields("TimeToLiveSpecification");
    let mut specification = specification.ok_or(ApiError::InternalServerError)?;
    let enabled = specification.take_flag("Enabled").unwrap_or(false);
    let attribute = specification.take_text("AttributeName").unwrap_or_default();
    let table = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    match table.status {
        TableStatus::Active | TableStatus::Updating => {}
        status @ (TableStatus::Creating | TableStatus::Deleting) => {
            return Err(in_use(status, &name));
        }
    }
    let ttl = match (&table.definition.ttl, enabled) {
        (Some(_), true) => return Err(invalid("TimeToLive is already enabled")),
        (None, false) => return Err(invalid("TimeToLive is already disabled")),
        (Some(current), false) if *current != attribute => {
            return Err(invalid(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is \
                 {current}"
            )));
        }
        (Some(_), false) => Setting::Unset,
        (None, true) => Setting::Set(attribute.clone()),
    };
    let settings = TableSettings { ttl, ..TableSettings::default() };
    backend.update_table(&name, settings).await.map_err(|error| change(error, &name))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("TimeToLiveSpecification"));
    shown.text("AttributeName", &attribute).flag("Enabled", enabled);
    shown.close();
    answer.close();
    Ok(out)
}
