//! What may not be changed too often.

use meridian_wire::{ApiError, Operation};

use super::memory::Memory;
use super::{ask, make_table};

async fn update(memory: &Memory, name: &str, change: &str) -> Result<serde_json::Value, ApiError> {
    let body = format!(r#"{{"TableName":"{name}",{change}}}"#);
    let answer = ask(memory, Operation::UpdateTable, &body).await?;
    Ok(serde_json::from_str(&answer).expect("answers are JSON"))
}

fn text(refused: Result<serde_json::Value, ApiError>) -> String {
    match refused {
        Err(ApiError::LimitExceeded(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn units(units: u64) -> String {
    format!(
        r#""ProvisionedThroughput":{{"ReadCapacityUnits":{units},"WriteCapacityUnits":{units}}}"#
    )
}

fn of_index(asked: u64) -> String {
    format!(
        r#""GlobalSecondaryIndexUpdates":[{{"Update":{{"IndexName":"idx",{}}}}}]"#,
        units(asked)
    )
}

#[tokio::test]
async fn the_fifth_decrease_of_a_day_waits_and_an_index_has_its_own() {
    let memory = Memory::default();
    let make = format!(
        r#"{{"TableName":"pace","KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}],{0},
            "GlobalSecondaryIndexes":[{{"IndexName":"idx","Projection":{{"ProjectionType":"ALL"}},
                "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],{0}}}]}}"#,
        units(9)
    );
    ask(&memory, Operation::CreateTable, &make).await.unwrap();
    for asked in [8, 7, 6, 5] {
        update(&memory, "pace", &units(asked)).await.unwrap();
    }
    let refused = text(update(&memory, "pace", &units(4)).await);
    assert!(
        refused.contains("Number of decreases today: 4. Last decrease at Monday, Feb"),
        "{refused}"
    );
    update(&memory, "pace", &units(6)).await.expect("more is always possible");
    for asked in [8, 7, 6, 5] {
        update(&memory, "pace", &of_index(asked)).await.unwrap();
    }
    text(update(&memory, "pace", &of_index(4)).await);
    let shown = ask(&memory, Operation::DescribeTable, r#"{"TableName":"pace"}"#).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let table = &shown["Table"];
    assert_eq!(table["ProvisionedThroughput"]["NumberOfDecreasesToday"], 4);
    let index = &table["GlobalSecondaryIndexes"][0];
    assert_eq!(index["ProvisionedThroughput"]["NumberOfDecreasesToday"], 4);
}

#[tokio::test]
async fn the_class_changes_twice_in_thirty_days() {
    let memory = Memory::default();
    make_table(&memory, "pace").await;
    let (rare, standard) =
        (r#""TableClass":"STANDARD_INFREQUENT_ACCESS""#, r#""TableClass":"STANDARD""#);
    update(&memory, "pace", rare).await.unwrap();
    update(&memory, "pace", rare).await.expect("no change");
    update(&memory, "pace", standard).await.unwrap();
    let expected = "Subscriber limit exceeded: Updates to TableClass are limited to 2 times in 30 \
                    day(s).";
    for class in [rare, standard] {
        assert_eq!(text(update(&memory, "pace", class).await), expected);
    }
}

#[tokio::test]
async fn the_fifth_change_of_encryption_in_a_day_waits() {
    let memory = Memory::default();
    make_table(&memory, "pace").await;
    let (on, off) = (
        r#""SSESpecification":{"Enabled":true,"SSEType":"KMS"}"#,
        r#""SSESpecification":{"Enabled":false}"#,
    );
    for change in [on, off, on, off] {
        update(&memory, "pace", change).await.unwrap();
    }
    let expected = "Subscriber limit exceeded: Encryption mode changes are limited in the 24h window \
                    ending at 2026-02-03T02:40:01.123Z. After the first 4 change, each subsequent \
                    change in the same window can be performed at most once every 21600 seconds. Number \
                    of updates today: 4. Last change at 2026-02-02T02:40:01.123Z. Next changes can be \
                    made at 2026-02-02T08:40:01.123Z.";
    // Also one that would be wrong in itself.
    for change in [on, off] {
        assert_eq!(text(update(&memory, "pace", change).await), expected);
    }
}
