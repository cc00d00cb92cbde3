//! BatchGetItem.
//!
//! # Invariants
//!
//! - A key is answered in `Responses` (or not, when there is no item) or in `UnprocessedKeys`.
//! - The items answered stay within 16 MB; what would go over is unprocessed.
//!
//! Tested by the golden transcripts and `tests/batches.rs`.

use std::sync::Arc;

use futures_util::future::join_all;
use meridian_base::limits::{BATCH_BYTES_MAX, BATCH_GET_KEYS_MAX};
use meridian_control::region::TableRecord;
use meridian_model::{Item, Key};
use meridian_partition::GetOutcome;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, Node, Wording, table_name, write_item};

use crate::backend::{Backend, BackendError, Consistency};
use crate::capacity::{Consumed, Report, read_units};
use crate::errors::{backend as backend_error, invalid, key as key_error};
use crate::expressions::{Parameters, unused};
use crate::projection::Wanted;
use crate::{reads, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ProjectionExpression"],
    legacy: &["AttributesToGet"],
    wording: Wording::Current,
};

/// Answers BatchGetItem.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let report = Report::take(&mut fields);
    let requests = requests(&mut fields)?;
    let mut reads = Vec::with_capacity(requests.len());
    for request in requests {
        reads.push(request.bind(backend)?);
    }
    let found = join_all(reads.iter().map(|read| read.run(backend))).await;
    let mut answer = Answer::default();
    for (read, found) in reads.iter().zip(found) {
        answer.add(read, found)?;
    }
    answer.finish(report)
}

/// What is asked of one table.
struct Request {
    name: String,
    echo: Echo,
    keys: Vec<Item>,
    wanted: Wanted,
    consistency: Consistency,
}

/// What a client sends again with unprocessed keys.
#[derive(Clone)]
struct Echo {
    projection: Option<String>,
    names: Vec<(String, String)>,
    attributes: Vec<String>,
}

fn requests(fields: &mut Fields) -> Result<Vec<Request>, ApiError> {
    let tables = fields.take_map("RequestItems").unwrap_or_default();
    let mut requests = Vec::with_capacity(tables.len());
    let mut count = 0;
    for (table, node) in tables {
        let request = Request::take(&table, node.into_fields())?;
        count += request.keys.len();
        if count > BATCH_GET_KEYS_MAX {
            return Err(invalid("Too many items requested for the BatchGetItem call"));
        }
        requests.push(request);
    }
    Ok(requests)
}

impl Request {
    fn take(table: &str, mut fields: Fields) -> Result<Self, ApiError> {
        let echo = Echo::of(&fields);
        let mut placeholders = PARAMETERS.placeholders(&mut fields)?;
        let keys = fields.take_list("Keys").unwrap_or_default();
        let keys = keys
            .into_iter()
            .map(|key| key.into_item().checked(PARAMETERS.wording))
            .collect::<Result<Vec<Item>, ApiError>>()?;
        if (0..keys.len()).any(|at| keys[..at].contains(&keys[at])) {
            return Err(invalid("Provided list of item keys contains duplicates"));
        }
        let wanted = Wanted::take(&mut fields, &mut placeholders)?;
        unused(&placeholders)?;
        let consistency = reads::consistency(&mut fields);
        Ok(Request { name: table_name(table).to_owned(), echo, keys, wanted, consistency })
    }

    fn bind(self, backend: &dyn Backend) -> Result<TableRead, ApiError> {
        let table = tables::serving(backend, &self.name)?;
        let schema = &table.definition.key;
        self.wanted.check_keys(schema)?;
        let keys = self.keys.iter().map(|key| schema.key_exact(key).map_err(key_error));
        let keys = keys.collect::<Result<Vec<Key>, ApiError>>()?;
        let Request { echo, wanted, consistency, .. } = self;
        Ok(TableRead { table, echo, keys, wanted, consistency })
    }
}

impl Echo {
    fn of(fields: &Fields) -> Self {
        let text = |node: &Node| node.clone().into_text();
        let projection = fields.get("ProjectionExpression").map(text);
        let names = match fields.get("ExpressionAttributeNames") {
            Some(Node::Map(names)) => {
                names.iter().map(|(key, name)| (key.clone(), text(name))).collect()
            }
            _ => Vec::new(),
        };
        let attributes = match fields.get("AttributesToGet") {
            Some(Node::List(names)) => names.iter().map(text).collect(),
            _ => Vec::new(),
        };
        Echo { projection, names, attributes }
    }
}

