//! ExportTableToPointInTime.
//!
//! The order of the checks is the service's, as far as it is known: how the request is put, the table,
//! the times of an incremental export, whether recovery is on, the time of a full one. What is wrong
//! with the bucket is told by the export, not by this answer.
//!
//! # Invariants
//!
//! - A time that is not archived yet is taken: the export waits for it.
//!
//! Tested by `exports.txt` and `tests/jobs.rs`.

use meridian_control::region::{ExportRequest, ExportScope, TableRecord};
use meridian_control::time::iso_label;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::invalid;
use crate::jobs::{read_table_arn, take_place};
use crate::moments::milliseconds;
use crate::{backups, exports, unbuilt};

/// Shortest and longest time that an incremental export shows (AWS: 15 minutes, 24 hours).
const WINDOW_MS_MIN: u64 = 15 * 60 * 1000;
const WINDOW_MS_MAX: u64 = 24 * 3600 * 1000;

/// Answers ExportTableToPointInTime.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("TableArn").unwrap_or_default();
    let now_ms = backend.now_ms();
    let scope = scope(&mut fields)?;
    let request = request(&mut fields, scope)?;
    let name = read_table_arn(&arn)?;
    let not_found = || ApiError::TableNotFound(format!("Table not found: {arn}"));
    let table = backups::known(backend, name).ok_or_else(not_found)?;
    // The times of a request that is made again may be out of range by now.
    if !is_known(backend, &request) {
        check(backend, &table, scope, now_ms).await?;
    }
    let begun = backend.begin_export(&table, request).await;
    let export = begun.map_err(|error| exports::refused(error, &arn))?;
    Ok(exports::describe(context, &export))
}

/// True when an export with the request's token is known; whether it is the same is seen where it is
/// begun.
fn is_known(backend: &dyn Backend, request: &ExportRequest) -> bool {
    request.token.is_some() && {
        let all = backend.exports(None, None, usize::MAX);
        all.iter().any(|export| export.request.token == request.token)
    }
}

fn request(fields: &mut Fields, scope: ExportScope) -> Result<ExportRequest, ApiError> {
    unbuilt::parameters(fields, &["FilterSpecification"])?;
    if fields.take_text("ExportFormat").as_deref() == Some("ION") {
        return Err(invalid(
            "The export format ION is not supported by this server: only DYNAMODB_JSON is.",
        ));
    }
    let (sse_algorithm, sse_key) =
        (fields.take_text("S3SseAlgorithm"), fields.take_text("S3SseKmsKeyId"));
    if sse_key.is_some() && sse_algorithm.as_deref() != Some("KMS") {
        return Err(invalid(
            "Invalid Request: KMS Key Id is not supported for this encryption type",
        ));
    }
    let to = take_place(fields, "S3Prefix", "s3Bucket")?;
    Ok(ExportRequest { token: fields.take_text("ClientToken"), to, sse_algorithm, sse_key, scope })
}

/// What is asked for, of whatever time.
fn scope(fields: &mut Fields) -> Result<ExportScope, ApiError> {
    let at_ms = milliseconds(fields.take("ExportTime"));
    let specification = fields.take_fields("IncrementalExportSpecification");
    let kind = fields.take_text("ExportType");
    let request = |text| Err(invalid(format!("Invalid Request: {text}")));
    match (kind.as_deref(), specification) {
        (None, None) | (Some("FULL_EXPORT"), None) => Ok(ExportScope::Full { at_ms }),
        (None, Some(_)) => request(
            "Export Type expected to be Incremental Export when incremental export specification \
             is provided",
        ),
        (Some("FULL_EXPORT"), Some(_)) => request(
            "When Export Type is Full Export , Incremental Export Specification should not be \
             provided",
        ),
        (Some(_), None) => request(
            "Incremental Export Specification expected when export type is set as Incremental \
             Export",
        ),
        (Some(_), Some(mut specification)) => {
            let Some(from_ms) = milliseconds(specification.take("ExportFromTime")) else {
                return request(
                    "ExportFromTime must be provided in IncrementalExportSpecification",
                );
            };
            let to_ms = milliseconds(specification.take("ExportToTime"));
            let view = specification.take_text("ExportViewType");
            let old_images = view.as_deref() != Some("NEW_IMAGE");
            Ok(ExportScope::Incremental { from_ms, to_ms, old_images })
        }
    }
}

/// Holds the times to what can be exported.
async fn check(
    backend: &dyn Backend,
    table: &TableRecord,
    scope: ExportScope,
    now_ms: u64,
) -> Result<(), ApiError> {
    if let ExportScope::Incremental { from_ms, to_ms, .. } = scope {
        check_window(table, from_ms, to_ms, now_ms)?;
    }
    let recovery = table.own.recovery.ok_or_else(|| {
        ApiError::PointInTimeRecoveryUnavailable(format!(
            "Point in time recovery is not enabled for table '{}'",
            table.name
        ))
    })?;
    let asked_ms = match scope {
        ExportScope::Full { at_ms: None } => return Ok(()),
        ExportScope::Full { at_ms: Some(at_ms) } => at_ms,
        ExportScope::Incremental { from_ms, .. } => from_ms,
    };
    let in_seconds = |ms: u64| ms / 1000;
    if asked_ms > now_ms || in_seconds(asked_ms) < in_seconds(recovery.since_ms) {
        return Err(invalid_time("Export Time is invalid"));
    }
    let window = backups::window(backend, table, recovery).await?.ok_or_else(unavailable)?;
    if in_seconds(asked_ms) < in_seconds(window.earliest_ms) {
        return Err(unavailable());
    }
    Ok(())
}

fn check_window(
    table: &TableRecord,
    from_ms: u64,
    to_ms: Option<u64>,
    now_ms: u64,
) -> Result<(), ApiError> {
    if from_ms < table.created_ms {
        return Err(invalid_time(format!(
            "Incremental export period from time cannot be less than the table creation time : {}",
            date(from_ms)
        )));
    }
    if let Some(late) = to_ms.filter(|to_ms| *to_ms > now_ms) {
        return Err(invalid_time(format!(
            "Incremental export period to time cannot be greater than the current time : {}",
            date(late)
        )));
    }
    let length = to_ms.unwrap_or(now_ms).saturating_sub(from_ms);
    let difference = "Difference between export period from time and export period to time is";
    if length < WINDOW_MS_MIN {
        return Err(invalid_time(format!("{difference} less than 15 minutes")));
    }
    if length > WINDOW_MS_MAX {
        return Err(invalid_time(format!("{difference} greater than 24 hours")));
    }
    Ok(())
}

fn invalid_time(text: impl Into<String>) -> ApiError {
    ApiError::InvalidExportTime(text.into())
}

fn unavailable() -> ApiError {
    invalid_time("Point in Time Recovery is not available for specified export time")
}

/// `2015-05-20T23:46:10Z`.
fn date(ms: u64) -> String {
    let label = iso_label(ms);
    format!("{}Z", label.split_once('.').map_or(label.as_str(), |(seconds, _)| seconds))
}
