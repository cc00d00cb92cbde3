//! What a client is told when the backend fails.

use meridian_wire::{ApiError, Fault, Operation, Retry};

use super::memory::Memory;
use super::{ask, make_table};
use crate::BackendError;

async fn refused(operation: Operation, error: BackendError) -> ApiError {
    let memory = Memory::default();
    make_table(&memory, "errors").await;
    memory.fail("x", error);
    let body = match operation {
        Operation::PutItem => r#"{"TableName":"errors","Item":{"a":{"S":"x"}}}"#,
        _ => r#"{"TableName":"errors","Key":{"a":{"S":"x"}}}"#,
    };
    ask(&memory, operation, body).await.expect_err("the backend fails")
}

#[tokio::test]
async fn an_unknown_outcome_is_a_server_error_that_says_so() {
    use Operation::{DeleteItem, GetItem, PutItem, UpdateItem};
    for operation in [PutItem, UpdateItem, DeleteItem, GetItem] {
        for error in [
            BackendError::Timeout,
            BackendError::Internal,
            BackendError::Unavailable { maybe_applied: true },
        ] {
            let row = refused(operation, error).await.row();
            assert_eq!((row.name, row.fault), ("InternalServerError", Fault::Server));
            assert_eq!(row.retry, Retry::Unknown);
        }
    }
}

#[tokio::test]
async fn what_was_not_applied_can_be_sent_again() {
    for (error, name) in [
        (BackendError::Unavailable { maybe_applied: false }, "ServiceUnavailableException"),
        (BackendError::Throttled, "ProvisionedThroughputExceededException"),
    ] {
        let row = refused(Operation::PutItem, error).await.row();
        assert_eq!((row.name, row.retry), (name, Retry::Later));
    }
    let gone = refused(Operation::PutItem, BackendError::ResourceNotFound).await;
    assert_eq!(gone, ApiError::ResourceNotFound("Requested resource not found".into()));
}

#[tokio::test]
async fn arbitrary_bodies_are_refused_by_the_client() {
    let memory = Memory::default();
    make_table(&memory, "errors").await;
    for operation in Operation::ALL {
        for body in
            ["", "x", "[]", "null", "{", "{\"TableName\":{}}", "{\"TableName\":\"\\ud800\"}"]
        {
            if let Err(error) = ask(&memory, operation, body).await {
                assert_eq!(error.row().fault, Fault::Client, "{operation:?} {body}");
            }
        }
    }
}
