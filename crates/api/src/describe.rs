//! TableDescription: a table as the API shows it.
//!
//! As on the service, attribute definitions and included attributes are sorted by name; indexes and
//! key schemas stand as they were stated.
//!
//! Tested by the golden transcripts of the table operations.

use std::collections::BTreeSet;

use meridian_control::pace::decreases_today;
use meridian_control::region::TableRecord;
use meridian_control::replica_settings::ReadOverride;
use meridian_control::table::{
    BillingMode, Encryption, GLOBAL_TABLE_VERSION, GlobalSnapshot, IndexStatus, OnDemandMaximum,
    ReplicaStatus, StreamView, TableClass, TableStatus, Throughput,
};
use meridian_model::key::partition_hash;
use meridian_model::{AttributeValue, IndexProjection, KeyAttributes};
use meridian_wire::arn::{index_arn, key_arn, stream_arn, table_arn};
use meridian_wire::json::{Array, Object, string};

use crate::backend::TableSize;
use crate::context::RequestContext;
use crate::settings;
use crate::underway::{self, Warming};

/// The key that the service manages for an account.
const OWN_KEY: &str = "alias/aws/dynamodb";

/// Answers with one member that describes a table.
pub fn answer(
    member: &str,
    context: &RequestContext,
    table: &TableRecord,
    size: TableSize,
) -> Vec<u8> {
    whole(member, context, table, size, &Warming::default())
}

/// Answers a change of a table's settings: what it was before, and what it is now.
pub fn answer_update(
    context: &RequestContext,
    before: &TableRecord,
    after: &TableRecord,
    size: TableSize,
) -> Vec<u8> {
    let (table, warming) = underway::shown(before, after);
    whole("TableDescription", context, &table, size, &warming)
}

fn whole(
    member: &str,
    context: &RequestContext,
    table: &TableRecord,
    size: TableSize,
    warming: &Warming,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::open(&mut out);
    let table = &table.in_region(&context.region);
    write(object.key(member), context, table, size, Some(warming));
    object.close();
    out
}

/// Answers DeleteTable: as on the service without the table's key, its attributes and its age.
pub fn deleted(context: &RequestContext, table: &TableRecord, size: TableSize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::open(&mut out);
    write(object.key("TableDescription"), context, table, size, None);
    object.close();
    out
}

/// Without `whole` the table's key, its attributes and its age are left out.
fn write(
    out: &mut Vec<u8>,
    context: &RequestContext,
    table: &TableRecord,
    size: TableSize,
    whole: Option<&Warming>,
) {
    let nothing = Warming::default();
    let warming = whole.unwrap_or(&nothing);
    let mut object = Object::open(out);
    if whole.is_some() {
        keys(&mut object, table);
    }
    billing(&mut object, table, size.at_ms);
    if whole.is_some() {
        object.seconds("CreationDateTime", table.created_ms);
    }
    object.flag("DeletionProtectionEnabled", table.definition.deletion_protection);
    if let Some(global) = &table.global {
        object.text("GlobalTableVersion", GLOBAL_TABLE_VERSION);
        replicas(&mut object, context, table, global);
    }
    global_indexes(&mut object, context, table, &size, warming);
    object.number("ItemCount", size.table.items);
    on_demand(&mut object, table.definition.on_demand);
    encryption(&mut object, context, table.definition.encryption.as_ref());
    stream(&mut object, context, table);
    local_indexes(&mut object, context, table, &size);
    restore(&mut object, table);
    object.text("TableArn", &table_arn(&context.region, &table.name));
    if let Some(class) = table.definition.class {
        let mut summary = Object::open(object.key("TableClassSummary"));
        summary.text("TableClass", class_name(class));
        summary.close();
    }
    object.text("TableId", &uuid_of(table.id.0));
    object.text("TableName", &table.name);
    object.number("TableSizeBytes", size.table.bytes);
    object.text("TableStatus", status_name(table.status));
    let definition = &table.definition;
    let capacity = (definition.billing, definition.throughput);
    let is_active = table.status == TableStatus::Active && !warming.table;
    warm(&mut object, definition.warm, capacity, table.status, is_active);
    object.close();
}

