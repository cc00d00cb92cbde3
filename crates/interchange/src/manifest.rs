//! The manifests of an export: what was exported, and where it lies.
//!
//! Tested below against the members that AWS documents, and by `tests/sdk/exported.py`.

use crate::data::Finished;
use meridian_wire::json::Object;

/// `version` of the summary of a full export, and of an incremental one.
const FULL_VERSION: &str = "2020-06-30";
const INCREMENTAL_VERSION: &str = "2023-08-01";

/// What an export holds; times in ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported<'a> {
    /// All items as they were at a time.
    Full {
        /// The time.
        at: &'a str,
    },
    /// What was written between two times.
    Incremental {
        /// From this time on.
        from: &'a str,
        /// Up to this time, which is not in it.
        to: &'a str,
        /// `NEW_IMAGE` or `NEW_AND_OLD_IMAGES`.
        view: &'a str,
    },
}

/// `manifest-summary.json`; times in ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary<'a> {
    /// The export's ARN.
    pub export_arn: &'a str,
    /// When it was requested.
    pub started: &'a str,
    /// When it was complete.
    pub ended: &'a str,
    /// The table's ARN.
    pub table_arn: &'a str,
    /// The table's id, as DescribeTable shows it.
    pub table_id: &'a str,
    /// What it holds.
    pub exported: Exported<'a>,
    /// The bucket.
    pub bucket: &'a str,
    /// The prefix of the request.
    pub prefix: Option<&'a str>,
    /// `S3SseAlgorithm`.
    pub sse_algorithm: &'a str,
    /// `S3SseKmsKeyId`.
    pub sse_key: Option<&'a str>,
    /// The name of the list of data files.
    pub files_key: &'a str,
    /// `BilledSizeBytes`.
    pub billed_bytes: u64,
    /// Lines of all data files.
    pub items: u64,
}

fn text_or_null(object: &mut Object<'_>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => drop(object.text(key, value)),
        None => object.key(key).extend_from_slice(b"null"),
    }
}

impl Summary<'_> {
    /// The object's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let mut object = Object::open(&mut out);
        let version = match self.exported {
            Exported::Full { .. } => FULL_VERSION,
            Exported::Incremental { .. } => INCREMENTAL_VERSION,
        };
        object.text("version", version);
        object.text("exportArn", self.export_arn);
        object.text("startTime", self.started);
        object.text("endTime", self.ended);
        object.text("tableArn", self.table_arn);
        object.text("tableId", self.table_id);
        match self.exported {
            Exported::Full { at } => drop(object.text("exportTime", at)),
            Exported::Incremental { from, to, .. } => {
                object.text("exportFromTime", from).text("exportToTime", to);
            }
        }
        object.text("s3Bucket", self.bucket);
        text_or_null(&mut object, "s3Prefix", self.prefix);
        object.text("s3SseAlgorithm", self.sse_algorithm);
        text_or_null(&mut object, "s3SseKmsKeyId", self.sse_key);
        object.text("manifestFilesS3Key", self.files_key);
        object.number("billedSizeBytes", self.billed_bytes);
        object.number("itemCount", self.items);
        object.text("outputFormat", "DYNAMODB_JSON");
        match self.exported {
            Exported::Full { .. } => drop(object.text("exportType", "FULL_EXPORT")),
            Exported::Incremental { view, .. } => {
                object.text("outputView", view).text("exportType", "INCREMENTAL_EXPORT");
            }
        }
        object.close();
        out
    }
}

/// A data file as the list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The object's name.
    pub key: String,
    /// Its lines.
    pub items: u64,
    /// `md5Checksum`.
    pub md5: String,
    /// `etag`.
    pub etag: String,
}

impl FileEntry {
    /// The entry of a file that is stored under a name.
    pub fn of(key: String, file: &Finished) -> Self {
        FileEntry { key, items: file.items, md5: file.md5.clone(), etag: file.etag.clone() }
    }
}

/// The content of `manifest-files.json`: a line a file.
pub fn files_manifest(files: &[FileEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        let mut object = Object::open(&mut out);
        object.number("itemCount", file.items);
        object.text("md5Checksum", &file.md5).text("etag", &file.etag);
        object.text("dataFileS3Key", &file.key);
        object.close();
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(exported: Exported<'_>, prefix: Option<&str>) -> Value {
        let summary = Summary {
            export_arn: "arn:export",
            started: "2020-11-04T07:28:34.028Z",
            ended: "2020-11-04T07:33:43.897Z",
            table_arn: "arn:table",
            table_id: "12345a12",
            exported,
            bucket: "bucket",
            prefix,
            sse_algorithm: "AES256",
            sse_key: None,
            files_key: "AWSDynamoDB/x/manifest-files.json",
            billed_bytes: 0,
            items: 8,
        };
        serde_json::from_slice(&summary.encode()).unwrap()
    }

    #[test]
    fn a_full_summary_has_the_members_that_are_documented() {
        let expected = json!({
            "version": "2020-06-30",
            "exportArn": "arn:export",
            "startTime": "2020-11-04T07:28:34.028Z",
            "endTime": "2020-11-04T07:33:43.897Z",
            "tableArn": "arn:table",
            "tableId": "12345a12",
            "exportTime": "2020-11-04T07:28:34.028Z",
            "s3Bucket": "bucket",
            "s3Prefix": "2020-Nov",
            "s3SseAlgorithm": "AES256",
            "s3SseKmsKeyId": null,
            "manifestFilesS3Key": "AWSDynamoDB/x/manifest-files.json",
            "billedSizeBytes": 0,
            "itemCount": 8,
            "outputFormat": "DYNAMODB_JSON",
            "exportType": "FULL_EXPORT",
        });
        let full = Exported::Full { at: "2020-11-04T07:28:34.028Z" };
        assert_eq!(read(full, Some("2020-Nov")), expected);
        assert_eq!(read(full, None)["s3Prefix"], Value::Null);
    }

    #[test]
    fn an_incremental_summary_has_two_times_and_a_view() {
        let exported = Exported::Incremental { from: "a", to: "b", view: "NEW_AND_OLD_IMAGES" };
        let summary = read(exported, None);
        assert_eq!(summary["version"], "2023-08-01");
        assert_eq!(summary["exportType"], "INCREMENTAL_EXPORT");
        assert_eq!(
            (&summary["exportFromTime"], &summary["exportToTime"]),
            (&json!("a"), &json!("b"))
        );
        assert_eq!(summary["outputView"], "NEW_AND_OLD_IMAGES");
        assert!(summary.get("exportTime").is_none());
    }

    #[test]
    fn files_are_listed_a_line_each() {
        let entry = |key: &str| FileEntry {
            key: key.to_owned(),
            items: 8,
            md5: "sQMSpEILNgoQmarvDFonGQ==".to_owned(),
            etag: "af83d6f217c19b8b0fff8023d8ca4716-1".to_owned(),
        };
        let line = |key: &str| {
            format!(
                "{{\"itemCount\":8,\"md5Checksum\":\"sQMSpEILNgoQmarvDFonGQ==\",\"etag\":\
                 \"af83d6f217c19b8b0fff8023d8ca4716-1\",\"dataFileS3Key\":\"{key}\"}}\n"
            )
        };
        let listed = files_manifest(&[entry("a"), entry("b")]);
        assert_eq!(String::from_utf8(listed).unwrap(), line("a") + &line("b"));
        assert_eq!(files_manifest(&[]), b"");
    }
}
