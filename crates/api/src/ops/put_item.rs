//! PutItem.

use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_expression::{Condition, ExpressionKind};
use meridian_model::{Item, item_bytes};
use meridian_partition::{Action, Returns, Write};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Wording, write_item};

use crate::backend::Backend;
use crate::capacity::{Consumed, Report};
use crate::collections::Collections;
use crate::errors::{enveloped, expression, invalid, key as key_error};
use crate::expressions::{Parameters, condition, unused};
use crate::writes::{ReturnValues, old_on_failure, write};
use crate::{indexes, legacy, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ConditionExpression"],
    legacy: &["Expected"],
    wording: Wording::Current,
};

/// Answers PutItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let request = enveloped(Request::take(&mut fields))?;
    let name = tables::take_name(&mut fields);
    let report = Report::take(&mut fields);
    let collections = Collections::take(&mut fields);
    let table = tables::serving(backend, &name)?;
    let schema = &table.definition.key;
    let key = schema.key_of_item(&request.item).map_err(key_error)?;
    if let Some(condition) = &request.condition {
        condition.check_keys(schema).map_err(expression)?;
    }
    indexes::check_item(&table.definition, &request.item)?;
    let partition = key.partition.clone();
    let action = Action::Put(request.item);
    let put = Write { key, action, condition: request.condition, returns: request.returns };
    let done = write(backend, &table, put).await?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some(old) = &done.old {
        write_item(answer.key("Attributes"), old);
    }
    report.write(&mut answer, &table.name, &Consumed::of_write(&table, &done));
    collections.write(&mut answer, &table.definition, &partition);
    answer.close();
    Ok(out)
}

struct Request {
    item: Item,
    condition: Option<Condition>,
    returns: Returns,
}

impl Request {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut placeholders = PARAMETERS.placeholders(fields)?;
        let item = fields.take_item("Item").expect("Item is required by the constraints");
        let item = item.checked(PARAMETERS.wording)?;
        let old = ReturnValues::take_old(fields)?;
        if item_bytes(&item) > ITEM_BYTES_MAX {
            return Err(invalid("Item size has exceeded the maximum allowed size"));
        }
        let expected = legacy::expected(fields, PARAMETERS.wording)?;
        let condition = condition(fields, ExpressionKind::Condition, &mut placeholders)?;
        let condition = condition.or(expected);
        unused(&placeholders)?;
        let returns = Returns { old, new: false, old_on_failure: old_on_failure(fields) };
        Ok(Request { item, condition, returns })
    }
}
