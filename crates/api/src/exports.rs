//! How exports are shown, and what is written of them.
//!
//! Tested by `exports.txt` and `tests/jobs.rs`.

use meridian_base::TableId;
use meridian_control::region::{ExportOutcome, ExportRecord, ExportScope};
use meridian_control::time::iso_label;
use meridian_interchange::{ExportLayout, Exported, Summary};
use meridian_wire::ApiError;
use meridian_wire::arn::table_arn;
use meridian_wire::json::Object;

use crate::backend::{BackendError, ChangeError};
use crate::context::RequestContext;
use crate::describe::uuid_of;
use crate::errors;
use crate::jobs::{Kind, job_arn};
use meridian_control::region::Refusal;

/// What an export is encrypted with where the request does not say so.
const SSE_ALGORITHM: &str = "AES256";
/// The least that an incremental export is billed for (AWS: 10 MB).
const INCREMENTAL_BILLED_BYTES_MIN: u64 = 10_000_000;

/// Returns an export's ARN.
pub fn export_arn(region: &str, export: &ExportRecord) -> String {
    job_arn(Kind::Export, region, &export.table_name, export.id)
}

/// Returns the names of an export's objects.
pub fn layout(export: &ExportRecord) -> ExportLayout {
    let prefix = export.request.to.prefix.as_deref();
    ExportLayout::new(prefix, &export.id.to_string(), is_incremental(export))
}

/// True when it shows what was written between two times.
pub fn is_incremental(export: &ExportRecord) -> bool {
    match export.request.scope {
        ExportScope::Full { .. } => false,
        ExportScope::Incremental { .. } => true,
    }
}

/// Returns what an export of so many bytes of items is billed for.
pub fn billed_bytes(export: &ExportRecord, bytes: u64) -> u64 {
    if is_incremental(export) { bytes.max(INCREMENTAL_BILLED_BYTES_MIN) } else { bytes }
}

/// `2015-05-20T23:46:10.107Z`.
fn date(ms: u64) -> String {
    format!("{}Z", iso_label(ms))
}

fn view_name(old_images: bool) -> &'static str {
    if old_images { "NEW_AND_OLD_IMAGES" } else { "NEW_IMAGE" }
}

/// Returns the content of an export's `manifest-summary.json`.
pub fn summary(
    region: &str,
    export: &ExportRecord,
    ended_ms: u64,
    items: u64,
    billed_bytes: u64,
) -> Vec<u8> {
    let started_ms = export.id.at_ms;
    let (times, view) = match export.request.scope {
        ExportScope::Full { at_ms } => ([date(at_ms.unwrap_or(started_ms)), String::new()], ""),
        ExportScope::Incremental { from_ms, to_ms, old_images } => {
            ([date(from_ms), date(to_ms.unwrap_or(started_ms))], view_name(old_images))
        }
    };
    let [first, second] = &times;
    let summary = Summary {
        export_arn: &export_arn(region, export),
        started: &date(started_ms),
        ended: &date(ended_ms),
        table_arn: &table_arn(region, &export.table_name),
        table_id: &uuid_of(export.table.0),
        exported: if is_incremental(export) {
            Exported::Incremental { from: first, to: second, view }
        } else {
            Exported::Full { at: first }
        },
        bucket: &export.request.to.bucket,
        prefix: export.request.to.prefix.as_deref(),
        sse_algorithm: export.request.sse_algorithm.as_deref().unwrap_or(SSE_ALGORITHM),
        sse_key: export.request.sse_key.as_deref(),
        files_key: &layout(export).files(),
        billed_bytes,
        items,
    };
    summary.encode()
}

/// Returns `ExportStatus`.
pub fn status(export: &ExportRecord) -> &'static str {
    match &export.ended {
        None => "IN_PROGRESS",
        Some((_, ExportOutcome::Completed { .. })) => "COMPLETED",
        Some((_, ExportOutcome::Failed(_))) => "FAILED",
    }
}