/// As on the service, only while it lasts: a table that was restored is a table like any other.
fn restore(object: &mut Object<'_>, table: &TableRecord) {
    let Some(restore) = &table.restore else { return };
    match table.status {
        TableStatus::Creating => {}
        TableStatus::Active | TableStatus::Updating | TableStatus::Deleting => return,
    }
    let mut summary = Object::open(object.key("RestoreSummary"));
    summary.seconds("RestoreDateTime", restore.source.at_ms);
    summary.flag("RestoreInProgress", true);
    if let Some(backup) = &restore.source.backup_arn {
        summary.text("SourceBackupArn", backup);
    }
    summary.text("SourceTableArn", &restore.source.table_arn);
    // Beyond the service's answer, where there is something to tell.
    if let Some(restored) = restore.restored() {
        let mut progress = Object::open(summary.key("RestoreProgress"));
        progress.number("ItemCount", restored.items).number("SizeBytes", restored.bytes);
        progress.number("TotalSizeBytes", restored.bytes_total);
        progress.close();
    }
    summary.close();
}

/// A table that is being created shows only what was stated.
fn warm(
    object: &mut Object<'_>,
    stated: Option<Throughput>,
    (billing, throughput): (BillingMode, Option<Throughput>),
    table: TableStatus,
    is_active: bool,
) {
    if stated.is_none() && table == TableStatus::Creating {
        return;
    }
    let warm = settings::warm_shown(stated, billing, throughput);
    let mut shown = Object::open(object.key("WarmThroughput"));
    shown.number("ReadUnitsPerSecond", warm.read_units);
    shown.text("Status", if is_active { "ACTIVE" } else { "UPDATING" });
    shown.number("WriteUnitsPerSecond", warm.write_units);
    shown.close();
}

/// The indexes that there are, and those that are still to be made.
fn global_indexes(
    object: &mut Object<'_>,
    context: &RequestContext,
    table: &TableRecord,
    size: &TableSize,
    warming: &Warming,
) {
    let missing = table.definition.global_indexes.iter();
    let missing: Vec<_> = missing.filter(|one| table.index(&one.index.name).is_none()).collect();
    if table.indexes.is_empty() && missing.is_empty() {
        return;
    }
    let is_new = table.status == TableStatus::Creating;
    let missing =
        missing.into_iter().map(|one| (one, IndexStatus::Creating, (!is_new).then_some(false)));
    let known = table.indexes.iter().map(|index| {
        let is_online = index.status == IndexStatus::Creating && !is_new;
        (&index.definition, index.status, is_online.then_some(index.backfilling))
    });
    let now_ms = size.at_ms;
    let mut list = Array::open(object.key("GlobalSecondaryIndexes"));
    for (definition, status, backfilling) in known.chain(missing) {
        let index = &definition.index;
        let size = size.indexes.get(&index.name).copied().unwrap_or_default();
        let mut one = Object::open(list.element());
        if let Some(backfilling) = backfilling {
            one.flag("Backfilling", backfilling);
        }
        one.text("IndexArn", &index_arn(&context.region, &table.name, &index.name));
        one.text("IndexName", &index.name).number("IndexSizeBytes", size.bytes);
        one.text("IndexStatus", index_status_name(status)).number("ItemCount", size.items);
        key_schema(&mut one, &index.keys);
        on_demand(&mut one, definition.on_demand);
        projection(&mut one, &index.projection);
        let mut throughput = Object::open(one.key("ProvisionedThroughput"));
        let record = table.index(&index.name);
        throughput_times(
            &mut throughput,
            record.and_then(|known| known.throughput_raised_ms),
            record.and_then(|known| known.throughput_lowered_ms),
        );
        let decreases = record.map_or(0, |known| {
            let (count, last) = (known.throughput_decreases, known.throughput_lowered_ms);
            decreases_today(count, last, now_ms)
        });
        throughput.number("NumberOfDecreasesToday", u64::from(decreases));
        throughput.number("ReadCapacityUnits", definition.throughput.map_or(0, |t| t.read_units));
        throughput.number("WriteCapacityUnits", definition.throughput.map_or(0, |t| t.write_units));
        throughput.close();
        let capacity = (table.definition.billing, definition.throughput);
        let is_made = match status {
            IndexStatus::Active | IndexStatus::Updating => true,
            IndexStatus::Creating | IndexStatus::Deleting => false,
        };
        let is_warm = is_made && !warming.indexes.contains(&index.name);
        warm(&mut one, definition.warm, capacity, table.status, is_warm);
        one.close();
    }
    list.close();
}

