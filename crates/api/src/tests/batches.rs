//! Batches where the backend answers only a part.

use meridian_wire::Operation;

use super::memory::Memory;
use super::{ask, make_table};
use crate::BackendError;

const WRITE: &str = r#"{"ReturnConsumedCapacity":"TOTAL","RequestItems":{"batches":[
    {"PutRequest":{"Item":{"a":{"S":"x"},"n":{"N":"1"}}}},
    {"PutRequest":{"Item":{"a":{"S":"y"}}}},
    {"DeleteRequest":{"Key":{"a":{"S":"z"}}}}]}}"#;

async fn memory() -> Memory {
    let memory = Memory::default();
    make_table(&memory, "batches").await;
    memory
}

#[tokio::test]
async fn writes_that_were_not_applied_are_unprocessed() {
    let memory = memory().await;
    memory.fail("x", BackendError::Throttled);
    memory.fail("z", BackendError::Unavailable { maybe_applied: false });
    let answer = ask(&memory, Operation::BatchWriteItem, WRITE).await.unwrap();
    assert_eq!(
        answer,
        r#"{"ConsumedCapacity":[{"CapacityUnits":1.0,"TableName":"batches"}],"UnprocessedItems":{"#
            .to_owned()
            + r#""batches":[{"PutRequest":{"Item":{"a":{"S":"x"},"n":{"N":"1"}}}},"#
            + r#"{"DeleteRequest":{"Key":{"a":{"S":"z"}}}}]}}"#
    );
}

#[tokio::test]
async fn a_batch_of_which_nothing_was_applied_is_refused() {
    let memory = memory().await;
    for key in ["x", "y", "z"] {
        memory.fail(key, BackendError::Throttled);
    }
    let refused = ask(&memory, Operation::BatchWriteItem, WRITE).await.unwrap_err();
    assert_eq!(refused.row().name, "ProvisionedThroughputExceededException");
}

#[tokio::test]
async fn an_unknown_write_makes_the_batch_unknown() {
    let memory = memory().await;
    memory.fail("y", BackendError::Timeout);
    let refused = ask(&memory, Operation::BatchWriteItem, WRITE).await.unwrap_err();
    assert_eq!(refused.row().name, "InternalServerError");
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_unprocessed() {
    let memory = memory().await;
    ask(&memory, Operation::BatchWriteItem, WRITE).await.unwrap();
    memory.fail("x", BackendError::Timeout);
    let body = r##"{"RequestItems":{"batches":{"Keys":[{"a":{"S":"x"}},{"a":{"S":"y"}}],
        "ConsistentRead":true,"ProjectionExpression":"#a",
        "ExpressionAttributeNames":{"#a":"a"}}}}"##;
    let answer = ask(&memory, Operation::BatchGetItem, body).await.unwrap();
    assert_eq!(
        answer,
        r##"{"Responses":{"batches":[{"a":{"S":"y"}}]},"UnprocessedKeys":{"batches":{"##.to_owned()
            + r##""ConsistentRead":true,"ExpressionAttributeNames":{"#a":"a"},"##
            + r##""Keys":[{"a":{"S":"x"}}],"ProjectionExpression":"#a"}}}"##
    );
}

#[tokio::test]
async fn answers_stay_within_sixteen_megabytes() {
    let memory = memory().await;
    let big = "v".repeat(390_000);
    let keys: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
    for key in &keys {
        let body = format!(
            r#"{{"TableName":"batches","Item":{{"a":{{"S":"{key}"}},"v":{{"S":"{big}"}}}}}}"#
        );
        ask(&memory, Operation::PutItem, &body).await.unwrap();
    }
    let asked: Vec<String> = keys.iter().map(|key| format!(r#"{{"a":{{"S":"{key}"}}}}"#)).collect();
    let body = format!(r#"{{"RequestItems":{{"batches":{{"Keys":[{}]}}}}}}"#, asked.join(","));
    let answer = ask(&memory, Operation::BatchGetItem, &body).await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let found = answer["Responses"]["batches"].as_array().unwrap().len();
    let left = answer["UnprocessedKeys"]["batches"]["Keys"].as_array().unwrap().len();
    assert_eq!((found, left), (43, 7));
}
