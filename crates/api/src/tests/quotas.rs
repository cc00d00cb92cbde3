//! More throughput than a table may have.

use meridian_wire::{ApiError, Operation};

use super::memory::Memory;
use super::{ask, make_table};

const ABOVE: &str = "is above the per table maximum for the account in eu-test-1. Per table maximum: \
                     40000. Refer to the Amazon DynamoDB Developer Guide for current limits and how to \
                     request higher limits.";

/// CreateTable with one more member, and with a global index that has another.
fn create(name: &str, table: &str, index: &str) -> String {
    format!(
        r#"{{"TableName":"{name}","KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}],{table},
            "GlobalSecondaryIndexes":[{{"IndexName":"idx","Projection":{{"ProjectionType":"ALL"}},
                "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],{index}}}]}}"#
    )
}

fn units(read: u64, write: u64) -> String {
    format!(
        r#""ProvisionedThroughput":{{"ReadCapacityUnits":{read},"WriteCapacityUnits":{write}}}"#
    )
}

async fn refused(memory: &Memory, operation: Operation, body: &str) -> String {
    match ask(memory, operation, body).await {
        Err(ApiError::LimitExceeded(text)) => text,
        other => panic!("{body} {other:?}"),
    }
}

#[tokio::test]
async fn a_new_table_has_no_more_than_the_quota() {
    let memory = Memory::default();
    let on_demand = r#""BillingMode":"PAY_PER_REQUEST""#;
    let max = |side: &str| format!(r#""OnDemandThroughput":{{"Max{side}RequestUnits":40001}}"#);
    let warm = r#""WarmThroughput":{"ReadUnitsPerSecond":40001}"#;
    let exceeds = |what: &str, side: &str| {
        format!(
            "Subscriber limit exceeded: Requested {what} exceeds TableMax{side}CapacityUnits of the \
             account in region eu-test-1"
        )
    };
    for (table, index, text) in [
        (units(40_001, 1), units(1, 1), format!("The requested ReadCapacityUnits, 40001, {ABOVE}")),
        (
            units(1, 50_000),
            units(1, 1),
            format!("The requested WriteCapacityUnits, 50000, {ABOVE}"),
        ),
        (
            units(1, 1),
            units(1, 40_001),
            format!("The requested WriteCapacityUnits for index idx, 40001, {ABOVE}")
                .replace("per table", "per index")
                .replace("Per table", "Per index"),
        ),
        (
            format!("{on_demand},{}", max("Read")),
            max("Read"),
            exceeds("MaxReadRequestUnits for OnDemandThroughput for table", "Read"),
        ),
        (
            on_demand.to_owned(),
            max("Write"),
            exceeds("MaxWriteRequestUnits for OnDemandThroughput for index : idx", "Write"),
        ),
        (
            on_demand.to_owned(),
            warm.to_owned(),
            exceeds("ReadUnitsPerSecond for WarmThroughput for index idx", "Read"),
        ),
    ] {
        let body = create("quota", &table, &index);
        assert_eq!(refused(&memory, Operation::CreateTable, &body).await, text);
    }
    let body = create("quota", &units(40_000, 40_000), &units(40_000, 40_000));
    ask(&memory, Operation::CreateTable, &body).await.expect("as much as there may be");
}

#[tokio::test]
async fn an_update_asks_for_no_more_than_the_quota() {
    let memory = Memory::default();
    let body = create("quota", &units(5, 5), &units(5, 5));
    ask(&memory, Operation::CreateTable, &body).await.unwrap();
    let body = format!(r#"{{"TableName":"quota",{}}}"#, units(40_001, 5));
    let text = refused(&memory, Operation::UpdateTable, &body).await;
    assert_eq!(text, format!("The requested ReadCapacityUnits, 40001, {ABOVE}"));
    let body = format!(
        r#"{{"TableName":"quota","GlobalSecondaryIndexUpdates":[{{"Update":{{"IndexName":"idx",{}}}}}]}}"#,
        units(5, 40_001)
    );
    let text = refused(&memory, Operation::UpdateTable, &body).await;
    assert!(text.starts_with("The requested WriteCapacityUnits for index idx, 40001, "), "{text}");
    make_table(&memory, "on-demand").await;
    let body = r#"{"TableName":"on-demand","OnDemandThroughput":{"MaxReadRequestUnits":40001}}"#;
    let text = refused(&memory, Operation::UpdateTable, body).await;
    let expected = "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput \
                    for table exceeds TableMaxReadCapacityUnits of the account in region eu-test-1";
    assert_eq!(text, expected);
}