/// Writes `Projection`.
pub fn projection(object: &mut Object<'_>, stated: &IndexProjection) {
    let mut projection = Object::open(object.key("Projection"));
    if let IndexProjection::Include(names) = stated {
        let mut list = Array::open(projection.key("NonKeyAttributes"));
        let sorted: BTreeSet<&String> = names.iter().collect();
        sorted.into_iter().for_each(|name| string(list.element(), name));
        list.close();
    }
    projection.text("ProjectionType", projection_name(stated));
    projection.close();
}

fn local_indexes(
    object: &mut Object<'_>,
    context: &RequestContext,
    table: &TableRecord,
    size: &TableSize,
) {
    let definition = &table.definition;
    if definition.local_indexes.is_empty() {
        return;
    }
    let mut list = Array::open(object.key("LocalSecondaryIndexes"));
    for index in &definition.local_indexes {
        let mut one = Object::open(list.element());
        one.text("IndexArn", &index_arn(&context.region, &table.name, &index.name));
        let size = size.indexes.get(&index.name).copied().unwrap_or_default();
        one.text("IndexName", &index.name).number("IndexSizeBytes", size.bytes);
        one.number("ItemCount", size.items);
        key_schema(&mut one, &(&index.schema(&definition.key)).into());
        projection(&mut one, &index.projection);
        one.close();
    }
    list.close();
}

fn projection_name(projection: &IndexProjection) -> &'static str {
    match projection {
        IndexProjection::All => "ALL",
        IndexProjection::KeysOnly => "KEYS_ONLY",
        IndexProjection::Include(_) => "INCLUDE",
    }
}

/// Writes `OnDemandThroughput`, where there is a maximum.
pub fn on_demand(object: &mut Object<'_>, maximum: OnDemandMaximum) {
    if maximum.is_none() {
        return;
    }
    let mut shown = Object::open(object.key("OnDemandThroughput"));
    if let Some(units) = maximum.read_units {
        shown.number("MaxReadRequestUnits", units);
    }
    if let Some(units) = maximum.write_units {
        shown.number("MaxWriteRequestUnits", units);
    }
    shown.close();
}

/// Writes `SSEDescription`. A table with the key that the service owns shows nothing, as on AWS.
pub fn encryption(
    object: &mut Object<'_>,
    context: &RequestContext,
    encryption: Option<&Encryption>,
) {
    let Some(encryption) = encryption else { return };
    let mut shown = Object::open(object.key("SSEDescription"));
    shown.text("KMSMasterKeyArn", &encryption_key(&context.region, encryption.key.as_deref()));
    shown.text("SSEType", "KMS").text("Status", "ENABLED");
    shown.close();
}

/// The ARN of the key that a table is encrypted with. An alias, the service's own too, is shown as
/// the key behind it, of which there is one a region: here it is made up of the alias.
pub fn encryption_key(region: &str, stated: Option<&str>) -> String {
    let alias = |text: &str| text.starts_with("alias/") || text.contains(":alias/");
    match stated {
        Some(key) if !alias(key) => key_arn(region, key),
        Some(_) | None => {
            let named = stated.unwrap_or(OWN_KEY).rsplit("alias/").next().unwrap_or_default();
            let of_region = AttributeValue::S(format!("{region}/{named}"));
            key_arn(region, &uuid_of(partition_hash(&of_region)))
        }
    }
}

