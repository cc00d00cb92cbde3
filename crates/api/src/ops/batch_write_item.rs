//! BatchWriteItem.
//!
//! # Invariants
//!
//! - Everything is checked before anything is written.
//! - Only writes that were surely not applied are answered as unprocessed; where one may have been
//!   applied, the whole request is an InternalServerError, and sending it again does no harm.
//!
//! Tested by the golden transcripts and `tests/batches.rs`.

use std::sync::Arc;

use futures_util::future::join_all;
use meridian_base::limits::{BATCH_WRITE_ITEMS_MAX, ITEM_BYTES_MAX};
use meridian_control::region::TableRecord;
use meridian_model::{Item, Key, KeyError, item_bytes};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, Wording, table_name, write_item};

use crate::backend::{Backend, BackendError};
use crate::capacity::{Consumed, Report};
use crate::collections::Collections;
use crate::errors::{backend as backend_error, invalid, key as key_error};
use crate::{indexes, tables};

/// Answers BatchWriteItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let report = Report::take(&mut fields);
    let collections = Collections::take(&mut fields);
    let requests = requests(&mut fields)?;
    let mut writes = Vec::new();
    for (name, requests) in requests {
        let table = tables::serving(backend, &name)?;
        writes.push(TableWrites::bind(table, requests)?);
    }
    let outcomes = join_all(writes.iter().map(|table| table.run(backend))).await;
    let mut answer = Answer::default();
    for (table, outcomes) in writes.iter().zip(outcomes) {
        answer.add(table, outcomes)?;
    }
    answer.finish(report, collections, &writes)
}

/// One write of a request.
enum Request {
    Put(Item),
    Delete(Item),
}

fn requests(fields: &mut Fields) -> Result<Vec<(String, Vec<Request>)>, ApiError> {
    let tables = fields.take_map("RequestItems").unwrap_or_default();
    let mut requests = Vec::with_capacity(tables.len());
    let mut count = 0;
    for (table, node) in tables {
        let list = node.into_list();
        count += list.len();
        if count > BATCH_WRITE_ITEMS_MAX {
            return Err(invalid("Too many items requested for the BatchWriteItem call"));
        }
        let list = list.into_iter().map(|node| Request::take(node.into_fields()));
        let list = list.collect::<Result<Vec<Request>, ApiError>>()?;
        requests.push((table_name(&table).to_owned(), list));
    }
    Ok(requests)
}

impl Request {
    fn take(mut fields: Fields) -> Result<Self, ApiError> {
        let put = fields.take_fields("PutRequest");
        let delete = fields.take_fields("DeleteRequest");
        match (put, delete) {
            (Some(mut put), None) => {
                let item = put.take_item("Item").expect("Item is required by the constraints");
                let item = item.checked(Wording::Older)?;
                if item_bytes(&item) > ITEM_BYTES_MAX {
                    return Err(invalid("Item size has exceeded the maximum allowed size"));
                }
                Ok(Request::Put(item))
            }
            (None, Some(mut delete)) => {
                let key = delete.take_item("Key").expect("Key is required by the constraints");
                key.checked(Wording::Older).map(Request::Delete)
            }
            // The service words both alike.
            (Some(_), Some(_)) | (None, None) => Err(invalid(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly \
                 one of the supported datatypes",
            )),
        }
    }
}

struct TableWrites {
    table: Arc<TableRecord>,
    writes: Vec<(Key, Action)>,
}

