//! UpdateItem.

use meridian_expression::{Condition, ExpressionKind, Update};
use meridian_model::Item;
use meridian_partition::{Done, Returns, Write};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Wording, write_item};

use crate::backend::Backend;
use crate::capacity::{Consumed, Report};
use crate::collections::Collections;
use crate::errors::{enveloped, expression, key as key_error};
use crate::expressions::{Parameters, condition, unused};
use crate::writes::{ReturnValues, old_on_failure, update_action, write};
use crate::{legacy, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["UpdateExpression", "ConditionExpression"],
    legacy: &["AttributeUpdates", "Expected"],
    wording: Wording::Current,
};

/// Answers UpdateItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let request = enveloped(Request::take(&mut fields))?;
    let name = tables::take_name(&mut fields);
    let report = Report::take(&mut fields);
    let collections = Collections::take(&mut fields);
    let table = tables::serving(backend, &name)?;
    let schema = &table.definition.key;
    let key = schema.key_exact(&request.key).map_err(key_error)?;
    request.update.check_keys(schema).map_err(expression)?;
    if let Some(condition) = &request.condition {
        condition.check_keys(schema).map_err(expression)?;
    }
    let returns = Returns {
        old: matches!(request.values, ReturnValues::AllOld | ReturnValues::UpdatedOld),
        new: matches!(request.values, ReturnValues::AllNew | ReturnValues::UpdatedNew),
        old_on_failure: request.old_on_failure,
    };
    let partition = key.partition.clone();
    let action = update_action(request.update.clone());
    let update = Write { key, action, condition: request.condition, returns };
    let done = write(backend, &table, update).await;
    let done = if request.from_legacy { done.map_err(legacy::reworded)? } else { done? };
    let units = Consumed::of_write(&table, &done);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some(attributes) = attributes(request.values, &request.update, done) {
        write_item(answer.key("Attributes"), &attributes);
    }
    report.write(&mut answer, &table.name, &units);
    collections.write(&mut answer, &table.definition, &partition);
    answer.close();
    Ok(out)
}

/// Picks what `ReturnValues` asks for; nothing at all is not answered.
fn attributes(values: ReturnValues, update: &Update, done: Done) -> Option<Item> {
    let attributes = match values {
        ReturnValues::None => None,
        ReturnValues::AllOld => done.old,
        ReturnValues::AllNew => done.new,
        ReturnValues::UpdatedOld => done.old.map(|item| update.touched(&item)),
        ReturnValues::UpdatedNew => done.new.map(|item| update.touched(&item)),
    };
    attributes.filter(|item| !item.is_empty())
}

struct Request {
    key: Item,
    update: Update,
    /// The update was told by `AttributeUpdates`.
    from_legacy: bool,
    condition: Option<Condition>,
    values: ReturnValues,
    old_on_failure: bool,
}

impl Request {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut placeholders = PARAMETERS.placeholders(fields)?;
        let key = fields.take_item("Key").expect("Key is required by the constraints");
        let key = key.checked(PARAMETERS.wording)?;
        let legacy = legacy::updates(fields, PARAMETERS.wording)?;
        let from_legacy = legacy.is_some();
        let update = match (fields.take_text("UpdateExpression"), legacy) {
            (Some(text), _) => Update::parse(&text, &mut placeholders).map_err(expression)?,
            (None, Some(update)) => update,
            (None, None) => Update::new(Vec::new()).map_err(expression)?,
        };
        let expected = legacy::expected(fields, PARAMETERS.wording)?;
        let condition = condition(fields, ExpressionKind::Condition, &mut placeholders)?;
        let condition = condition.or(expected);
        unused(&placeholders)?;
        let values = ReturnValues::take(fields);
        let old_on_failure = old_on_failure(fields);
        Ok(Request { key, update, from_legacy, condition, values, old_on_failure })
    }
}