/// Returns `ExportType`.
pub fn type_name(export: &ExportRecord) -> &'static str {
    if is_incremental(export) { "INCREMENTAL_EXPORT" } else { "FULL_EXPORT" }
}

/// Answers with `ExportDescription`. As on the service, the type of a full export is not in it.
pub fn describe(context: &RequestContext, export: &ExportRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("ExportDescription"));
    let (request, started_ms) = (&export.request, export.id.at_ms);
    let completed = match &export.ended {
        Some((_, ExportOutcome::Completed { items, billed_bytes })) => {
            Some((*items, *billed_bytes))
        }
        Some((_, ExportOutcome::Failed(_))) | None => None,
    };
    if let Some((_, billed_bytes)) = completed {
        shown.number("BilledSizeBytes", billed_bytes);
    }
    text(&mut shown, "ClientToken", request.token.as_deref());
    shown.text("DestinationType", "S3");
    if let Some((ended_ms, _)) = export.ended {
        shown.seconds("EndTime", ended_ms);
    }
    shown.text("ExportArn", &export_arn(&context.region, export));
    shown.text("ExportFormat", "DYNAMODB_JSON");
    if completed.is_some() {
        shown.text("ExportManifest", &layout(export).summary());
    }
    shown.text("ExportStatus", status(export));
    match request.scope {
        ExportScope::Full { at_ms } => {
            shown.seconds("ExportTime", at_ms.unwrap_or(started_ms));
        }
        ExportScope::Incremental { .. } => drop(shown.text("ExportType", type_name(export))),
    }
    if let Some((_, ExportOutcome::Failed(failure))) = &export.ended {
        shown.text("FailureCode", &failure.code).text("FailureMessage", &failure.message);
    }
    if let ExportScope::Incremental { from_ms, to_ms, old_images } = request.scope {
        let mut scope = Object::open(shown.key("IncrementalExportSpecification"));
        scope.seconds("ExportFromTime", from_ms);
        scope.seconds("ExportToTime", to_ms.unwrap_or(started_ms));
        scope.text("ExportViewType", view_name(old_images));
        scope.close();
    }
    if let Some((items, _)) = completed {
        shown.number("ItemCount", items);
    }
    shown.text("S3Bucket", &request.to.bucket);
    text(&mut shown, "S3BucketOwner", request.to.owner.as_deref());
    text(&mut shown, "S3Prefix", request.to.prefix.as_deref());
    shown.text("S3SseAlgorithm", request.sse_algorithm.as_deref().unwrap_or(SSE_ALGORITHM));
    text(&mut shown, "S3SseKmsKeyId", request.sse_key.as_deref());
    shown.seconds("StartTime", started_ms);
    shown.text("TableArn", &table_arn(&context.region, &export.table_name));
    shown.text("TableId", &table_id(export.table));
    shown.close();
    answer.close();
    out
}

fn text(object: &mut Object<'_>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.text(key, value);
    }
}

/// Returns `TableId`.
pub fn table_id(id: TableId) -> String {
    uuid_of(id.0)
}

/// Words why an export was not begun.
pub fn refused(error: ChangeError, table_arn: &str) -> ApiError {
    match error {
        ChangeError::Region(Refusal::OtherParameters) => ApiError::ExportConflict(
            "Export conflict: Duplicate request detected with conflicting parameters".to_owned(),
        ),
        ChangeError::Region(Refusal::TableNotFound)
        | ChangeError::Backend(BackendError::ResourceNotFound) => {
            ApiError::TableNotFound(format!("Table not found: {table_arn}"))
        }
        ChangeError::Region(Refusal::LimitExceeded) => ApiError::LimitExceeded(
            "Limit exceeded: there are too many exports under way".to_owned(),
        ),
        error @ (ChangeError::Region(_) | ChangeError::Global(_) | ChangeError::Backend(_)) => {
            errors::change(error, table_arn)
        }
    }
}
