//! Point-in-time recovery: what the transcripts cannot show, because it differs by setting or time.

use meridian_base::TableId;
use meridian_control::region::ArchiveOwner;
use meridian_wire::{ApiError, Operation};

use super::memory::{Archive, Memory};
use super::{ask, make_table};
use crate::backend::Backend;
use crate::backups::{ArchivedTable, Restorable};

const DAY_MS: u64 = 24 * 3600 * 1000;

async fn turn(memory: &Memory, specification: &str) -> Result<String, ApiError> {
    let body = format!(
        r#"{{"TableName":"source","PointInTimeRecoverySpecification":{{{specification}}}}}"#
    );
    ask(memory, Operation::UpdateContinuousBackups, &body).await
}

async fn restore(memory: &Memory, when: &str) -> Result<String, ApiError> {
    let body = format!(r#"{{"SourceTableName":"source","TargetTableName":"restored",{when}}}"#);
    ask(memory, Operation::RestoreTableToPointInTime, &body).await
}

const ON: &str = r#""PointInTimeRecoveryEnabled":true"#;
const OFF: &str = r#""PointInTimeRecoveryEnabled":false"#;
const LATEST: &str = r#""UseLatestRestorableTime":true"#;

#[tokio::test]
async fn without_an_archive_recovery_can_only_be_turned_off() {
    let memory = Memory::default();
    memory.set_archive(Archive::Absent);
    make_table(&memory, "source").await;
    let refused = turn(&memory, ON).await.expect_err("there is no archive");
    assert_eq!(refused.row().name, "ContinuousBackupsUnavailableException");
    assert!(refused.message().is_some_and(|text| text.contains("archive_dir")));
    assert!(turn(&memory, OFF).await.is_ok());
}

#[tokio::test]
async fn the_bounds_are_those_of_the_archive() {
    let memory = Memory::default();
    make_table(&memory, "source").await;
    let shown = turn(&memory, ON).await.expect("recovery is on");
    let recovery = r#"{"EarliestRestorableDateTime":1770000000,"LatestRestorableDateTime":1770000000,"PointInTimeRecoveryStatus":"ENABLED","RecoveryPeriodInDays":35}"#;
    assert!(shown.contains(recovery), "{shown}");
    // What an archive has from before recovery was turned on is not shown.
    memory.set_archive(Archive::KeepsUp { before_ms: DAY_MS });
    let body = r#"{"TableName":"source"}"#;
    let shown = ask(&memory, Operation::DescribeContinuousBackups, body).await;
    assert!(shown.expect("there is such a table").contains(recovery));
}

#[tokio::test]
async fn as_long_as_the_archive_is_empty_nothing_is_promised() {
    let memory = Memory::default();
    memory.set_archive(Archive::Empty);
    make_table(&memory, "source").await;
    let shown = turn(&memory, ON).await.expect("recovery is on");
    assert!(!shown.contains("RestorableDateTime"), "{shown}");
    let refused = restore(&memory, LATEST).await.expect_err("there is nothing yet");
    assert_eq!(refused.row().name, "PointInTimeRecoveryUnavailableException");
}

#[tokio::test]
async fn a_time_is_out_of_range_or_becomes_what_can_be_restored_of_its_second() {
    let memory = Memory::default();
    make_table(&memory, "source").await;
    turn(&memory, ON).await.expect("recovery is on");
    for at in ["1769999999", "1769999999.999", "1770000001", "-1", "0", "1e300"] {
        let when = format!(r#""RestoreDateTime":{at}"#);
        let refused = restore(&memory, &when).await.expect_err("out of range");
        assert_eq!(refused.row().name, "InvalidRestoreTimeException", "{at}");
    }
    let refused = restore(&memory, r#""RestoreDateTime":1770000001"#).await;
    assert_eq!(
        refused.expect_err("out of range").message().as_deref(),
        Some(
            "RestoreDateTime '2026-02-02T02:40:01Z' must be within EarliestRestorableDateTime \
             '2026-02-02T02:40:00Z' and LatestRestorableDateTime '2026-02-02T02:40:00Z'"
        )
    );
    let restored = restore(&memory, r#""RestoreDateTime":1770000000"#).await.expect("in range");
    let summary = r#""RestoreSummary":{"RestoreDateTime":1770000000.123,"RestoreInProgress":true,"SourceTableArn":"arn:aws:dynamodb:eu-test-1:000000000000:table/source"}"#;
    assert!(restored.contains(summary), "{restored}");
    let body = r#"{"TableName":"restored"}"#;
    let shown = ask(&memory, Operation::DescribeTable, body).await.expect("it is there");
    assert!(shown.contains("ACTIVE") && !shown.contains("RestoreSummary"), "{shown}");
}

#[tokio::test]
async fn a_table_of_another_region_is_restored_from_that_regions_archive() {
    let memory = Memory::default();
    make_table(&memory, "source").await;
    turn(&memory, ON).await.expect("recovery is on");
    let here = memory.table("source").expect("it was made");
    let ask_for = async |target: &str| {
        let body = format!(
            r#"{{"SourceTableArn":"arn:aws:dynamodb:us-test-1:000000000000:table/source","TargetTableName":"{target}",{LATEST}}}"#
        );
        ask(&memory, Operation::RestoreTableToPointInTime, &body).await.expect("it is restored");
        memory
            .table(target)
            .and_then(|table| table.restore.clone())
            .expect("it says from what")
            .source
    };
    // Its archive is not in this region's object store: the table of that name here.
    let source = ask_for("first").await;
    assert_eq!((source.owner, source.table), (None, here.id));
    let owner = ArchiveOwner { cluster: "c".to_owned(), region: "us-test-1".to_owned() };
    let times = Some(Restorable { earliest_ms: 1_000, latest_ms: 5_500 });
    let (id, definition) = (TableId(99), here.definition.clone());
    let archived = ArchivedTable { owner: owner.clone(), id, definition, times };
    *memory.elsewhere.lock().unwrap() = Some(("source".to_owned(), archived));
    let source = ask_for("second").await;
    assert_eq!((source.owner, source.table, source.at_ms), (Some(owner), TableId(99), 5_500));
    assert_eq!(source.table_arn, "arn:aws:dynamodb:us-test-1:000000000000:table/source");
}
