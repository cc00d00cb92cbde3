//! Tests of whole operations over a backend in memory.

mod backups;
mod batches;
mod busy;
mod compatibility;
mod errors;
mod golden;
mod indexes;
mod jobs;
pub(crate) mod memory;
mod memory_jobs;
mod pace;
mod quotas;
mod replicas;
mod scaling;

use crate::{RequestContext, handle};
use memory::Memory;
use meridian_wire::{ApiError, Operation};

fn context() -> RequestContext {
    RequestContext { region: "eu-test-1".to_owned(), endpoint: "localhost:8000".to_owned() }
}

/// Answers one request.
pub(crate) async fn ask(
    memory: &Memory,
    operation: Operation,
    body: &str,
) -> Result<String, ApiError> {
    let answer = handle(memory, &context(), &operation.target(), body.as_bytes()).await?;
    Ok(String::from_utf8(answer).expect("answers are JSON"))
}

/// Makes a table with a string partition key `a`.
async fn make_table(memory: &Memory, name: &str) {
    let body = format!(
        r#"{{"TableName":"{name}","BillingMode":"PAY_PER_REQUEST",
            "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}]}}"#
    );
    ask(memory, Operation::CreateTable, &body).await.expect("the table is made");
}
