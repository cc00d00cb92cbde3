//! The report of an import's errors: an object of JSON lines in the bucket that is read, where the
//! service writes to a log of its own.
//!
//! # Invariants
//!
//! - It holds the first [`REPORTED_MAX`] errors; more are counted by the import alone.
//! - No import reads it: what is called so is passed over.
//!
//! Tested below.

use meridian_wire::json::{Array, Object, string};

/// Errors that a report holds at most.
pub const REPORTED_MAX: usize = 10_000;

/// The folder of all reports in a bucket.
pub const IMPORT_ERRORS_FOLDER: &str = "AWSDynamoDB/import-errors/";

/// The name of an import's report.
pub fn report_key(import_id: &str) -> String {
    format!("{IMPORT_ERRORS_FOLDER}{import_id}.jsonl")
}

/// A report that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReport {
    out: Vec<u8>,
    errors: usize,
}

impl ErrorReport {
    /// Adds an error of the row at `index` of an object.
    pub fn add(&mut self, import_arn: &str, bucket: &str, key: &str, index: u64, error: &str) {
        if self.errors >= REPORTED_MAX {
            return;
        }
        self.errors += 1;
        let mut line = Object::open(&mut self.out);
        let mut pointer = Object::open(line.key("itemS3Pointer"));
        pointer.text("bucket", bucket).text("key", key).number("itemIndex", index);
        pointer.close();
        line.text("importArn", import_arn);
        let mut messages = Array::open(line.key("errorMessages"));
        string(messages.element(), error);
        messages.close();
        line.close();
        self.out.push(b'\n');
    }

    /// The object's content; none without errors.
    pub fn finish(self) -> Option<Vec<u8>> {
        Some(self.out).filter(|out| !out.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_where_and_why() {
        let mut report = ErrorReport::default();
        report.add("arn", "bucket", "a/b.json", 3, "Missing the key \"pk\"");
        let expected = "{\"itemS3Pointer\":{\"bucket\":\"bucket\",\"key\":\"a/b.json\",\
                        \"itemIndex\":3},\"importArn\":\"arn\",\"errorMessages\":\
                        [\"Missing the key \\\"pk\\\"\"]}\n";
        assert_eq!(String::from_utf8(report.finish().unwrap()).unwrap(), expected);
        assert_eq!(ErrorReport::default().finish(), None);
    }

    #[test]
    fn a_report_is_bounded() {
        let mut report = ErrorReport::default();
        (0..REPORTED_MAX + 5).for_each(|_| report.add("", "", "", 0, ""));
        let lines = report.finish().unwrap().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, REPORTED_MAX);
    }
}