fn keys(object: &mut Object<'_>, table: &TableRecord) {
    let mut list = Array::open(object.key("AttributeDefinitions"));
    let mut attributes: Vec<_> = table.definition.attributes.iter().collect();
    attributes.sort_by(|one, other| one.name.cmp(&other.name));
    for attribute in attributes {
        let mut one = Object::open(list.element());
        one.text("AttributeName", &attribute.name).text("AttributeType", attribute.kind.name());
        one.close();
    }
    list.close();
    key_schema(object, &(&table.definition.key).into());
}

/// Writes `KeySchema`.
pub fn key_schema(object: &mut Object<'_>, keys: &KeyAttributes) {
    let mut list = Array::open(object.key("KeySchema"));
    let partition = keys.partition.iter().map(|attribute| (attribute, "HASH"));
    let sort = keys.sort.iter().map(|attribute| (attribute, "RANGE"));
    for (attribute, kind) in partition.chain(sort) {
        let mut one = Object::open(list.element());
        one.text("AttributeName", &attribute.name).text("KeyType", kind);
        one.close();
    }
    list.close();
}

/// A provisioned table that never was anything else shows no summary, as on AWS.
fn billing(object: &mut Object<'_>, table: &TableRecord, now_ms: u64) {
    let definition = &table.definition;
    if definition.billing == BillingMode::PayPerRequest || table.pay_per_request_ms.is_some() {
        let mut summary = Object::open(object.key("BillingModeSummary"));
        summary.text("BillingMode", billing_name(definition.billing));
        let since = table.pay_per_request_ms.filter(|_| table.status != TableStatus::Creating);
        if let Some(since) = since {
            summary.seconds("LastUpdateToPayPerRequestDateTime", since);
        }
        summary.close();
    }
    let mut throughput = Object::open(object.key("ProvisionedThroughput"));
    throughput_times(&mut throughput, table.throughput_raised_ms, table.throughput_lowered_ms);
    let (count, last) = (table.throughput_decreases, table.throughput_lowered_ms);
    let decreases = decreases_today(count, last, now_ms);
    throughput.number("NumberOfDecreasesToday", u64::from(decreases));
    throughput.number("ReadCapacityUnits", definition.throughput.map_or(0, |t| t.read_units));
    throughput.number("WriteCapacityUnits", definition.throughput.map_or(0, |t| t.write_units));
    throughput.close();
}

fn throughput_times(throughput: &mut Object<'_>, raised_ms: Option<u64>, lowered_ms: Option<u64>) {
    if let Some(raised) = raised_ms {
        throughput.seconds("LastIncreaseDateTime", raised);
    }
    if let Some(lowered) = lowered_ms {
        throughput.seconds("LastDecreaseDateTime", lowered);
    }
}

fn replicas(
    object: &mut Object<'_>,
    context: &RequestContext,
    table: &TableRecord,
    global: &GlobalSnapshot,
) {
    let mut list = Array::open(object.key("Replicas"));
    for (region, status) in &global.replicas {
        let mut one = Object::open(list.element());
        replica_reads(&mut one, table, region);
        one.text("RegionName", region);
        let status = replica_status(context, table, region, *status);
        one.text("ReplicaStatus", replica_status_name(status));
        if let Some(class) = table.definition.overrides.get(region).and_then(|own| own.class) {
            let mut summary = Object::open(one.key("ReplicaTableClassSummary"));
            summary.text("TableClass", class_name(class));
            summary.close();
        }
        one.close();
    }
    list.close();
}

/// What a replica reads otherwise than the table, and all indexes with what they do.
fn replica_reads(object: &mut Object<'_>, table: &TableRecord, region: &str) {
    let overrides = table.definition.overrides.get(region);
    if !table.definition.global_indexes.is_empty() {
        let mut list = Array::open(object.key("GlobalSecondaryIndexes"));
        for index in &table.definition.global_indexes {
            let mut one = Object::open(list.element());
            one.text("IndexName", &index.index.name);
            let read = overrides.and_then(|own| own.indexes.get(&index.index.name));
            read_override(&mut one, read.copied().unwrap_or_default());
            one.close();
        }
        list.close();
    }
    read_override(object, overrides.map(|own| own.read).unwrap_or_default());
}

