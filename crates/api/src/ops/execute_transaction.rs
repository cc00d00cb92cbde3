//! ExecuteTransaction.
//!
//! Tested by `partiql_transactions.txt`.

use std::sync::Arc;

use meridian_expression::partiql::Statement;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, write_item};

use crate::backend::{Backend, Consistency};
use crate::capacity::{Consumed, Report, Units, read_units};
use crate::errors::invalid;
use crate::partiql::{self, OneRead, OneWrite, Plan, Request};
use crate::transact::{TransactGetOutcome, TransactToken, TransactWrite};
use crate::transactions::{self, Written};

/// Answers ExecuteTransaction.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let token = transactions::take_token(&mut fields, "TransactStatements");
    let report = Report::take(&mut fields);
    let list = fields.take_list("TransactStatements").unwrap_or_default();
    let mut members = Vec::with_capacity(list.len());
    for node in list {
        let request = Request::take(&mut node.into_fields())?;
        members.push((request.member()?, request.old_on_failure));
    }
    check_kinds(&members)?;
    let plans = members
        .into_iter()
        .map(|(statement, old_on_failure)| partiql::plan(backend, statement, old_on_failure));
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for plan in transactions::all_refused(plans)? {
        match plan {
            Plan::One(read) => reads.push(read),
            Plan::Write(write) => writes.push(write),
            Plan::Pages(_) => {
                return Err(invalid(
                    "Select statements within ExecuteTransaction must specify the primary key in \
                     the where clause.",
                ));
            }
        }
    }
    if writes.is_empty() {
        read(backend, reads, report).await
    } else {
        write(backend, writes, report, token).await
    }
}

fn check_kinds(members: &[(Statement, bool)]) -> Result<(), ApiError> {
    let first = members.first().map(|(statement, _)| statement.reads());
    if members.iter().all(|(statement, _)| Some(statement.reads()) == first) {
        return Ok(());
    }
    Err(invalid(
        "The entire transaction must consist of either read statements or write statements. You \
         cannot mix both in one transaction.",
    ))
}

async fn read(
    backend: &dyn Backend,
    reads: Vec<OneRead>,
    report: Report,
) -> Result<Vec<u8>, ApiError> {
    transactions::check_distinct(reads.iter().map(|one| (&one.table, &one.key)))?;
    let asked = reads.iter().map(|one| (Arc::clone(&one.table), one.key.clone())).collect();
    let outcome = backend.transact_get(asked).await.map_err(transactions::failed)?;
    let found = match outcome {
        TransactGetOutcome::Items(found) => found,
        TransactGetOutcome::Cancelled(reasons) => {
            return Err(transactions::cancelled(reasons, &[]));
        }
    };
    let parts = reads.iter().zip(&found).map(|(one, found)| {
        (one.table.as_ref(), Consumed::from(read_units(found.bytes, Consistency::Strong)))
    });
    let costs = transactions::costs(parts);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    report.write_list_of(&mut answer, &costs, Units::Read);
    let mut responses = Array::open(answer.key("Responses"));
    for (one, found) in reads.into_iter().zip(found) {
        let mut response = Object::open(responses.element());
        let shown = found.item.filter(|item| one.filter.as_ref().is_none_or(|f| f.matches(item)));
        if let Some(item) = shown {
            write_item(response.key("Item"), &one.columns.of(item));
        }
        response.close();
    }
    responses.close();
    answer.close();
    Ok(out)
}

async fn write(
    backend: &dyn Backend,
    writes: Vec<OneWrite>,
    report: Report,
    token: Option<TransactToken>,
) -> Result<Vec<u8>, ApiError> {
    if writes.iter().any(|one| one.returning.is_some()) {
        return Err(invalid("RETURNING is not supported in ExecuteTransaction"));
    }
    transactions::check_distinct(writes.iter().map(|one| (&one.table, &one.write.key)))?;
    let inserts: Vec<bool> = writes.iter().map(|one| one.inserts).collect();
    let tables: Vec<_> = writes.iter().map(|one| Arc::clone(&one.table)).collect();
    let asked = writes.into_iter().map(|one| TransactWrite { table: one.table, write: one.write });
    let written = transactions::write(backend, asked.collect(), &inserts, token).await?;
    let (units, costs) = match written {
        Written::Now(done) => {
            let parts = tables.iter().zip(&done);
            let parts =
                parts.map(|(table, done)| (table.as_ref(), Consumed::of_write(table, done)));
            (Units::Write, transactions::costs(parts))
        }
        Written::Before => {
            let units = || Consumed::from(read_units(0, Consistency::Strong));
            let parts = tables.iter().map(|table| (table.as_ref(), units()));
            (Units::Read, transactions::costs(parts))
        }
    };
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    report.write_list_of(&mut answer, &costs, units);
    let mut responses = Array::open(answer.key("Responses"));
    for _ in tables {
        Object::open(responses.element()).close();
    }
    responses.close();
    answer.close();
    Ok(out)
}
