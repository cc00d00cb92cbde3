//! UpdateTimeToLive.
//!
//! As on the service, it can be changed again only some time after it was changed (documented: an
//! hour; seen in October 2026: half an hour).
//!
//! Tested by `time_to_live.txt`.

use meridian_control::region::{Setting, TableSettings};
use meridian_control::table::TableStatus;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::{change, invalid, table_not_found};
use crate::tables;

/// How long after a change there is no other, ms.
const AGAIN_MS: u64 = 30 * 60 * 1000;

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
        TableStatus::Creating | TableStatus::Deleting => return Err(table_not_found(&name)),
    }
    let ttl = match (&table.definition.ttl, enabled) {
        (None, false) => return Err(invalid("TimeToLive is already disabled")),
        (Some(current), _) if *current != attribute => {
            return Err(invalid(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is \
                 {current}"
            )));
        }
        (Some(_), true) => return Err(invalid("TimeToLive is already enabled")),
        (Some(_), false) => Setting::Unset,
        (None, true) => Setting::Set(attribute.clone()),
    };
    let since = table.ttl_ms.map(|changed| backend.now_ms().saturating_sub(changed));
    if since.is_some_and(|since| since < AGAIN_MS) {
        return Err(invalid(
            "Time to live has been modified multiple times within a fixed interval",
        ));
    }
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
