//! A global index while it is UPDATING, and one that goes.

use meridian_control::table::IndexStatus;
use meridian_wire::{ApiError, Operation};

use super::ask;
use super::memory::Memory;
use crate::backend::Backend;

const MAKE: &str = r#"{"TableName":"table","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
    "AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
    "ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1},
    "GlobalSecondaryIndexes":[{"IndexName":"idx","Projection":{"ProjectionType":"ALL"},
        "KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
        "ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}]}"#;

async fn update(memory: &Memory, change: &str) -> Result<String, ApiError> {
    let body = format!(r#"{{"TableName":"table","GlobalSecondaryIndexUpdates":[{change}]}}"#);
    ask(memory, Operation::UpdateTable, &body).await
}

#[tokio::test]
async fn a_second_change_is_refused_and_reads_go_on() {
    let memory = Memory::default();
    ask(&memory, Operation::CreateTable, MAKE).await.unwrap();
    memory.hold();
    let change = |units: u64| {
        format!(
            r#"{{"Update":{{"IndexName":"idx","ProvisionedThroughput":
            {{"ReadCapacityUnits":{units},"WriteCapacityUnits":1}}}}}}"#
        )
    };
    update(&memory, &change(2)).await.unwrap();
    let busy = "Attempt to change a resource which is still in use: Index is being updated. \
                Table: table Index: idx";
    for second in [change(3), r#"{"Delete":{"IndexName":"idx"}}"#.to_owned()] {
        let refused = update(&memory, &second).await;
        assert_eq!(refused, Err(ApiError::ResourceInUse(busy.to_owned())), "{second}");
    }
    let delete = ask(&memory, Operation::DeleteTable, r#"{"TableName":"table"}"#).await;
    let busy = "Attempt to change a resource which is still in use: Cannot delete table while \
                indexes are being created, updated, or deleted.";
    assert_eq!(delete, Err(ApiError::ResourceInUse(busy.to_owned())));
    let read = r#"{"TableName":"table","IndexName":"idx"}"#;
    ask(&memory, Operation::Scan, read).await.expect("an index that changes is read");
}

#[tokio::test]
async fn an_index_that_is_gone_at_once_is_still_shown_going() {
    let memory = Memory::default();
    ask(&memory, Operation::CreateTable, MAKE).await.unwrap();
    let before = memory.table("table").unwrap();
    let mut after = (*before).clone();
    after.indexes.clear();
    let (shown, _) = crate::underway::shown(&before, &after);
    let statuses: Vec<_> = shown.indexes.iter().map(|one| (one.name(), one.status)).collect();
    assert_eq!(statuses, [("idx", IndexStatus::Deleting)]);
}