impl TableWrites {
    fn bind(table: Arc<TableRecord>, requests: Vec<Request>) -> Result<Self, ApiError> {
        let schema = &table.definition.key;
        let mut writes: Vec<(Key, Action)> = Vec::with_capacity(requests.len());
        for request in requests {
            let (key, action) = match request {
                Request::Put(item) => (schema.key_of_item(&item), Action::Put(item)),
                Request::Delete(key) => (schema.key_exact(&key), Action::Delete),
            };
            let key = key.map_err(batch_key_error)?;
            if let Action::Put(item) = &action {
                indexes::check_item(&table.definition, item)?;
            }
            if writes.iter().any(|(known, _)| *known == key) {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
            writes.push((key, action));
        }
        Ok(TableWrites { table, writes })
    }

    async fn run(&self, backend: &dyn Backend) -> Vec<Result<WriteOutcome, BackendError>> {
        let writes = self.writes.iter().map(|(key, action)| {
            let (key, action) = (key.clone(), action.clone());
            let write = Write { key, action, condition: None, returns: Returns::default() };
            backend.write(&self.table, write)
        });
        join_all(writes).await
    }
}

/// A put whose key attributes are missing or of another type is told as a key that does not fit.
fn batch_key_error(error: KeyError) -> ApiError {
    key_error(match error {
        KeyError::Missing(_) | KeyError::Mismatch { .. } => KeyError::NotTheSchema,
        KeyError::NotTheSchema
        | KeyError::EmptyString(_)
        | KeyError::EmptyBinary(_)
        | KeyError::PartitionTooLong
        | KeyError::IndexTooLong { .. }
        | KeyError::SortTooLong => error,
    })
}

#[derive(Default)]
struct Answer {
    unprocessed: Vec<(String, Vec<u8>)>,
    units: Vec<(String, Consumed)>,
    applied: usize,
    refused: Option<BackendError>,
}

impl Answer {
    fn add(
        &mut self,
        table: &TableWrites,
        outcomes: Vec<Result<WriteOutcome, BackendError>>,
    ) -> Result<(), ApiError> {
        let (mut left, mut units) = (Vec::new(), Consumed::default());
        for (write, outcome) in table.writes.iter().zip(outcomes) {
            match outcome {
                Ok(WriteOutcome::Done(done)) => {
                    self.applied += 1;
                    units.add(Consumed::of_write(&table.table, &done));
                }
                Ok(WriteOutcome::Refused(refusal)) => return Err(invalid(refusal.to_string())),
                // The client asks again, as for a table that is busy.
                Ok(WriteOutcome::Conflict) => {
                    self.refused = Some(BackendError::Throttled);
                    left.push(write);
                }
                // A batch has no conditions.
                Ok(WriteOutcome::ConditionFailed { .. }) => {
                    return Err(ApiError::InternalServerError);
                }
                Err(
                    error @ (BackendError::Throttled
                    | BackendError::Exceeded(_)
                    | BackendError::NoRoom
                    | BackendError::Unavailable { maybe_applied: false }),
                ) => {
                    self.refused = Some(error);
                    left.push(write);
                }
                Err(
                    error @ (BackendError::Unavailable { maybe_applied: true }
                    | BackendError::Timeout
                    | BackendError::Internal
                    | BackendError::ResourceNotFound),
                ) => return Err(backend_error(error)),
            }
        }
        let name = table.table.name.clone();
        if !left.is_empty() {
            self.unprocessed.push((name.clone(), table.again(&left)));
        }
        self.units.push((name, units));
        Ok(())
    }

    /// When nothing at all was written, the request was refused as a whole.
    fn finish(
        self,
        report: Report,
        collections: Collections,
        writes: &[TableWrites],
    ) -> Result<Vec<u8>, ApiError> {
        if let Some(error) = self.refused.filter(|_| self.applied == 0) {
            return Err(backend_error(error));
        }
        let mut out = Vec::new();
        let mut answer = Object::open(&mut out);
        report.write_list(&mut answer, &self.units);
        let touched = writes.iter().map(|one| {
            let partitions = one.writes.iter().map(|(key, _)| &key.partition).collect();
            (&one.table.definition, one.table.name.as_str(), partitions)
        });
        collections.write_map(&mut answer, touched);
        let mut unprocessed = Object::open(answer.key("UnprocessedItems"));
        for (table, writes) in &self.unprocessed {
            unprocessed.key(table).extend_from_slice(writes);
        }
        unprocessed.close();
        answer.close();
        Ok(out)
    }
}

impl TableWrites {
    /// Writes the requests that are left.
    fn again(&self, writes: &[&(Key, Action)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut list = Array::open(&mut out);
        for (key, action) in writes {
            let mut request = Object::open(list.element());
            let (member, part, item) = match action {
                Action::Put(item) => ("PutRequest", "Item", item.clone()),
                Action::Delete | Action::Update(_) | Action::UpdateExisting(_) | Action::Check => {
                    ("DeleteRequest", "Key", key.to_item(&self.table.definition.key))
                }
            };
            let mut inner = Object::open(request.key(member));
            write_item(inner.key(part), &item);
            inner.close();
            request.close();
        }
        list.close();
        out
    }
}
