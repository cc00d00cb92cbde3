//! How imports are shown, and which items they take.
//!
//! Tested by `imports.txt` and `tests/jobs.rs`.

use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_control::region::{
    ImportCompression, ImportFormat, ImportRecord, ImportRequest, Refusal,
};
use meridian_control::table::TableDefinition;
use meridian_interchange::{Compression, CsvOptions, Format};
use meridian_model::{Item, Key, item_bytes};
use meridian_wire::ApiError;
use meridian_wire::arn::{ACCOUNT_ID, table_arn};
use meridian_wire::json::{Array, Object, string};

use crate::backend::ChangeError;
use crate::context::RequestContext;
use crate::describe::uuid_of;
use crate::errors::WriteFault;
use crate::jobs::{Kind, job_arn};
use crate::{errors, indexes};

/// `FailureCode` and `FailureMessage` of an import that could not take every row.
pub const ROWS_FAILED: (&str, &str) = (
    "ItemValidationError",
    "Some of the items failed validation checks and were not imported. Please check the error \
     report in the bucket for more details.",
);

/// `FailureCode` and `FailureMessage` of a job whose bucket is not known.
pub const NO_SUCH_BUCKET: (&str, &str) = (
    "S3NoSuchBucket",
    "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: \
     NoSuchBucket)",
);

/// `FailureCode` and `FailureMessage` of an import whose table's name was taken meanwhile.
pub fn table_exists(table: &str) -> (&'static str, String) {
    ("TableAlreadyExists", format!("Table already exists: {table}"))
}

/// Returns an import's ARN.
pub fn import_arn(region: &str, import: &ImportRecord) -> String {
    job_arn(Kind::Import, region, &import.request.table_name, import.id)
}

/// Returns the key of an item that the table takes, or why it does not take it.
pub fn checked(definition: &TableDefinition, item: &Item) -> Result<Key, String> {
    if item_bytes(item) > ITEM_BYTES_MAX {
        return Err("Item size has exceeded the maximum allowed size".to_owned());
    }
    let key = definition.key.key_of_item(item).map_err(|error| error.to_string())?;
    let told = |fault: WriteFault| ApiError::from(fault).message().unwrap_or_default();
    indexes::check_item(definition, item).map_err(told)?;
    Ok(key)
}

/// Returns how the objects of an import are read.
pub fn format(request: &ImportRequest) -> (Format, Compression) {
    let format = match &request.format {
        ImportFormat::DynamoDbJson => Format::DynamoDbJson,
        ImportFormat::Csv { delimiter, header } => {
            let delimiter = delimiter.and_then(|one| u8::try_from(one).ok()).unwrap_or(b',');
            Format::Csv(CsvOptions { delimiter, header: header.clone() })
        }
    };
    let compression = match request.compression {
        ImportCompression::None => Compression::None,
        ImportCompression::Gzip => Compression::Gzip,
        ImportCompression::Zstd => Compression::Zstd,
    };
    (format, compression)
}

/// Returns `ImportStatus`.
pub fn status(import: &ImportRecord) -> &'static str {
    match &import.ended {
        None => "IN_PROGRESS",
        Some((_, None)) => "COMPLETED",
        Some((_, Some(_))) => "FAILED",
    }
}

fn format_name(request: &ImportRequest) -> &'static str {
    match request.format {
        ImportFormat::DynamoDbJson => "DYNAMODB_JSON",
        ImportFormat::Csv { .. } => "CSV",
    }
}

fn source(object: &mut Object<'_>, request: &ImportRequest) {
    let mut source = Object::open(object.key("S3BucketSource"));
    source.text("S3Bucket", &request.from.bucket);
    source.text("S3BucketOwner", request.from.owner.as_deref().unwrap_or(ACCOUNT_ID));
    if let Some(prefix) = &request.from.prefix {
        source.text("S3KeyPrefix", prefix);
    }
    source.close();
}

/// `InputFormatOptions`, only where some were stated.
fn options(object: &mut Object<'_>, format: &ImportFormat) {
    let ImportFormat::Csv { delimiter, header } = format else { return };
    if delimiter.is_none() && header.is_none() {
        return;
    }
    let mut options = Object::open(object.key("InputFormatOptions"));
    let mut csv = Object::open(options.key("Csv"));
    if let Some(delimiter) = delimiter {
        csv.text("Delimiter", &delimiter.to_string());
    }
    if let Some(header) = header {
        let mut names = Array::open(csv.key("HeaderList"));
        header.iter().for_each(|name| string(names.element(), name));
        names.close();
    }
    csv.close();
    options.close();
}

/// Answers with `ImportTableDescription`.
pub fn describe(context: &RequestContext, import: &ImportRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("ImportTableDescription"));
    let (request, counts) = (&import.request, import.counts.unwrap_or_default());
    if let Some(token) = &request.token {
        shown.text("ClientToken", token);
    }
    if let Some((ended_ms, _)) = &import.ended {
        shown.seconds("EndTime", *ended_ms);
    }
    shown.number("ErrorCount", counts.errors);
    if let Some((_, Some(failure))) = &import.ended {
        shown.text("FailureCode", &failure.code).text("FailureMessage", &failure.message);
    }
    shown.text("ImportArn", &import_arn(&context.region, import));
    shown.text("ImportStatus", status(import));
    shown.number("ImportedItemCount", counts.imported);
    let compression = match request.compression {
        ImportCompression::None => "NONE",
        ImportCompression::Gzip => "GZIP",
        ImportCompression::Zstd => "ZSTD",
    };
    shown.text("InputCompressionType", compression);
    shown.text("InputFormat", format_name(request));
    options(&mut shown, &request.format);
    shown.number("ProcessedItemCount", counts.processed);
    shown.number("ProcessedSizeBytes", counts.bytes);
    source(&mut shown, request);
    shown.seconds("StartTime", import.id.at_ms);
    shown.text("TableArn", &table_arn(&context.region, &request.table_name));
    shown.key("TableCreationParameters").extend_from_slice(request.parameters.as_bytes());
    shown.text("TableId", &uuid_of(import.table.0));
    shown.close();
    answer.close();
    out
}

/// Writes an `ImportSummary`.
pub fn summarize(out: &mut Vec<u8>, context: &RequestContext, import: &ImportRecord) {
    let mut one = Object::open(out);
    if let Some((ended_ms, _)) = &import.ended {
        one.seconds("EndTime", *ended_ms);
    }
    one.text("ImportArn", &import_arn(&context.region, import));
    one.text("ImportStatus", status(import));
    one.text("InputFormat", format_name(&import.request));
    source(&mut one, &import.request);
    one.seconds("StartTime", import.id.at_ms);
    one.text("TableArn", &table_arn(&context.region, &import.request.table_name));
    one.close();
}

/// Words why an import was not begun.
pub fn refused(error: ChangeError, table: &str) -> ApiError {
    match error {
        ChangeError::Region(Refusal::OtherParameters) => ApiError::ImportConflict(
            "Import conflict: Duplicate request detected with conflicting parameters".to_owned(),
        ),
        ChangeError::Region(Refusal::LimitExceeded) => ApiError::LimitExceeded(
            "Limit exceeded: there are too many imports under way, or too many tables".to_owned(),
        ),
        error @ (ChangeError::Region(_) | ChangeError::Global(_) | ChangeError::Backend(_)) => {
            errors::change(error, table)
        }
    }
}
