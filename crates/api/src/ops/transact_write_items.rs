//! TransactWriteItems.
//!
//! Tested by `transact_write.txt`.

use std::sync::Arc;

use meridian_base::limits::{ITEM_BYTES_MAX, TRANSACTION_BYTES_MAX};
use meridian_control::region::TableRecord;
use meridian_expression::{Condition, ExpressionKind, Update};
use meridian_model::{Item, item_bytes};
use meridian_partition::{Action, Returns, Write};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Wording};

use crate::backend::{Backend, Consistency};
use crate::capacity::{Consumed, Report, Units, read_units};
use crate::collections::Collections;
use crate::errors::{WriteFault, expression, invalid};
use crate::expressions::{Parameters, condition, unused};
use crate::transact::TransactWrite;
use crate::transactions::{self, Written};
use crate::writes::{old_on_failure, update_action};
use crate::{indexes, tables};

const CONDITION: Parameters =
    Parameters { expressions: &["ConditionExpression"], legacy: &[], wording: Wording::Current };
const UPDATE: Parameters = Parameters {
    expressions: &["UpdateExpression", "ConditionExpression"],
    legacy: &[],
    wording: Wording::Current,
};

/// Answers TransactWriteItems.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let token = transactions::take_token(&mut fields, "TransactItems");
    let (report, collections) = (Report::take(&mut fields), Collections::take(&mut fields));
    let list = fields.take_list("TransactItems").unwrap_or_default();
    let stated = list.into_iter().map(|node| Stated::take(node.into_fields()));
    let stated = stated.collect::<Result<Vec<Stated>, ApiError>>()?;
    let writes = transactions::first_refused(stated.into_iter().map(|one| one.bind(backend)))?;
    transactions::check_distinct(writes.iter().map(|one| (&one.table, &one.write.key)))?;
    check_size(&writes)?;
    let told: Vec<(Arc<TableRecord>, Write)> =
        writes.iter().map(|one| (Arc::clone(&one.table), one.write.clone())).collect();
    let written = transactions::write(backend, writes, &[], token).await?;
    let (units, costs) = match written {
        Written::Now(done) => {
            let parts = told.iter().zip(&done);
            let parts =
                parts.map(|((table, _), done)| (table.as_ref(), Consumed::of_write(table, done)));
            (Units::Write, transactions::costs(parts))
        }
        // What was done before is read again.
        Written::Before => {
            let read = |(table, _): &'_ (Arc<TableRecord>, Write)| {
                (Arc::clone(table), Consumed::from(read_units(0, Consistency::Strong)))
            };
            let parts: Vec<(Arc<TableRecord>, Consumed)> = told.iter().map(read).collect();
            let parts = parts.iter().map(|(table, units)| (table.as_ref(), units.clone()));
            (Units::Read, transactions::costs(parts))
        }
    };
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    report.write_list_of(&mut answer, &costs, units);
    let mut by_table: Vec<(&TableRecord, Vec<&meridian_model::AttributeValue>)> = Vec::new();
    for (table, write) in told.iter().filter(|(_, write)| write.action != Action::Check) {
        match by_table.iter_mut().find(|(known, _)| known.id == table.id) {
            Some((_, keys)) => keys.push(&write.key.partition),
            None => by_table.push((table, vec![&write.key.partition])),
        }
    }
    let by_table =
        by_table.into_iter().map(|(table, keys)| (&table.definition, table.name.as_str(), keys));
    collections.write_map(&mut answer, by_table);
    answer.close();
    Ok(out)
}

/// An action as the request states it.
struct Stated {
    table: String,
    what: What,
    condition: Option<Condition>,
    returns: Returns,
}

enum What {
    Check(Item),
    Put(Item),
    Delete(Item),
    Update(Item, Update),
}

