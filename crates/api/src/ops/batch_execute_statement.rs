//! BatchExecuteStatement.
//!
//! # Invariants
//!
//! - Each statement is answered alone, in the order of the request: with an item, with an error, or
//!   with neither.
//! - A batch of reads and writes is refused before anything runs.
//!
//! Tested by `tests/golden/partiql_batch.txt`.

use futures_util::future::join_all;
use meridian_expression::partiql::Statement;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, table_name, write_item};

use crate::backend::Backend;
use crate::capacity::{Consumed, Report};
use crate::errors::invalid;
use crate::partiql::{self, One, Outcome, Plan, Request};

/// Answers BatchExecuteStatement.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let report = Report::take(&mut fields);
    let list = fields.take_list("Statements").unwrap_or_default();
    let requests = list
        .into_iter()
        .map(|node| Request::take(&mut node.into_fields()))
        .collect::<Result<Vec<Request>, ApiError>>()?;
    let members: Vec<Member> = requests.into_iter().map(Member::read).collect();
    check_kinds(&members)?;
    let tables: Vec<Option<String>> = members.iter().map(Member::table).collect();
    let outcomes = join_all(members.into_iter().map(|member| member.run(backend))).await;
    Ok(answer(report, &tables, &outcomes))
}

/// One statement of a batch, as far as it could be read.
struct Member {
    request: Request,
    statement: Result<Statement, ApiError>,
}

impl Member {
    fn read(request: Request) -> Self {
        let statement = request.statement();
        Member { request, statement }
    }

    fn table(&self) -> Option<String> {
        let statement = self.statement.as_ref().ok()?;
        Some(table_name(statement.table()).to_owned())
    }

    async fn run(self, backend: &dyn Backend) -> Result<Outcome, ApiError> {
        let one = match partiql::plan(backend, self.statement?, self.request.old_on_failure)? {
            Plan::One(read) => One::Read(read, self.request.consistency),
            Plan::Write(write) => One::Write(write),
            Plan::Pages(_) => {
                return Err(invalid(
                    "Select statements within BatchExecuteStatement must specify the primary key \
                     in the where clause.",
                ));
            }
        };
        partiql::run_one(backend, one).await
    }
}

fn check_kinds(members: &[Member]) -> Result<(), ApiError> {
    let mut kinds = members.iter().filter_map(|member| member.statement.as_ref().ok());
    let first = kinds.next().map(Statement::reads);
    if kinds.all(|statement| Some(statement.reads()) == first) {
        return Ok(());
    }
    Err(invalid("A batch must consist of read statements only or of write statements only"))
}

fn answer(
    report: Report,
    tables: &[Option<String>],
    outcomes: &[Result<Outcome, ApiError>],
) -> Vec<u8> {
    let mut units: Vec<(String, Consumed)> = Vec::new();
    for outcome in outcomes.iter().flatten() {
        match units.iter_mut().find(|(table, _)| *table == outcome.table) {
            Some((_, sum)) => sum.add(outcome.consumed.clone()),
            None => units.push((outcome.table.clone(), outcome.consumed.clone())),
        }
    }
    let mut out = Vec::with_capacity(256);
    let mut object = Object::open(&mut out);
    report.write_list(&mut object, &units);
    let mut responses = Array::open(object.key("Responses"));
    for (table, outcome) in tables.iter().zip(outcomes) {
        let mut response = Object::open(responses.element());
        match outcome {
            Err(error) => write_error(response.key("Error"), error),
            Ok(Outcome { item: Some(item), .. }) => write_item(response.key("Item"), item),
            Ok(Outcome { item: None, .. }) => {}
        }
        if let Some(table) = table {
            response.text("TableName", table);
        }
        response.close();
    }
    responses.close();
    object.close();
    out
}

fn write_error(out: &mut Vec<u8>, error: &ApiError) {
    let mut object = Object::open(out);
    object.text("Code", code(error));
    if let ApiError::ConditionalCheckFailed(Some(item)) = error {
        write_item(object.key("Item"), item);
    }
    if let Some(message) = error.message() {
        object.text("Message", &message);
    }
    object.close();
}

/// The code of an error within a batch (AWS API reference, `BatchStatementError`).
fn code(error: &ApiError) -> &'static str {
    match error {
        ApiError::Validation(_) => "ValidationError",
        ApiError::ConditionalCheckFailed(_) => "ConditionalCheckFailed",
        ApiError::DuplicateItem(_) => "DuplicateItem",
        ApiError::ResourceNotFound(_) => "ResourceNotFound",
        ApiError::ItemCollectionSizeLimitExceeded(_) => "ItemCollectionSizeLimitExceeded",
        ApiError::RequestLimitExceeded(_) => "RequestLimitExceeded",
        ApiError::ProvisionedThroughputExceeded(..) => "ProvisionedThroughputExceeded",
        ApiError::TransactionConflict(_) => "TransactionConflict",
        ApiError::AccessDenied(_) => "AccessDenied",
        // Surely not applied, to be sent again: the one code that says so.
        ApiError::Throttling(..) | ApiError::ServiceUnavailable(_) => "ThrottlingError",
        _ => "InternalServerError",
    }
}
