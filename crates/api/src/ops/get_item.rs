//! GetItem.

use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Wording, write_item};

use crate::backend::Backend;
use crate::capacity::{Report, read_units};
use crate::errors::{backend as backend_error, key as key_error};
use crate::expressions::{Parameters, unused};
use crate::projection::Wanted;
use crate::{reads, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ProjectionExpression"],
    legacy: &["AttributesToGet"],
    wording: Wording::Current,
};

/// Answers GetItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let mut placeholders = PARAMETERS.placeholders(&mut fields)?;
    let key = fields.take_item("Key").expect("Key is required by the constraints");
    let key = key.checked(PARAMETERS.wording)?;
    let wanted = Wanted::take(&mut fields, &mut placeholders)?;
    unused(&placeholders)?;
    let consistency = reads::consistency(&mut fields);
    let report = Report::take(&mut fields);
    let name = tables::take_name(&mut fields);
    let table = tables::serving(backend, &name)?;
    let schema = &table.definition.key;
    let key = schema.key_exact(&key).map_err(key_error)?;
    wanted.check_keys(schema)?;
    let found = backend.get(&table, key, consistency).await.map_err(backend_error)?;
    let mut out = Vec::with_capacity(256);
    let mut answer = Object::open(&mut out);
    report.write(&mut answer, &table.name, &read_units(found.bytes, consistency).into());
    if let Some(item) = found.item {
        write_item(answer.key("Item"), &wanted.of(item));
    }
    answer.close();
    Ok(out)
}