impl Stated {
    fn take(mut fields: Fields) -> Result<Self, ApiError> {
        let check = fields.take_fields("ConditionCheck");
        let put = fields.take_fields("Put");
        let delete = fields.take_fields("Delete");
        match (check, put, delete, fields.take_fields("Update")) {
            (Some(check), None, None, None) => Stated::keyed(check, What::Check),
            (None, None, Some(delete), None) => Stated::keyed(delete, What::Delete),
            (None, Some(put), None, None) => Stated::put(put),
            (None, None, None, Some(update)) => Stated::update(update),
            (None, None, None, None) => Err(invalid(
                "Invalid Request: TransactWriteRequest should contain Delete or Put or Update \
                 request",
            )),
            _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }

    fn of(mut fields: Fields, what: What, condition: Option<Condition>) -> Self {
        let old_on_failure = old_on_failure(&mut fields);
        let returns = Returns { old_on_failure, ..Returns::default() };
        Stated { table: tables::take_name(&mut fields), what, condition, returns }
    }

    fn keyed(mut fields: Fields, what: fn(Item) -> What) -> Result<Self, ApiError> {
        let mut placeholders = CONDITION.placeholders(&mut fields)?;
        let key = take_key(&mut fields)?;
        let condition = condition(&mut fields, ExpressionKind::Condition, &mut placeholders)?;
        unused(&placeholders)?;
        Ok(Stated::of(fields, what(key), condition))
    }

    fn put(mut fields: Fields) -> Result<Self, ApiError> {
        let mut placeholders = CONDITION.placeholders(&mut fields)?;
        let item = fields.take_item("Item").ok_or(ApiError::InternalServerError)?;
        let item = item.checked(CONDITION.wording)?;
        if item_bytes(&item) > ITEM_BYTES_MAX {
            return Err(invalid("Item size has exceeded the maximum allowed size"));
        }
        let condition = condition(&mut fields, ExpressionKind::Condition, &mut placeholders)?;
        unused(&placeholders)?;
        Ok(Stated::of(fields, What::Put(item), condition))
    }

    fn update(mut fields: Fields) -> Result<Self, ApiError> {
        let mut placeholders = UPDATE.placeholders(&mut fields)?;
        let key = take_key(&mut fields)?;
        let text = fields.take_text("UpdateExpression").unwrap_or_default();
        let update = Update::parse(&text, &mut placeholders).map_err(expression)?;
        let condition = condition(&mut fields, ExpressionKind::Condition, &mut placeholders)?;
        unused(&placeholders)?;
        Ok(Stated::of(fields, What::Update(key, update), condition))
    }

    /// Checks it against its table.
    fn bind(self, backend: &dyn Backend) -> Result<TransactWrite, WriteFault> {
        let table = tables::serving(backend, &self.table)?;
        let schema = &table.definition.key;
        if let Some(condition) = &self.condition {
            condition.check_keys(schema).map_err(expression)?;
        }
        let (key, action) = match self.what {
            What::Check(key) => (schema.key_exact(&key)?, Action::Check),
            What::Delete(key) => (schema.key_exact(&key)?, Action::Delete),
            What::Put(item) => {
                let key = schema.key_of_item(&item)?;
                indexes::check_item(&table.definition, &item)?;
                (key, Action::Put(item))
            }
            What::Update(key, update) => {
                let key = schema.key_exact(&key)?;
                update.check_keys(schema).map_err(expression)?;
                (key, update_action(update))
            }
        };
        let write = Write { key, action, condition: self.condition, returns: self.returns };
        Ok(TransactWrite { table, write })
    }
}

fn take_key(fields: &mut Fields) -> Result<Item, ApiError> {
    let key = fields.take_item("Key").ok_or(ApiError::InternalServerError)?;
    key.checked(CONDITION.wording)
}

/// Refuses a transaction whose items are too large together, as far as the request tells.
fn check_size(writes: &[TransactWrite]) -> Result<(), ApiError> {
    let bytes = |one: &TransactWrite| match &one.write.action {
        Action::Put(item) => item_bytes(item),
        Action::Update(_) | Action::UpdateExisting(_) | Action::Delete | Action::Check => 0,
    };
    if writes.iter().map(bytes).sum::<usize>() > TRANSACTION_BYTES_MAX {
        return Err(invalid(
            "Transaction request size exceeded: the aggregate size of the items in the \
             transaction cannot exceed 4 MB",
        ));
    }
    Ok(())
}
