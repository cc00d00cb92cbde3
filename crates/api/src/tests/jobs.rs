//! Exports and imports: what the transcripts cannot show, because it differs by time, or because the
//! files of a bucket have to be put there.

use meridian_control::region::ExportScope;
use meridian_wire::{ApiError, Operation};
use serde_json::Value;

use super::memory::{Archive, Memory};
use super::{ask, make_table};
use crate::backend::Backend;

const DAY_S: u64 = 24 * 3600;
/// Now, by the clock of the backend.
const NOW_S: u64 = 1_770_000_000;
const ARN: &str = "arn:aws:dynamodb:eu-test-1:000000000000:table";

async fn recovering(memory: &Memory) {
    make_table(memory, "source").await;
    let body = r#"{"TableName":"source","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}"#;
    ask(memory, Operation::UpdateContinuousBackups, body).await.expect("there is an archive");
}

async fn export(memory: &Memory, members: &str) -> Result<Value, ApiError> {
    let body = format!(r#"{{"TableArn":"{ARN}/source","S3Bucket":"bucket"{members}}}"#);
    let answer = ask(memory, Operation::ExportTableToPointInTime, &body).await?;
    Ok(serde_json::from_str::<Value>(&answer).unwrap()["ExportDescription"].clone())
}

async fn import(memory: &Memory, table: &str, members: &str) -> Result<Value, ApiError> {
    let body = format!(
        r#"{{"S3BucketSource":{{"S3Bucket":"bucket","S3KeyPrefix":"in/"}},{members},
            "TableCreationParameters":{{"TableName":"{table}","BillingMode":"PAY_PER_REQUEST",
            "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"N"}}]}}}}"#
    );
    let answer = ask(memory, Operation::ImportTable, &body).await?;
    Ok(serde_json::from_str::<Value>(&answer).unwrap()["ImportTableDescription"].clone())
}

async fn described(memory: &Memory, import: &Value) -> Value {
    let body = format!(r#"{{"ImportArn":{}}}"#, import["ImportArn"]);
    let answer = ask(memory, Operation::DescribeImport, &body).await.expect("it is known");
    serde_json::from_str::<Value>(&answer).unwrap()["ImportTableDescription"].clone()
}

async fn scanned(memory: &Memory, table: &str) -> String {
    let body = format!(r#"{{"TableName":"{table}"}}"#);
    ask(memory, Operation::Scan, &body).await.expect("it serves")
}

/// The error of an export, as `name: text`.
async fn refusal(memory: &Memory, members: &str) -> String {
    let error = export(memory, members).await.expect_err(members);
    format!("{}: {}", error.row().name, error.message().unwrap_or_default())
}

#[tokio::test]
async fn a_time_is_now_or_within_what_can_be_brought_back() {
    let memory = Memory::default();
    recovering(&memory).await;
    let of = |second: u64| format!(r#","ExportTime":{second}"#);
    let invalid = "InvalidExportTimeException: Export Time is invalid";
    assert_eq!(refusal(&memory, &of(NOW_S + 3600)).await, invalid);
    assert_eq!(refusal(&memory, &of(NOW_S - 3600)).await, invalid);
    let at = export(&memory, &of(NOW_S)).await.expect("it is now");
    assert_eq!(at["ExportTime"], NOW_S);
    let now = export(&memory, "").await.expect("none is stated");
    assert_eq!(now["ExportTime"], now["StartTime"]);
    memory.set_archive(Archive::Empty);
    assert_eq!(
        refusal(&memory, &of(NOW_S)).await,
        "InvalidExportTimeException: Point in Time Recovery is not available for specified export \
         time"
    );
    assert!(export(&memory, "").await.is_ok(), "an export waits for the archive");
}

fn window(from: u64, to: Option<u64>) -> String {
    let to = to.map_or_else(String::new, |to| format!(r#","ExportToTime":{to}"#));
    format!(
        r#","ExportType":"INCREMENTAL_EXPORT","IncrementalExportSpecification":{{"ExportFromTime":{from}{to}}}"#
    )
}

#[tokio::test]
async fn an_incremental_export_is_of_a_quarter_of_an_hour_to_a_day() {
    let memory = Memory::default();
    recovering(&memory).await;
    let early = "InvalidExportTimeException: Incremental export period from time cannot be less than \
                 the table creation time : 2026-02-02T02:30:00Z";
    assert_eq!(refusal(&memory, &window(NOW_S - 600, None)).await, early);
    let short = "InvalidExportTimeException: Difference between export period from time and export \
                 period to time is less than 15 minutes";
    assert_eq!(refusal(&memory, &window(NOW_S + 1, None)).await, short);
    let late = "InvalidExportTimeException: Incremental export period to time cannot be greater than \
                the current time : 2026-02-02T02:40:01Z";
    assert_eq!(refusal(&memory, &window(NOW_S + 1, Some(NOW_S + 1))).await, late);

    // A table that was made two days ago, with recovery on since then.
    let memory = Memory::default();
    memory.set_archive(Archive::KeepsUp { before_ms: 2 * DAY_S * 1000 });
    memory.begin_before(2 * DAY_S * 1000);
    recovering(&memory).await;
    memory.begin_before(0);
    let long = "InvalidExportTimeException: Difference between export period from time and export \
                period to time is greater than 24 hours";
    assert_eq!(refusal(&memory, &window(NOW_S - DAY_S - 3600, None)).await, long);
    assert_eq!(refusal(&memory, &window(NOW_S - 600, None)).await, short);
    let begun = export(&memory, &window(NOW_S - DAY_S, Some(NOW_S - 900))).await.expect("it fits");
    assert_eq!(begun["ExportType"], "INCREMENTAL_EXPORT");
    let scope = &begun["IncrementalExportSpecification"];
    assert_eq!(scope["ExportViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(
        (&scope["ExportFromTime"], &scope["ExportToTime"]),
        (&(NOW_S - DAY_S).into(), &(NOW_S - 900).into())
    );
    let scopes = memory.exports(None, None, 1).into_iter().map(|export| export.request.scope);
    let expected = ExportScope::Incremental {
        from_ms: (NOW_S - DAY_S) * 1000,
        to_ms: Some((NOW_S - 900) * 1000),
        old_images: true,
    };
    assert_eq!(scopes.collect::<Vec<_>>(), [expected]);
}

#[tokio::test]
async fn every_kind_of_row_is_imported_or_counted() {
    let memory = Memory::default();
    memory.buckets.put("bucket", "in/1.csv", b"a,b\n1,x\n2,\nno number,y\n".to_vec());
    memory.buckets.put("bucket", "in/2.csv", b"a,b\n3\n1,z\n".to_vec());
    memory.buckets.put("bucket", "in-other/3.csv", b"a\n9\n".to_vec());
    let begun = import(&memory, "csv", r#""InputFormat":"CSV""#).await.expect("it is begun");
    assert_eq!(begun["ImportStatus"], "IN_PROGRESS");
    let ended = described(&memory, &begun).await;
    assert_eq!(ended["ImportStatus"], "FAILED", "{ended}");
    assert_eq!(ended["FailureCode"], "ItemValidationError");
    assert_eq!(ended["ProcessedItemCount"], 5);
    assert_eq!((&ended["ImportedItemCount"], &ended["ErrorCount"]), (&3.into(), &2.into()));
    let items = scanned(&memory, "csv").await;
    assert!(items.contains(r#"{"a":{"N":"1"},"b":{"S":"z"}}"#), "the last of one key: {items}");
    assert!(items.contains(r#"{"a":{"N":"2"}}"#) && items.contains(r#""Count":2"#), "{items}");
}

#[tokio::test]
async fn an_export_is_imported_into_an_equal_table() {
    let memory = Memory::default();
    recovering(&memory).await;
    for n in 0..20 {
        let body = format!(
            r#"{{"TableName":"source","Item":{{"a":{{"S":"{n}"}},"all":{{"L":[{{"N":"1E+2"}},{{"B":"AQI="}},{{"SS":["x","y"]}},{{"NULL":true}},{{"M":{{"é":{{"BOOL":false}}}}}}]}}}}}}"#
        );
        ask(&memory, Operation::PutItem, &body).await.expect("it is put");
    }
    let exported = export(&memory, r#","S3Prefix":"in""#).await.expect("it is begun");
    let arn = exported["ExportArn"].as_str().unwrap();
    let id = arn.rsplit('/').next().unwrap();
    let body = format!(
        r#"{{"S3BucketSource":{{"S3Bucket":"bucket","S3KeyPrefix":"in/AWSDynamoDB/{id}/data/"}},
            "InputFormat":"DYNAMODB_JSON","InputCompressionType":"GZIP",
            "TableCreationParameters":{{"TableName":"copy","BillingMode":"PAY_PER_REQUEST",
            "KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}]}}}}"#
    );
    let begun = ask(&memory, Operation::ImportTable, &body).await.expect("it is begun");
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let ended = described(&memory, &begun["ImportTableDescription"]).await;
    assert_eq!(ended["ImportStatus"], "COMPLETED", "{ended}");
    assert_eq!(ended["ImportedItemCount"], 20);
    assert_eq!(scanned(&memory, "copy").await, scanned(&memory, "source").await);
}

#[tokio::test]
async fn pages_of_jobs_begin_with_the_newest() {
    let memory = Memory::default();
    recovering(&memory).await;
    for _ in 0..12 {
        export(&memory, "").await.expect("it is begun");
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    for expected in [10, 2] {
        let answer = ask(&memory, Operation::ListExports, &format!("{{{token}}}")).await;
        let page: Value = serde_json::from_str(&answer.expect("a page")).unwrap();
        let list = page["ExportSummaries"].as_array().unwrap();
        assert_eq!(list.len(), expected);
        seen.extend(list.iter().map(|one| one["ExportArn"].to_string()));
        token = format!(r#""NextToken":{}"#, page["NextToken"]);
    }
    assert_eq!(token, r#""NextToken":null"#, "the last page has no token");
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
}
