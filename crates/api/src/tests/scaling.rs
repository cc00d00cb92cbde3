//! UpdateTableReplicaAutoScaling, and DescribeTableReplicaAutoScaling after it.

use meridian_wire::{ApiError, Operation};
use serde_json::{Value, json};

use super::ask;
use super::memory::Memory;

const MAKE: &str = r#"{"TableName":"table","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
    "AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
    "ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},
    "GlobalSecondaryIndexes":[{"IndexName":"idx","Projection":{"ProjectionType":"ALL"},
        "KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
        "ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}]}"#;

async fn global_table() -> Memory {
    let memory = Memory::default();
    ask(&memory, Operation::CreateTable, MAKE).await.unwrap();
    let add = r#"{"TableName":"table","ReplicaUpdates":[{"Create":{"RegionName":"us-test-1"}}]}"#;
    ask(&memory, Operation::UpdateTable, add).await.unwrap();
    memory
}

async fn update(memory: &Memory, mut body: Value) -> Result<Value, ApiError> {
    body["TableName"] = json!("table");
    let operation = Operation::UpdateTableReplicaAutoScaling;
    let answer = ask(memory, operation, &body.to_string()).await?;
    Ok(serde_json::from_str(&answer).expect("answers are JSON"))
}

async fn replicas(memory: &Memory) -> Value {
    let body = r#"{"TableName":"table"}"#;
    let answer = ask(memory, Operation::DescribeTableReplicaAutoScaling, body).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).expect("answers are JSON");
    answer["TableAutoScalingDescription"]["Replicas"].clone()
}

fn policy(target: f64) -> Value {
    json!({"TargetTrackingScalingPolicyConfiguration": {"TargetValue": target}})
}

fn full(min: u64, max: u64, target: f64) -> Value {
    json!({"MinimumUnits": min, "MaximumUnits": max, "ScalingPolicyUpdate": policy(target)})
}

const READ: &str = "ReplicaProvisionedReadCapacityAutoScalingSettings";
const WRITE: &str = "ReplicaProvisionedWriteCapacityAutoScalingSettings";

fn read(asked: Value) -> Value {
    json!({"ReplicaUpdates": [{"RegionName": "us-test-1",
        "ReplicaProvisionedReadCapacityAutoScalingUpdate": asked}]})
}

#[tokio::test]
async fn writes_scale_everywhere_and_reads_where_it_is_said() {
    let memory = global_table().await;
    let off = json!({"AutoScalingDisabled": true, "ScalingPolicies": []});
    assert_eq!(replicas(&memory).await[0][READ], off);

    let mut asked = read(full(2, 20, 70.0));
    asked["ProvisionedWriteCapacityAutoScalingUpdate"] = json!({
        "MinimumUnits": 1, "MaximumUnits": 10, "AutoScalingRoleArn": "arn:role",
        "ScalingPolicyUpdate": {"PolicyName": "mine",
            "TargetTrackingScalingPolicyConfiguration": {"DisableScaleIn": true,
                "ScaleInCooldown": 120, "ScaleOutCooldown": -60, "TargetValue": 55.0}}});
    asked["GlobalSecondaryIndexUpdates"] = json!([{"IndexName": "idx",
        "ProvisionedWriteCapacityAutoScalingUpdate": full(3, 30, 19.9)}]);
    let answer = update(&memory, asked).await.unwrap();
    let stale = &answer["TableAutoScalingDescription"]["Replicas"][0][WRITE];
    assert_eq!(*stale, off, "the answer shows what was");

    let shown = replicas(&memory).await;
    let write = json!({"MinimumUnits": 1, "MaximumUnits": 10, "AutoScalingRoleArn": "arn:role",
        "ScalingPolicies": [{"PolicyName": "mine", "TargetTrackingScalingPolicyConfiguration":
            {"DisableScaleIn": true, "ScaleInCooldown": 120, "ScaleOutCooldown": -60,
             "TargetValue": 55.0}}]});
    for replica in 0..2 {
        assert_eq!(shown[replica][WRITE], write);
        let index = &shown[replica]["GlobalSecondaryIndexes"][0];
        let index = &index["ProvisionedWriteCapacityAutoScalingSettings"];
        assert_eq!(index["MinimumUnits"], 3);
        let name = "DynamoDBWriteCapacityUtilization:table/table/index/idx";
        assert_eq!(index["ScalingPolicies"][0]["PolicyName"], name);
    }
    assert_eq!(shown[0]["RegionName"], "eu-test-1");
    assert_eq!((&shown[0][READ], &shown[1][READ]["MaximumUnits"]), (&off, &json!(20)));

    update(&memory, read(json!({"MaximumUnits": 40}))).await.unwrap();
    let shown = replicas(&memory).await;
    assert_eq!(shown[1][READ]["MinimumUnits"], 2, "what is not named stays");
    assert_eq!(shown[1][READ]["MaximumUnits"], 40);
    update(&memory, read(json!({"AutoScalingDisabled": true}))).await.unwrap();
    assert_eq!(replicas(&memory).await[1][READ], off);
}

#[tokio::test]
async fn an_index_takes_its_scaling_with_it() {
    let memory = global_table().await;
    let asked = json!({"GlobalSecondaryIndexUpdates": [{"IndexName": "idx",
        "ProvisionedWriteCapacityAutoScalingUpdate": full(3, 30, 50.0)}]});
    update(&memory, asked).await.unwrap();
    let gone = r#"{"TableName":"table","GlobalSecondaryIndexUpdates":[
        {"Delete":{"IndexName":"idx"}}]}"#;
    ask(&memory, Operation::UpdateTable, gone).await.unwrap();
    assert_eq!(replicas(&memory).await[0]["GlobalSecondaryIndexes"], json!([]));
}