fn read_override(object: &mut Object<'_>, read: ReadOverride) {
    if let Some(units) = read.on_demand {
        let mut shown = Object::open(object.key("OnDemandThroughputOverride"));
        shown.number("MaxReadRequestUnits", units);
        shown.close();
    }
    if let Some(units) = read.provisioned {
        let mut shown = Object::open(object.key("ProvisionedThroughputOverride"));
        shown.number("ReadCapacityUnits", units);
        shown.close();
    }
}

/// The status of a replica. The own region's follows the table, of which this region knows best.
pub fn replica_status(
    context: &RequestContext,
    table: &TableRecord,
    region: &str,
    known: ReplicaStatus,
) -> ReplicaStatus {
    if region != context.region {
        return known;
    }
    match table.status {
        TableStatus::Creating => ReplicaStatus::Creating,
        TableStatus::Active | TableStatus::Updating => ReplicaStatus::Active,
        TableStatus::Deleting => ReplicaStatus::Deleting,
    }
}

fn stream(object: &mut Object<'_>, context: &RequestContext, table: &TableRecord) {
    if let Some(label) = table.stream_label() {
        object.text("LatestStreamArn", &stream_arn(&context.region, &table.name, &label));
        object.text("LatestStreamLabel", &label);
    }
    if let Some(view) = table.definition.stream {
        let mut specification = Object::open(object.key("StreamSpecification"));
        specification.flag("StreamEnabled", true).text("StreamViewType", view_name(view));
        specification.close();
    }
}

/// Names a billing mode.
pub fn billing_name(mode: BillingMode) -> &'static str {
    match mode {
        BillingMode::Provisioned => "PROVISIONED",
        BillingMode::PayPerRequest => "PAY_PER_REQUEST",
    }
}

/// Names a stream view.
pub fn view_name(view: StreamView) -> &'static str {
    match view {
        StreamView::KeysOnly => "KEYS_ONLY",
        StreamView::NewImage => "NEW_IMAGE",
        StreamView::OldImage => "OLD_IMAGE",
        StreamView::NewAndOldImages => "NEW_AND_OLD_IMAGES",
    }
}

/// Names a class.
pub fn class_name(class: TableClass) -> &'static str {
    match class {
        TableClass::Standard => "STANDARD",
        TableClass::StandardInfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
    }
}

/// Names a status.
pub fn status_name(status: TableStatus) -> &'static str {
    match status {
        TableStatus::Creating => "CREATING",
        TableStatus::Active => "ACTIVE",
        TableStatus::Updating => "UPDATING",
        TableStatus::Deleting => "DELETING",
    }
}

/// Names the status of an index.
pub fn index_status_name(status: IndexStatus) -> &'static str {
    match status {
        IndexStatus::Creating => "CREATING",
        IndexStatus::Active => "ACTIVE",
        IndexStatus::Updating => "UPDATING",
        IndexStatus::Deleting => "DELETING",
    }
}

/// Names the status of a replica.
pub fn replica_status_name(status: ReplicaStatus) -> &'static str {
    match status {
        ReplicaStatus::Creating => "CREATING",
        ReplicaStatus::CreationFailed => "CREATION_FAILED",
        ReplicaStatus::Active => "ACTIVE",
        ReplicaStatus::Deleting => "DELETING",
    }
}

/// Shows a number in the form that clients expect of a TableId or a key: a UUID.
pub fn uuid_of(id: u64) -> String {
    let high = scramble(id);
    let low = scramble(high ^ id);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff,
    )
}

/// The finaliser of SplitMix64.
fn scramble(id: u64) -> u64 {
    let a = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_shown_as_the_key_behind_it() {
        let own = encryption_key("eu-west-1", None);
        let id = own.strip_prefix("arn:aws:kms:eu-west-1:000000000000:key/").expect("a key");
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(encryption_key("eu-west-1", Some("alias/aws/dynamodb")), own);
        let (other, elsewhere) =
            (encryption_key("eu-west-1", Some("alias/mine")), encryption_key("us-east-1", None));
        assert!(other != own && elsewhere != own, "{other} {elsewhere}");
        assert!(encryption_key("x", Some("12-34")).ends_with(":key/12-34"));
    }
}
