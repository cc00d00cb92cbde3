//! What the objects of an export are called.
//!
//! ```text
//! <prefix>/AWSDynamoDB/<export id>/_started                 empty
//! <prefix>/AWSDynamoDB/<export id>/manifest-summary.json    and manifest-summary.checksum
//! <prefix>/AWSDynamoDB/<export id>/manifest-files.json      and manifest-files.checksum
//! <prefix>/AWSDynamoDB/<export id>/data/<name>.json.gz      of a full export
//! <prefix>/AWSDynamoDB/data/<name>.json.gz                  of an incremental one
//! ```
//!
//! # Invariants
//!
//! - A data file's name follows from the export, the partition and the file's number, so that an
//!   export that is begun again writes over what it wrote; no other export writes it.
//!
//! Tested below.

use crate::checksum::digits;

/// The names of one export's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportLayout {
    /// Up to and with `AWSDynamoDB/`.
    root: String,
    id: String,
    incremental: bool,
}

impl ExportLayout {
    /// The names of an export with this id under the prefix of its request.
    pub fn new(prefix: Option<&str>, id: &str, incremental: bool) -> Self {
        let prefix = prefix.unwrap_or_default();
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        ExportLayout {
            root: format!("{prefix}{slash}AWSDynamoDB/"),
            id: id.to_owned(),
            incremental,
        }
    }

    fn own(&self, name: &str) -> String {
        format!("{}{}/{name}", self.root, self.id)
    }

    /// The empty object that says that the bucket can be written to.
    pub fn started(&self) -> String {
        self.own("_started")
    }

    /// What was exported: `ExportManifest`.
    pub fn summary(&self) -> String {
        self.own("manifest-summary.json")
    }

    /// The checksum of [`ExportLayout::summary`].
    pub fn summary_checksum(&self) -> String {
        self.own("manifest-summary.checksum")
    }

    /// The list of the data files.
    pub fn files(&self) -> String {
        self.own("manifest-files.json")
    }

    /// The checksum of [`ExportLayout::files`].
    pub fn files_checksum(&self) -> String {
        self.own("manifest-files.checksum")
    }

    /// A data file of a partition, numbered from 0.
    pub fn data(&self, partition: u64, number: u32) -> String {
        let name = digits(format!("{}/{partition}/{number}", self.id).as_bytes());
        if self.incremental {
            format!("{}data/{name}.json.gz", self.root)
        } else {
            self.own(&format!("data/{name}.json.gz"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01700000000123-0000beef";

    #[test]
    fn prefixes_are_joined_by_one_slash() {
        let summary = |prefix| ExportLayout::new(prefix, ID, false).summary();
        let expected = "AWSDynamoDB/01700000000123-0000beef/manifest-summary.json";
        assert_eq!(summary(None), expected);
        assert_eq!(summary(Some("")), expected);
        assert_eq!(summary(Some("a/b")), format!("a/b/{expected}"));
        assert_eq!(summary(Some("a/")), format!("a/{expected}"));
    }

    #[test]
    fn data_of_a_full_export_is_its_own_and_of_an_incremental_one_beside_it() {
        let full = ExportLayout::new(Some("p"), ID, false);
        let incremental = ExportLayout::new(Some("p"), ID, true);
        assert!(full.data(16, 0).starts_with(&format!("p/AWSDynamoDB/{ID}/data/")));
        assert!(incremental.data(16, 0).starts_with("p/AWSDynamoDB/data/"));
        let names = [full.data(16, 0), full.data(16, 1), full.data(17, 0)];
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
        assert_eq!(full.data(16, 0), names[0], "the same again");
        let other = ExportLayout::new(Some("p"), "01700000000123-0000bee0", true);
        assert_ne!(other.data(16, 0), incremental.data(16, 0));
    }
}
