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
        r#"{"Disassociate":{"RegionName":"us-test-1"}}"#,
    ] {
        let refused = update(&memory, changes).await;
        assert!(matches!(refused, Err(ApiError::Validation(_))), "{changes} {refused:?}");
    }
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
