//! Backups as the API shows them, and how they are found by their ARN.
//!
//! As on the service, region and table in the ARN of a backup are not looked at, and the ARN that a
//! request names is the one that the answer shows.
//!
//! Tested by `tests/backups.rs` and `backups.txt`; the texts are the service's.

use meridian_control::region::{BackupKind, BackupRecord};
use meridian_control::table::{BillingMode, TableDefinition};
use meridian_wire::ApiError;
use meridian_wire::arn::{Arn, table_arn};
use meridian_wire::json::{Array, Object};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe;
use crate::errors::invalid;
use crate::jobs::{check_account, denied};

/// The ARN of a backup.
pub fn backup_arn(context: &RequestContext, backup: &BackupRecord) -> String {
    format!("{}/backup/{}", table_arn(&context.region, &backup.table_name), backup.label())
}

/// Reads the label out of the ARN of a backup.
pub fn label(arn: &str) -> Result<&str, ApiError> {
    let arn = Arn::parse(arn).ok_or_else(|| invalid("Invalid Backup ARN"))?;
    if arn.partition != "aws" || arn.service != "dynamodb" {
        return Err(invalid("BackupArn is not valid"));
    }
    let label = match *arn.resource.split('/').collect::<Vec<_>>().as_slice() {
        ["table", _, "backup", label] if !label.is_empty() => label,
        _ => return Err(invalid("Invalid Backup ARN")),
    };
    if arn.region.is_empty() {
        return Err(denied());
    }
    check_account(&arn)?;
    Ok(label)
}

/// Finds a backup by its ARN.
pub fn find(backend: &dyn Backend, arn: &str) -> Result<BackupRecord, ApiError> {
    let label = label(arn)?;
    let found = backend.backups().into_iter().find(|backup| backup.label() == label);
    found.ok_or_else(|| not_found(arn))
}

/// Says that there is no such backup.
pub fn not_found(arn: &str) -> ApiError {
    ApiError::BackupNotFound(format!("Backup not found: {arn}"))
}

/// Names a type.
fn kind_name(kind: BackupKind) -> &'static str {
    match kind {
        BackupKind::User => "USER",
        BackupKind::System => "SYSTEM",
    }
}

/// Names a status.
pub fn status_name(backup: &BackupRecord) -> &'static str {
    if backup.is_available() { "AVAILABLE" } else { "CREATING" }
}

/// Writes what every answer shows of a backup.
pub fn details(object: &mut Object<'_>, backup: &BackupRecord, arn: &str, status: &str) {
    object.text("BackupArn", arn);
    object.seconds("BackupCreationDateTime", backup.created_ms);
    if let Some(expires_ms) = backup.expires_ms {
        object.seconds("BackupExpiryDateTime", expires_ms);
    }
    object.text("BackupName", &backup.name).number("BackupSizeBytes", backup.bytes);
    object.text("BackupStatus", status).text("BackupType", kind_name(backup.kind));
}

/// Answers with `BackupDescription`.
pub fn answer(context: &RequestContext, backup: &BackupRecord, arn: &str, status: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut answer = Object::open(&mut out);
    let mut description = Object::open(answer.key("BackupDescription"));
    let mut shown = Object::open(description.key("BackupDetails"));
    details(&mut shown, backup, arn, status);
    shown.close();
    source(&mut description, context, backup);
    let mut shown = Object::open(description.key("SourceTableFeatureDetails"));
    // As on the service, nothing is told of the features of a table that is gone.
    if backup.kind == BackupKind::User {
        features(&mut shown, context, &backup.definition);
    }
    shown.close();
    description.close();
    answer.close();
    out
}

fn source(object: &mut Object<'_>, context: &RequestContext, backup: &BackupRecord) {
    let definition = &backup.definition;
    let mut shown = Object::open(object.key("SourceTableDetails"));
    shown.text("BillingMode", describe::billing_name(definition.billing));
    shown.number("ItemCount", backup.items);
    describe::key_schema(&mut shown, &(&definition.key).into());
    if definition.billing == BillingMode::PayPerRequest {
        describe::on_demand(&mut shown, definition.on_demand);
    }
    let mut throughput = Object::open(shown.key("ProvisionedThroughput"));
    throughput.number("ReadCapacityUnits", definition.throughput.map_or(0, |t| t.read_units));
    throughput.number("WriteCapacityUnits", definition.throughput.map_or(0, |t| t.write_units));
    throughput.close();
    shown.text("TableArn", &table_arn(&context.region, &backup.table_name));
    shown.seconds("TableCreationDateTime", backup.table_created_ms);
    shown.text("TableId", &describe::uuid_of(backup.table.0));
    shown.text("TableName", &backup.table_name).number("TableSizeBytes", backup.bytes);
    shown.close();
}

fn features(object: &mut Object<'_>, context: &RequestContext, definition: &TableDefinition) {
    if !definition.global_indexes.is_empty() {
        let mut list = Array::open(object.key("GlobalSecondaryIndexes"));
        for one in &definition.global_indexes {
            let mut shown = Object::open(list.element());
            shown.text("IndexName", &one.index.name);
            describe::key_schema(&mut shown, &one.index.keys);
            describe::projection(&mut shown, &one.index.projection);
            let mut throughput = Object::open(shown.key("ProvisionedThroughput"));
            throughput.number("ReadCapacityUnits", one.throughput.map_or(0, |t| t.read_units));
            throughput.number("WriteCapacityUnits", one.throughput.map_or(0, |t| t.write_units));
            throughput.close();
            shown.close();
        }
        list.close();
    }
    if !definition.local_indexes.is_empty() {
        let mut list = Array::open(object.key("LocalSecondaryIndexes"));
        for index in &definition.local_indexes {
            let mut shown = Object::open(list.element());
            shown.text("IndexName", &index.name);
            describe::key_schema(&mut shown, &(&index.schema(&definition.key)).into());
            describe::projection(&mut shown, &index.projection);
            shown.close();
        }
        list.close();
    }
    describe::encryption(object, context, definition.encryption.as_ref());
    if let Some(view) = definition.stream {
        let mut shown = Object::open(object.key("StreamDescription"));
        shown.flag("StreamEnabled", true).text("StreamViewType", describe::view_name(view));
        shown.close();
    }
    if let Some(attribute) = &definition.ttl {
        let mut shown = Object::open(object.key("TimeToLiveDescription"));
        shown.text("AttributeName", attribute).text("TimeToLiveStatus", "ENABLED");
        shown.close();
    }
}
