//! What a client is told when the backend fails.

use std::sync::Arc;

use meridian_wire::{ApiError, Fault, Operation, Retry};

use super::memory::Memory;
use super::{ask, make_table};
use crate::BackendError;
use crate::backend::Exceeded;

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
async fn a_limit_of_throughput_cancels_a_transaction() {
    let limit = |on_demand| {
        let resource = "arn".to_owned();
        BackendError::Exceeded(Arc::new(Exceeded {
            resource,
            of_index: false,
            of_writes: true,
            on_demand,
        }))
    };
    let put = |key| format!(r#"{{"Put":{{"TableName":"errors","Item":{{"a":{{"S":"{key}"}}}}}}}}"#);
    let get = |key| format!(r#"{{"Get":{{"TableName":"errors","Key":{{"a":{{"S":"{key}"}}}}}}}}"#);
    for (error, code, text) in [
        (limit(false), "ProvisionedThroughputExceeded", "The level of configured provisioned"),
        (limit(true), "ThrottlingError", "Throughput exceeds the maximum OnDemandThroughput"),
    ] {
        let memory = Memory::default();
        make_table(&memory, "errors").await;
        memory.fail("x", error);
        for (operation, members) in [
            (Operation::TransactWriteItems, [put("y"), put("x")]),
            (Operation::TransactGetItems, [get("y"), get("x")]),
        ] {
            let body = format!(r#"{{"TransactItems":[{}]}}"#, members.join(","));
            let refused = ask(&memory, operation, &body).await.expect_err("a limit is reached");
            let ApiError::TransactionCanceled(reasons) = refused else { panic!("{refused:?}") };
            assert_eq!((reasons[0].code, reasons[1].code), ("None", code));
            assert!(reasons[1].message.as_deref().is_some_and(|told| told.starts_with(text)));
        }
    }
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