struct TableRead {
    table: Arc<TableRecord>,
    echo: Echo,
    keys: Vec<Key>,
    wanted: Wanted,
    consistency: Consistency,
}

impl TableRead {
    async fn run(&self, backend: &dyn Backend) -> Vec<Result<GetOutcome, BackendError>> {
        let gets =
            self.keys.iter().map(|key| backend.get(&self.table, key.clone(), self.consistency));
        join_all(gets).await
    }
}

#[derive(Default)]
struct Answer {
    responses: Vec<(String, Vec<Item>)>,
    unprocessed: Vec<(String, Vec<u8>)>,
    units: Vec<(String, Consumed)>,
    bytes: usize,
    answered: usize,
    failed: Option<BackendError>,
}

impl Answer {
    fn add(
        &mut self,
        read: &TableRead,
        found: Vec<Result<GetOutcome, BackendError>>,
    ) -> Result<(), ApiError> {
        let (mut items, mut left, mut units) = (Vec::new(), Vec::new(), 0.0);
        for (key, found) in read.keys.iter().zip(found) {
            match found {
                Ok(found) if self.bytes + found.bytes <= BATCH_BYTES_MAX => {
                    self.bytes += found.bytes;
                    self.answered += 1;
                    units += read_units(found.bytes, read.consistency);
                    items.extend(found.item.map(|item| read.wanted.of(item)));
                }
                Ok(_) => left.push(key),
                Err(error @ (BackendError::ResourceNotFound | BackendError::Internal)) => {
                    return Err(backend_error(error));
                }
                Err(
                    error @ (BackendError::Throttled
                    | BackendError::Exceeded(_)
                    | BackendError::Timeout
                    | BackendError::NoRoom
                    | BackendError::Unavailable { .. }),
                ) => {
                    self.failed = Some(error);
                    left.push(key);
                }
            }
        }
        let name = read.table.name.clone();
        if !left.is_empty() {
            self.unprocessed.push((name.clone(), read.again(&left)));
        }
        self.responses.push((name.clone(), items));
        self.units.push((name, units.into()));
        Ok(())
    }

    /// When nothing at all could be read, the request failed as a whole.
    fn finish(self, report: Report) -> Result<Vec<u8>, ApiError> {
        if let Some(error) = self.failed.filter(|_| self.answered == 0) {
            return Err(backend_error(error));
        }
        let mut out = Vec::with_capacity(self.bytes + 256);
        let mut answer = Object::open(&mut out);
        report.write_list(&mut answer, &self.units);
        let mut responses = Object::open(answer.key("Responses"));
        for (table, items) in &self.responses {
            let mut list = Array::open(responses.key(table));
            for item in items {
                write_item(list.element(), item);
            }
            list.close();
        }
        responses.close();
        let mut unprocessed = Object::open(answer.key("UnprocessedKeys"));
        for (table, keys) in &self.unprocessed {
            unprocessed.key(table).extend_from_slice(keys);
        }
        unprocessed.close();
        answer.close();
        Ok(out)
    }
}

impl TableRead {
    /// Writes the request for the keys that are left.
    fn again(&self, keys: &[&Key]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        if !self.echo.attributes.is_empty() {
            let mut list = Array::open(object.key("AttributesToGet"));
            for name in &self.echo.attributes {
                meridian_wire::json::string(list.element(), name);
            }
            list.close();
        }
        if self.consistency == Consistency::Strong {
            object.flag("ConsistentRead", true);
        }
        if !self.echo.names.is_empty() {
            let mut names = Object::open(object.key("ExpressionAttributeNames"));
            for (key, name) in &self.echo.names {
                names.text(key, name);
            }
            names.close();
        }
        let mut list = Array::open(object.key("Keys"));
        for key in keys {
            write_item(list.element(), &key.to_item(&self.table.definition.key));
        }
        list.close();
        if let Some(projection) = &self.echo.projection {
            object.text("ProjectionExpression", projection);
        }
        object.close();
        out
    }
}
