//! ReplicaUpdates: what reaches the backend and how a global table is described.

use meridian_wire::{ApiError, Operation};

use super::memory::Memory;
use super::{ask, make_table};

async fn update(memory: &Memory, changes: &str) -> Result<serde_json::Value, ApiError> {
    let body = format!(r#"{{"TableName":"replicas","ReplicaUpdates":[{changes}]}}"#);
    let answer = ask(memory, Operation::UpdateTable, &body).await?;
    Ok(serde_json::from_str(&answer).expect("answers are JSON"))
}

fn regions(answer: &serde_json::Value) -> Vec<(String, String)> {
    let replicas = answer["TableDescription"]["Replicas"].as_array().expect("a global table");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    replicas.iter().map(|r| (text(&r["RegionName"]), text(&r["ReplicaStatus"]))).collect()
}

fn pairs(want: &[(&str, &str)]) -> Vec<(String, String)> {
    want.iter().map(|(region, status)| ((*region).to_owned(), (*status).to_owned())).collect()
}

#[tokio::test]
async fn replicas_come_and_go() {
    let memory = Memory::default();
    make_table(&memory, "replicas").await;
    let changes = r#"{"Create":{"RegionName":"us-test-1"}},{"Create":{"RegionName":"ap-test-1"}}"#;
    let answer = update(&memory, changes).await.unwrap();
    assert_eq!(answer["TableDescription"]["GlobalTableVersion"], "2019.11.21");
    assert_eq!(
        regions(&answer),
        pairs(&[("ap-test-1", "CREATING"), ("eu-test-1", "ACTIVE"), ("us-test-1", "CREATING")])
    );
    let answer = update(&memory, r#"{"Delete":{"RegionName":"ap-test-1"}}"#).await.unwrap();
    assert_eq!(regions(&answer), pairs(&[("eu-test-1", "ACTIVE"), ("us-test-1", "CREATING")]));
    let gone = update(&memory, r#"{"Delete":{"RegionName":"ap-test-1"}}"#).await;
    let text = "Update global table operation failed because one or more replicas were not part of the \
                global table. Please retry the request without these replicas: [ap-test-1].";
    assert_eq!(gone, Err(ApiError::Validation(text.to_owned())));
}

#[tokio::test]
async fn an_arn_of_any_region_of_the_cluster_names_the_table_here() {
    let memory = Memory::default();
    make_table(&memory, "replicas").await;
    let ask = async |region: &str| {
        let body = format!(r#"{{"TableName":"arn:aws:dynamodb:{region}:0:table/replicas"}}"#);
        ask(&memory, Operation::DescribeTable, &body).await
    };
    for region in ["eu-test-1", "us-test-1"] {
        let answer = ask(region).await.expect("the cluster has it");
        assert!(answer.contains(":eu-test-1:000000000000:table/replicas"), "{answer}");
    }
    assert!(ask("mars-north-1").await.is_err());
}

#[tokio::test]
async fn replicas_that_contradict_the_table_are_refused() {
    let memory = Memory::default();
    make_table(&memory, "replicas").await;
    update(&memory, r#"{"Create":{"RegionName":"us-test-1"}}"#).await.unwrap();
    for changes in [
        r#"{"Create":{"RegionName":"eu-test-1"}}"#,
        r#"{"Create":{"RegionName":"us-test-1"}}"#,
        r#"{"Delete":{"RegionName":"ap-test-1"}}"#,
        r#"{"Create":{"RegionName":"a"}},{"Create":{"RegionName":"a"}}"#,
        r#"{"Create":{"RegionName":"a","TableClassOverride":"STANDARD"}}"#,
        r#"{"Create":{"RegionName":"a"},"Delete":{"RegionName":"us-test-1"}}"#,
        r#"{"Delete":{"RegionName":"eu-test-1"}}"#,
        r#"{"Create":{"RegionName":"a"}},
           {"Update":{"RegionName":"us-test-1","TableClassOverride":"STANDARD"}}"#,
        r#"{"Disassociate":{"RegionName":"us-test-1"}}"#,
    ] {
        let refused = update(&memory, changes).await;
        assert!(matches!(refused, Err(ApiError::Validation(_))), "{changes} {refused:?}");
    }
}

#[tokio::test]
async fn a_region_that_there_is_not_is_told_with_those_that_there_are() {
    let memory = Memory::default();
    make_table(&memory, "replicas").await;
    let expected = ApiError::Validation(
        "Region zz-foo-1 is not supported. The latest version of global tables are only supported in \
         the following regions: [ap-test-1, eu-test-1, us-test-1]"
            .to_owned(),
    );
    for action in ["Create", "Delete"] {
        let change = format!(r#"{{"{action}":{{"RegionName":"zz-foo-1"}}}}"#);
        assert_eq!(update(&memory, &change).await, Err(expected.clone()));
    }
    let create = r#"{"GlobalTableName":"replicas",
        "ReplicationGroup":[{"RegionName":"zz-foo-1"},{"RegionName":"eu-test-1"}]}"#;
    let refused = ask(&memory, Operation::CreateGlobalTable, create).await;
    assert_eq!(refused, Err(expected.clone()));
    update(&memory, r#"{"Create":{"RegionName":"us-test-1"}}"#).await.unwrap();
    let create = r#"{"GlobalTableName":"replicas",
        "ReplicaUpdates":[{"Create":{"RegionName":"zz-foo-1"}}]}"#;
    assert_eq!(ask(&memory, Operation::UpdateGlobalTable, create).await, Err(expected));
}

async fn told(memory: &Memory, operation: Operation, body: &str) -> serde_json::Value {
    let answer = ask(memory, operation, body).await.expect("it is answered");
    serde_json::from_str(&answer).expect("answers are JSON")
}

fn group(description: &serde_json::Value) -> Vec<String> {
    let group = description["ReplicationGroup"].as_array().expect("a group");
    group.iter().map(|one| one["RegionName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_operations_of_2017_are_about_the_same_tables() {
    let memory = Memory::default();
    make_table(&memory, "replicas").await;
    make_table(&memory, "plain").await;
    let create = r#"{"GlobalTableName":"replicas",
        "ReplicationGroup":[{"RegionName":"us-test-1"},{"RegionName":"eu-test-1"}]}"#;
    let made = told(&memory, Operation::CreateGlobalTable, create).await;
    let made = &made["GlobalTableDescription"];
    assert_eq!(group(made), ["eu-test-1", "us-test-1"]);
    assert_eq!(made["GlobalTableStatus"], "UPDATING");
    assert_eq!(made["GlobalTableArn"], "arn:aws:dynamodb::000000000000:global-table/replicas");
    let again = ask(&memory, Operation::CreateGlobalTable, create).await;
    assert!(matches!(again, Err(ApiError::GlobalTableAlreadyExists(_))), "{again:?}");
    let other = create.replace("replicas", "absent");
    let absent = ask(&memory, Operation::CreateGlobalTable, &other).await;
    assert!(matches!(absent, Err(ApiError::TableNotFound(_))), "{absent:?}");

    let named = r#"{"GlobalTableName":"replicas"}"#;
    let shown = told(&memory, Operation::DescribeGlobalTable, named).await;
    assert_eq!(group(&shown["GlobalTableDescription"]), ["eu-test-1", "us-test-1"]);
    let list = told(&memory, Operation::ListGlobalTables, "{}").await;
    assert_eq!(list["GlobalTables"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(group(&list["GlobalTables"][0]), ["eu-test-1", "us-test-1"]);
    let scaling = r#"{"TableName":"replicas"}"#;
    let scaling = told(&memory, Operation::DescribeTableReplicaAutoScaling, scaling).await;
    let replicas = scaling["TableAutoScalingDescription"]["Replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 2);

    let update =
        |changes: &str| format!(r#"{{"GlobalTableName":"replicas","ReplicaUpdates":[{changes}]}}"#);
    let add = update(r#"{"Create":{"RegionName":"ap-test-1"}}"#);
    let added = told(&memory, Operation::UpdateGlobalTable, &add).await;
    let added = group(&added["GlobalTableDescription"]);
    assert_eq!(added, ["ap-test-1", "eu-test-1", "us-test-1"]);
    let twice = ask(&memory, Operation::UpdateGlobalTable, &add).await;
    assert!(matches!(twice, Err(ApiError::ReplicaAlreadyExists(_))), "{twice:?}");
    let drop = update(r#"{"Delete":{"RegionName":"nowhere-1"}}"#);
    let unknown = ask(&memory, Operation::UpdateGlobalTable, &drop).await;
    assert!(matches!(unknown, Err(ApiError::ReplicaNotFound(_))), "{unknown:?}");

    let settings = r#"{"GlobalTableName":"replicas","GlobalTableBillingMode":"PROVISIONED",
        "GlobalTableProvisionedWriteCapacityUnits":7}"#;
    told(&memory, Operation::UpdateGlobalTableSettings, settings).await;
    let shown = told(&memory, Operation::DescribeGlobalTableSettings, named).await;
    for replica in shown["ReplicaSettings"].as_array().unwrap() {
        assert_eq!(replica["ReplicaProvisionedWriteCapacityUnits"], 7);
        assert_eq!(replica["ReplicaBillingModeSummary"]["BillingMode"], "PROVISIONED");
    }
}

/// A provisioned table `replicas` with an index `idx` and an ACTIVE replica in `us-test-1`.
async fn with_replica() -> Memory {
    let memory = Memory::default();
    let make = r#"{"TableName":"replicas","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
        "AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
        "ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},
        "GlobalSecondaryIndexes":[{"IndexName":"idx","Projection":{"ProjectionType":"ALL"},
            "KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
            "ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}]}"#;
    ask(&memory, Operation::CreateTable, make).await.unwrap();
    update(&memory, r#"{"Create":{"RegionName":"us-test-1"}}"#).await.unwrap();
    memory.activate_replicas("replicas");
    memory
}

/// The replica of `us-test-1` as DescribeTable shows it.
async fn other(memory: &Memory) -> serde_json::Value {
    let shown = told(memory, Operation::DescribeTable, r#"{"TableName":"replicas"}"#).await;
    let replicas = shown["Table"]["Replicas"].as_array().unwrap();
    replicas.iter().find(|one| one["RegionName"] == "us-test-1").unwrap().clone()
}

fn over(members: &str) -> String {
    format!(r#"{{"Update":{{"RegionName":"us-test-1",{members}}}}}"#)
}

#[tokio::test]
async fn a_replica_has_settings_of_its_own_until_the_table_s_change() {
    let memory = with_replica().await;
    let units = |units: u64| {
        over(&format!(r#""ProvisionedThroughputOverride":{{"ReadCapacityUnits":{units}}}"#))
    };
    let answer = update(&memory, &units(10)).await.unwrap();
    assert_eq!(answer["TableDescription"]["TableStatus"], "UPDATING");
    let replicas = answer["TableDescription"]["Replicas"].to_string();
    assert!(!replicas.contains("Override"), "the answer shows what was: {replicas}");
    let index = r#""GlobalSecondaryIndexes":[{"IndexName":"idx",
        "ProvisionedThroughputOverride":{"ReadCapacityUnits":6}}]"#;
    update(&memory, &over(index)).await.unwrap();
    let class = r#""TableClassOverride":"STANDARD_INFREQUENT_ACCESS""#;
    update(&memory, &over(class)).await.unwrap();
    let shown = other(&memory).await;
    assert_eq!(shown["ProvisionedThroughputOverride"]["ReadCapacityUnits"], 10);
    let of_index = &shown["GlobalSecondaryIndexes"][0];
    assert_eq!(of_index["ProvisionedThroughputOverride"]["ReadCapacityUnits"], 6);
    assert_eq!(shown["ReplicaTableClassSummary"]["TableClass"], "STANDARD_INFREQUENT_ACCESS");

    update(&memory, &units(5)).await.unwrap();
    let shown = other(&memory).await;
    assert!(shown["ProvisionedThroughputOverride"].is_null(), "it is the table's: {shown}");
    assert!(!shown["ReplicaTableClassSummary"].is_null(), "what was not named stays: {shown}");

    update(&memory, &units(9)).await.unwrap();
    let all = r#"{"TableName":"replicas",
        "ProvisionedThroughput":{"ReadCapacityUnits":7,"WriteCapacityUnits":5}}"#;
    told(&memory, Operation::UpdateTable, all).await;
    let shown = other(&memory).await;
    assert!(shown["ProvisionedThroughputOverride"].is_null(), "the table's is all's: {shown}");
}

#[tokio::test]
async fn a_region_shows_its_own_settings_as_the_table_s() {
    let memory = with_replica().await;
    let change = over(r#""ProvisionedThroughputOverride":{"ReadCapacityUnits":10}"#);
    update(&memory, &change).await.unwrap();
    let context = crate::RequestContext { region: "us-test-1".to_owned(), ..super::context() };
    let target = Operation::DescribeTable.target();
    let body = br#"{"TableName":"replicas"}"#;
    let answer = crate::handle(&memory, &context, &target, body).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"], 10);
    assert!(!answer["Table"]["Replicas"].to_string().contains("Override"));
}

#[tokio::test]
async fn overrides_that_cannot_be_are_refused() {
    let memory = with_replica().await;
    for (change, text) in [
        (
            r#"{"Update":{"RegionName":"us-test-1"}}"#.to_owned(),
            "There are no actions specified in the Replica Update Action of the request.",
        ),
        (
            over(r#""GlobalSecondaryIndexes":[{"IndexName":"idx"}]"#),
            "There are no actions specified in the Replica Update Action of the request.",
        ),
        (
            over(r#""KMSMasterKeyId":"alias/aws/dynamodb""#),
            "One or more parameter values were invalid: KMSMasterKeyId must be specified for each \
             replica.",
        ),
        (
            over(r#""OnDemandThroughputOverride":{"MaxReadRequestUnits":100}"#),
            "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table \
             BillingMode is PROVISIONED",
        ),
        (
            over(r#""TableClassOverride":"STANDARD""#).replace("us-test-1", "ap-test-1"),
            "Update global table operation failed because one or more replicas were not part of the \
             global table. Please retry the request without these replicas: [ap-test-1].",
        ),
        (
            over(r#""TableClassOverride":"STANDARD""#).replace("us-test-1", "eu-test-1"),
            "Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, \
             DeleteTable, or UpdateTable as required.",
        ),
    ] {
        let refused = update(&memory, &change).await;
        assert_eq!(refused, Err(ApiError::Validation(text.to_owned())), "{change}");
    }
    let billing = r#"{"TableName":"replicas","BillingMode":"PAY_PER_REQUEST"}"#;
    told(&memory, Operation::UpdateTable, billing).await;
    let change = over(r#""ProvisionedThroughputOverride":{"ReadCapacityUnits":10}"#);
    let text = "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is \
                PAY_PER_REQUEST";
    let refused = update(&memory, &change).await;
    assert_eq!(refused, Err(ApiError::Validation(text.to_owned())));
}
