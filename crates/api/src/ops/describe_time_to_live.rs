//! DescribeTimeToLive.

use meridian_control::table::TableStatus;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::describe::status_name;
use crate::errors::{invalid, table_not_found};
use crate::tables;

/// Answers DescribeTimeToLive.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let table = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    if let TableStatus::Creating | TableStatus::Deleting = table.status {
        let state = status_name(table.status);
        return Err(invalid(format!(
            "Cannot describe time to live while table is in {state} state: Current table state is \
             {state}"
        )));
    }
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut description = Object::open(answer.key("TimeToLiveDescription"));
    match &table.definition.ttl {
        None => description.text("TimeToLiveStatus", "DISABLED"),
        Some(attribute) => {
            description.text("AttributeName", attribute).text("TimeToLiveStatus", "ENABLED")
        }
    };
    description.close();
    answer.close();
    Ok(out)
}