#[tokio::test]
async fn what_is_missing_or_out_of_bounds_is_told() {
    let memory = global_table().await;
    let required = "Failed to update settings for global table with name: ‘table’: Parameters";
    let unless = "are required unless auto scaling is being disabled.";
    for (asked, text) in [
        (
            json!({}),
            format!("{required} 'MaximumUnits', 'ScalingPolicyUpdate', 'MinimumUnits' {unless}"),
        ),
        (
            json!({"MinimumUnits": 1, "ScalingPolicyUpdate": policy(50.0)}),
            format!("{required} 'MaximumUnits' {unless}"),
        ),
        (
            json!({"MinimumUnits": 1, "MaximumUnits": 2}),
            format!("{required} 'ScalingPolicyUpdate' {unless}"),
        ),
        (full(3, 2, 50.0), "Maximum capacity cannot be less than minimum capacity".to_owned()),
        (
            full(1, 2, 90.1),
            "For predefined metric type DynamoDBReadCapacityUtilization, target value \
            must be between '10.0' and '90.0', but was '90.1'."
                .to_owned(),
        ),
        (
            full(1, 2, 0.0),
            "For target tracking scaling, target value must be between \
            '8.51592E-109' and '1.174271E108', but was '0.0'."
                .to_owned(),
        ),
    ] {
        let refused = update(&memory, read(asked.clone())).await;
        assert_eq!(refused, Err(ApiError::Validation(text)), "{asked}");
    }
    let none = update(&memory, json!({"ReplicaUpdates": [{"RegionName": "us-test-1"}]})).await;
    let text = "Failed to update settings for global table with name: ‘table’ because at least one \
                update parameter must be specified for region: ‘us-test-1’.";
    assert_eq!(none, Err(ApiError::Validation(text.to_owned())));
    let elsewhere = json!({"ReplicaUpdates": [{"RegionName": "nowhere-1",
        "ReplicaProvisionedReadCapacityAutoScalingUpdate": full(1, 2, 50.0)}]});
    let refused = update(&memory, elsewhere).await;
    assert!(matches!(refused, Err(ApiError::ResourceNotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn a_table_that_is_billed_per_request_can_only_be_turned_off() {
    let memory = global_table().await;
    update(&memory, read(full(1, 2, 50.0))).await.unwrap();
    let billing = r#"{"TableName":"table","BillingMode":"PAY_PER_REQUEST"}"#;
    ask(&memory, Operation::UpdateTable, billing).await.unwrap();
    let shown = &replicas(&memory).await[1][READ];
    assert_eq!((&shown["MinimumUnits"], &shown["AutoScalingDisabled"]), (&json!(1), &json!(true)));
    let refused = update(&memory, read(full(1, 2, 50.0))).await;
    let text = "Failed to update global table with name ‘table‘. Replicas 'EU-TEST-1', 'US-TEST-1' \
                BillingMode is PayPerRequest. You must convert table's BillingMode to PROVISIONED to \
                set parameters: 'ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate'.";
    assert_eq!(refused, Err(ApiError::Validation(text.to_owned())));
    update(&memory, read(json!({"AutoScalingDisabled": true}))).await.unwrap();
    assert_eq!(replicas(&memory).await[1][READ]["MinimumUnits"], Value::Null);
}
