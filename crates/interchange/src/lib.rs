//! The files by which tables come and go: what an export writes and what an import reads, in the
//! formats that AWS publishes for DynamoDB and Amazon S3.
//!
//! Nothing here reads or writes an object: names and bytes go out, bytes come in.
//!
//! # Invariants
//!
//! - The data files of an export and its manifests depend on nothing but what is exported: writing
//!   them again writes the same.
//! - What [`DataFile`] writes, [`ObjectReader`] reads back equal.
//! - Nothing panics on bytes from outside, and what is held of them is bounded, however they are
//!   compressed.
//!
//! Tested beside the code; by a reader in Python too, in `tests/sdk/exported.py`.

mod checksum;
mod data;
mod decode;
mod layout;
mod manifest;
mod report;
mod rows;
mod source;

pub use checksum::{checksum, etag};
pub use data::{Change, DataFile, FINISHED_PLAIN_BYTES, Finished};
pub use layout::ExportLayout;
pub use manifest::{Exported, FileEntry, Summary, files_manifest};
pub use report::{ErrorReport, IMPORT_ERRORS_FOLDER, REPORTED_MAX, report_key};
pub use rows::{Row, RowError};
pub use source::{Compression, CsvOptions, Format, ObjectReader};
