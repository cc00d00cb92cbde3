//! A table while it is UPDATING: what is refused, in which words, and what is not.

use meridian_wire::{ApiError, Operation};

use super::ask;
use super::memory::Memory;

const MAKE: &str = r#"{"TableName":"busy","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
    "AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
    "ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1},
    "GlobalSecondaryIndexes":[{"IndexName":"idx","Projection":{"ProjectionType":"ALL"},
        "KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
        "ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}]}"#;
const ON_DEMAND: &str = r#"{"TableName":"busy","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
    "AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
    "BillingMode":"PAY_PER_REQUEST"}"#;

const UNITS: &str = r#""ProvisionedThroughput":{"ReadCapacityUnits":7,"WriteCapacityUnits":7}"#;
const BILLING: &str = r#""BillingMode":"PAY_PER_REQUEST""#;
const STREAM: &str = r#""StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}"#;
const CLASS: &str = r#""TableClass":"STANDARD_INFREQUENT_ACCESS""#;
const MAXIMUM: &str = r#""OnDemandThroughput":{"MaxReadRequestUnits":7}"#;
const PROTECT: &str = r#""DeletionProtectionEnabled":false"#;
const ENCRYPT: &str = r#""SSESpecification":{"Enabled":true,"SSEType":"KMS"}"#;
const WARM: &str = r#""WarmThroughput":{"ReadUnitsPerSecond":20000}"#;

fn create_index(name: &str) -> String {
    format!(
        r#""AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}],
            "GlobalSecondaryIndexUpdates":[{{"Create":{{"IndexName":"{name}",
            "Projection":{{"ProjectionType":"ALL"}},
            "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],{UNITS}}}}}]"#
    )
}

fn delete_index(name: &str) -> String {
    format!(r#""GlobalSecondaryIndexUpdates":[{{"Delete":{{"IndexName":"{name}"}}}}]"#)
}

fn update_index(name: &str) -> String {
    format!(r#""GlobalSecondaryIndexUpdates":[{{"Update":{{"IndexName":"{name}",{UNITS}}}}}]"#)
}

async fn update(memory: &Memory, change: &str) -> Result<String, ApiError> {
    ask(memory, Operation::UpdateTable, &format!(r#"{{"TableName":"busy",{change}}}"#)).await
}

/// A table to which something is being done that does not settle.
async fn while_doing(make: &str, change: &str) -> Memory {
    let memory = Memory::default();
    ask(&memory, Operation::CreateTable, make).await.expect("it is made");
    memory.hold();
    update(&memory, change).await.expect("it begins");
    memory
}

/// Each change is refused because the table is still in use, in these words.
async fn still_in_use(memory: &Memory, refused: &[(&str, &str)]) {
    for (change, why) in refused {
        let expected = format!("Attempt to change a resource which is still in use: {why}");
        let answer = update(memory, change).await;
        assert_eq!(answer, Err(ApiError::ResourceInUse(expected)), "{change}");
    }
}

async fn delete_is_refused(memory: &Memory, why: &str) {
    let expected = format!("Attempt to change a resource which is still in use: {why}");
    let answer = ask(memory, Operation::DeleteTable, r#"{"TableName":"busy"}"#).await;
    assert_eq!(answer, Err(ApiError::ResourceInUse(expected)));
}

#[tokio::test]
async fn while_throughput_changes() {
    let other = r#""ProvisionedThroughput":{"ReadCapacityUnits":3,"WriteCapacityUnits":3}"#;
    let memory = while_doing(MAKE, UNITS).await;
    let iops = "Table IOPS are currently being updated. Table: busy";
    let stream = "Can't enable or disable stream while table IOPS are being updated. Table: busy";
    let unknown = "Table is being updated: busy";
    let refused = [(other, iops), (BILLING, iops), (STREAM, stream), (CLASS, unknown)];
    still_in_use(&memory, &refused).await;
    delete_is_refused(&memory, "Table: busy is in the process of being updated.").await;
    for beside in [PROTECT, ENCRYPT, WARM] {
        update(&memory, beside).await.expect("it goes beside");
    }
    let ttl = r#"{"TableName":"busy",
        "TimeToLiveSpecification":{"Enabled":true,"AttributeName":"t"}}"#;
    ask(&memory, Operation::UpdateTimeToLive, ttl).await.expect("it goes beside");
}

#[tokio::test]
async fn while_billing_changes() {
    let provisioned = format!(r#""BillingMode":"PROVISIONED",{UNITS}"#);
    let memory = while_doing(ON_DEMAND, &provisioned).await;
    let why = "OnDemandThroughput cannot be updated while BillingMode update is in progress";
    still_in_use(&memory, &[(MAXIMUM, why)]).await;
}

#[tokio::test]
async fn while_the_stream_changes() {
    let memory = while_doing(MAKE, STREAM).await;
    let label = "Table: busy Stream: 2026-02-02T02:40:01.123 Operation: ENABLE";
    let off = r#""StreamSpecification":{"StreamEnabled":false}"#;
    still_in_use(
        &memory,
        &[
            (off, &format!("A stream status change is currently in progress. {label}")),
            (
                UNITS,
                &format!("Can't change table IOPS when stream status is being updated. {label}"),
            ),
            (
                CLASS,
                &format!("Can't update table class when stream status is being updated. {label}"),
            ),
        ],
    )
    .await;
    delete_is_refused(&memory, "Cannot delete table while stream is being enabled/disabled.").await;
    update(&memory, PROTECT).await.expect("it goes beside");
}

#[tokio::test]
async fn while_the_class_changes() {
    let memory = while_doing(ON_DEMAND, CLASS).await;
    let class = "TableClassUpdateInProgress: STANDARD_INFREQUENT_ACCESS";
    let place = format!("Table: busy {class}");
    still_in_use(
        &memory,
        &[
            (
                r#""TableClass":"STANDARD""#,
                &format!(
                    "Can't update table class when a table class update is in progress. {place}"
                ),
            ),
            (
                STREAM,
                &format!(
                    "Can't change stream status when a table class update is in progress. {place}"
                ),
            ),
            (
                MAXIMUM,
                &format!(
                    "OnDemandThroughput cannot be updated while TableClass update is in progress. \
                     {class}"
                ),
            ),
        ],
    )
    .await;
    update(&memory, PROTECT).await.expect("it goes beside");
}

#[tokio::test]
async fn while_an_index_is_made() {
    let memory = while_doing(MAKE, &create_index("new")).await;
    let one = "Subscriber limit exceeded: Only 1 online index can be created or deleted \
               simultaneously per table";
    let second = update(&memory, &create_index("second")).await;
    assert_eq!(second, Err(ApiError::LimitExceeded(one.to_owned())));
    let iops = "Can't change table IOPS when an index is being created. Table: busy Indexes: [new]";
    let stream =
        "Can't change stream status when an index is being created. Table: busy Indexes: [new]";
    let allocating = "Index creation is in resource allocation phase. Retry deletion during \
                      backfilling phase or when the index is active. Table: busy Index: new";
    let early = "Index is being created but is not backfilling yet. Table: busy Index: new";
    still_in_use(
        &memory,
        &[
            (UNITS, iops),
            (BILLING, iops),
            (STREAM, stream),
            (&delete_index("new"), allocating),
            (&update_index("new"), early),
        ],
    )
    .await;
    let why = "Cannot delete table while indexes are being created, updated, or deleted.";
    delete_is_refused(&memory, why).await;
    update(&memory, PROTECT).await.expect("it goes beside");
    update(&memory, &update_index("idx")).await.expect("another index is changed");
}

#[tokio::test]
async fn while_an_index_is_filled() {
    let memory = while_doing(MAKE, &create_index("new")).await;
    let insights = r#"{"TableName":"busy","IndexName":"new","ContributorInsightsAction":"ENABLE"}"#;
    let early = ask(&memory, Operation::UpdateContributorInsights, insights).await;
    let unknown = "Requested resource not found: Index: new not found for table: busy";
    assert_eq!(early, Err(ApiError::ResourceNotFound(unknown.to_owned())));
    memory.begin_to_fill("busy");
    let early = ask(&memory, Operation::UpdateContributorInsights, insights).await;
    let unready = "Table or Index is not in a valid state to update Key Access Insights: IndexStatus \
                   must be ACTIVE to enable ContributorInsights.";
    assert_eq!(early, Err(ApiError::Validation(unready.to_owned())));
    let second = update(&memory, &create_index("second")).await;
    assert!(matches!(second, Err(ApiError::LimitExceeded(_))), "{second:?}");
    let why = "Cannot delete table while indexes are being created, updated, or deleted.";
    delete_is_refused(&memory, why).await;
    update(&memory, &delete_index("new")).await.expect("it may be given up");
}

#[tokio::test]
async fn insights_are_of_a_table_that_is_made() {
    let memory = Memory::default();
    memory.hold();
    ask(&memory, Operation::CreateTable, ON_DEMAND).await.expect("it is made");
    let insights = r#"{"TableName":"busy","ContributorInsightsAction":"ENABLE"}"#;
    let early = ask(&memory, Operation::UpdateContributorInsights, insights).await;
    let unready = "Table or Index is not in a valid state to update Key Access Insights: TableStatus \
                   must be ACTIVE to enable ContributorInsights.";
    assert_eq!(early, Err(ApiError::Validation(unready.to_owned())));
}

#[tokio::test]
async fn while_an_index_goes() {
    let memory = while_doing(MAKE, &delete_index("idx")).await;
    let iops = "Can't change table IOPS when an index is being deleted. Table: busy Indexes: [idx]";
    let going = "Index is being deleted. Table: busy Index: idx";
    let refused = [
        (UNITS, iops),
        (&create_index("idx"), going),
        (&delete_index("idx"), going),
        (&update_index("idx"), going),
    ];
    still_in_use(&memory, &refused).await;
    let other = update(&memory, &create_index("other")).await;
    assert!(matches!(other, Err(ApiError::LimitExceeded(_))), "{other:?}");
    let why = "Cannot delete table while indexes are being created, updated, or deleted.";
    delete_is_refused(&memory, why).await;
    update(&memory, PROTECT).await.expect("it goes beside");
}

#[tokio::test]
async fn a_table_with_replicas_says_no_more_than_that_it_is_in_use() {
    let memory = Memory::default();
    ask(&memory, Operation::CreateTable, ON_DEMAND).await.unwrap();
    let create = r#""ReplicaUpdates":[{"Create":{"RegionName":"us-test-1"}}]"#;
    update(&memory, create).await.unwrap();
    memory.activate_replicas("busy");
    memory.hold();
    update(&memory, CLASS).await.unwrap();
    let expected = "The resource which you are attempting to change is in use.";
    for change in [STREAM, PROTECT] {
        let answer = update(&memory, change).await;
        assert_eq!(answer, Err(ApiError::ResourceInUse(expected.to_owned())), "{change}");
    }
    let answer = ask(&memory, Operation::DeleteTable, r#"{"TableName":"busy"}"#).await;
    assert_eq!(answer, Err(ApiError::ResourceInUse(expected.to_owned())));
}
