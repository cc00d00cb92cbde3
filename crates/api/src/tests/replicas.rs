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
