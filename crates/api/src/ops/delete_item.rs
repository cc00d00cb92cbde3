//! DeleteItem.

use meridian_expression::{Condition, ExpressionKind};
use meridian_model::Item;
use meridian_partition::{Action, Returns, Write};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Wording, write_item};

use crate::backend::Backend;
use crate::capacity::{Consumed, Report};
use crate::collections::Collections;
use crate::errors::{enveloped, expression, key as key_error};
use crate::expressions::{Parameters, condition, unused};
use crate::writes::{ReturnValues, old_on_failure, write};
use crate::{legacy, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ConditionExpression"],
    legacy: &["Expected"],
    wording: Wording::Current,
};

/// Answers DeleteItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let request = enveloped(Request::take(&mut fields))?;
    let name = tables::take_name(&mut fields);
    let report = Report::take(&mut fields);
    let collections = Collections::take(&mut fields);
    let table = tables::serving(backend, &name)?;
    let schema = &table.definition.key;
    let key = schema.key_exact(&request.key).map_err(key_error)?;
    if let Some(condition) = &request.condition {
        condition.check_keys(schema).map_err(expression)?;
    }
    let partition = key.partition.clone();
    let (condition, returns) = (request.condition, request.returns);
    let delete = Write { key, action: Action::Delete, condition, returns };
    let done = write(backend, &table, delete).await?;
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
    key: Item,
    condition: Option<Condition>,
    returns: Returns,
}

impl Request {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut placeholders = PARAMETERS.placeholders(fields)?;
        let key = fields.take_item("Key").expect("Key is required by the constraints");
        let key = key.checked(PARAMETERS.wording)?;
        let old = ReturnValues::take_old(fields)?;
        let expected = legacy::expected(fields, PARAMETERS.wording)?;
        let condition = condition(fields, ExpressionKind::Condition, &mut placeholders)?;
        let condition = condition.or(expected);
        unused(&placeholders)?;
        let returns = Returns { old, new: false, old_on_failure: old_on_failure(fields) };
        Ok(Request { key, condition, returns })
    }
}
