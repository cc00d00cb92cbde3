//! Exports and imports of a whole region, over leaders that stop.

use super::region::Region;
use super::testing::{definition, eventually, put};
use crate::node::Node;
use flate2::read::GzDecoder;
use meridian_api::backend::{Backend, ChangeError, Consistency};
use meridian_base::GroupId;
use meridian_control::region::{
    BucketPlace, ExportOutcome, ExportRecord, ExportRequest, ExportScope, ImportCompression,
    ImportCounts, ImportFormat, ImportRecord, ImportRequest, JobId, OwnChange, Refusal,
};
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Key};
use meridian_partition::{Action, Returns, Write};
use meridian_storage::EngineKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

type Content = BTreeMap<String, String>;

fn place(prefix: &str) -> BucketPlace {
    BucketPlace { bucket: "bucket".to_owned(), owner: None, prefix: Some(prefix.to_owned()) }
}

fn export_of(scope: ExportScope, prefix: &str) -> ExportRequest {
    ExportRequest { token: None, to: place(prefix), sse_algorithm: None, sse_key: None, scope }
}

fn import_of(table: &str, prefix: &str) -> ImportRequest {
    ImportRequest {
        token: None,
        from: place(prefix),
        format: ImportFormat::DynamoDbJson,
        compression: ImportCompression::Gzip,
        table_name: table.to_owned(),
        definition: Box::new(definition()),
        parameters: "{}".to_owned(),
    }
}

async fn exported(node: &Node, id: JobId) -> ExportRecord {
    eventually("the export has ended", async || {
        node.export(id).is_some_and(|export| export.ended.is_some())
    })
    .await;
    node.export(id).unwrap()
}

async fn imported(node: &Node, id: JobId) -> ImportRecord {
    eventually("the import has ended", async || {
        node.import(id).is_some_and(|import| import.ended.is_some())
    })
    .await;
    node.import(id).unwrap()
}

async fn object(region: &Region, name: &str) -> Vec<u8> {
    let store = region.buckets.to_read("bucket").unwrap();
    store.get(&Path::from(name)).await.unwrap().bytes().await.unwrap().to_vec()
}

/// The lines of an export's data files, in the order of its manifest.
async fn lines(region: &Region, export: &ExportRecord) -> Vec<Value> {
    let layout = meridian_api::exports::layout(export);
    let listed = String::from_utf8(object(region, &layout.files()).await).unwrap();
    let mut lines = Vec::new();
    for entry in listed.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        let file = object(region, entry["dataFileS3Key"].as_str().unwrap()).await;
        let mut text = String::new();
        GzDecoder::new(file.as_slice()).read_to_string(&mut text).unwrap();
        let found: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(entry["itemCount"], found.len());
        lines.extend(found);
    }
    lines
}

async fn delete(node: &Node, key: &str) {
    let table = node.table("t").unwrap();
    let key = Key { partition: AttributeValue::S(key.to_owned()), sort: None };
    let write = Write { key, action: Action::Delete, condition: None, returns: Returns::default() };
    node.write(&table, write).await.unwrap();
}

async fn content(node: &Node, table: &str, keys: impl Iterator<Item = &String>) -> Content {
    let table = node.table(table).unwrap();
    let mut content = Content::new();
    for name in keys {
        let key = Key { partition: AttributeValue::S(name.clone()), sort: None };
        let found = node.get(&table, key, Consistency::Strong).await.unwrap();
        if let Some(AttributeValue::S(value)) = found.item.as_ref().and_then(|item| item.get("v")) {
            content.insert(name.clone(), value.clone());
        }
    }
    content
}

async fn recover(node: &Node) {
    node.change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    eventually("the archive has begun", async || {
        let table = node.table("t").unwrap();
        Node::restorable(node, &table).await.unwrap().is_some()
    })
    .await;
}

/// Who leads the region group.
fn leader(region: &Region) -> u64 {
    let leads =
        |node: &Node| node.hosting.group(GroupId::Region).and_then(|g| g.leading()).is_some();
    region.nodes.iter().find(|(_, node)| leads(node)).map_or(1, |(id, _)| *id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_imported_into_an_equal_table_over_leaders() {
    let mut region = Region::start(EngineKind::Fjall).await;
    let mut expected = Content::new();
    for n in 0..200 {
        put(region.node(1), &format!("k{n}"), &n.to_string()).await;
        expected.insert(format!("k{n}"), n.to_string());
    }
    recover(region.node(1)).await;
    for n in 0..20 {
        put(region.node(1), &format!("k{n}"), "changed").await;
        expected.insert(format!("k{n}"), "changed".to_owned());
    }
    delete(region.node(1), "k50").await;
    expected.remove("k50");
    let table = region.node(2).table("t").unwrap();
    let full = export_of(ExportScope::Full { at_ms: None }, "full");
    let begun = Backend::begin_export(&**region.node(2), &table, full).await.unwrap();
    assert_eq!(begun.ended, None);
    // What comes later is not in it.
    put(region.node(1), "later", "x").await;
    let stopped = leader(&region);
    let other = if stopped == 1 { 2 } else { 1 };
    region.stop_node(stopped).await;
    let ended = exported(region.node(other), begun.id).await;
    let Some((_, ExportOutcome::Completed { items, billed_bytes })) = ended.ended else {
        panic!("{ended:?}");
    };
    assert_eq!(items, expected.len() as u64);
    assert!(billed_bytes > 0);
    region.start_node(stopped).await;
    region.is_ready().await;
    let shown: Content = lines(&region, &ended)
        .await
        .iter()
        .map(|line| {
            let text = |name: &str| line["Item"][name]["S"].as_str().unwrap().to_owned();
            (text("pk"), text("v"))
        })
        .collect();
    assert_eq!(shown, expected);

    let data = format!("full/AWSDynamoDB/{}/data/", begun.id);
    let import = Backend::begin_import(&**region.node(3), import_of("copy", &data)).await.unwrap();
    let stopped = leader(&region);
    let other = if stopped == 1 { 2 } else { 1 };
    region.stop_node(stopped).await;
    let ended = imported(region.node(other), import.id).await;
    assert_eq!(ended.ended.as_ref().unwrap().1, None, "{ended:?}");
    let counts = ended.counts.unwrap();
    assert_eq!((counts.imported, counts.processed, counts.errors), (items, items, 0));
    let copy = region.node(other).table("copy").unwrap();
    assert_eq!((copy.status, copy.id), (TableStatus::Active, import.table));
    let mut keys: Vec<String> = expected.keys().cloned().collect();
    keys.extend(["k50".to_owned(), "later".to_owned()]);
    assert_eq!(content(region.node(other), "copy", keys.iter()).await, expected);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_export_shows_what_was_written_in_between() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    for key in ["same", "changed", "deleted", "twice"] {
        put(node, key, "before").await;
    }
    recover(node).await;
    put(node, "twice", "still before").await;
    // A moment in which nothing is written, on whichever clock.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let from_ms = node.now_ms();
    tokio::time::sleep(Duration::from_millis(400)).await;
    put(node, "changed", "in between").await;
    put(node, "twice", "once").await;
    put(node, "twice", "and again").await;
    put(node, "new", "in between").await;
    put(node, "short-lived", "x").await;
    delete(node, "short-lived").await;
    delete(node, "deleted").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let to_ms = node.now_ms();
    tokio::time::sleep(Duration::from_millis(400)).await;
    put(node, "same", "after").await;
    put(node, "changed", "after").await;
    let table = node.table("t").unwrap();
    for old_images in [true, false] {
        let scope = ExportScope::Incremental { from_ms, to_ms: Some(to_ms), old_images };
        let begun = Backend::begin_export(&**node, &table, export_of(scope, "inc")).await.unwrap();
        let ended = exported(node, begun.id).await;
        let outcome = &ended.ended.as_ref().unwrap().1;
        let completed = ExportOutcome::Completed { items: 4, billed_bytes: 10_000_000 };
        assert_eq!(*outcome, completed, "{ended:?}");
        let mut found = BTreeMap::new();
        for line in lines(&region, &ended).await {
            let written = line["Metadata"]["WriteTimestampMicros"]["N"].as_str().unwrap();
            let written_ms = written.parse::<u64>().unwrap() / 1000;
            assert!((from_ms..to_ms).contains(&written_ms), "{line}");
            let image = |name: &str| line[name]["v"]["S"].as_str().map(str::to_owned);
            let key = line["Keys"]["pk"]["S"].as_str().unwrap().to_owned();
            assert_eq!(line["Keys"].as_object().unwrap().len(), 1);
            found.insert(key, (image("OldImage"), image("NewImage")));
        }
        let old = |value: &str| Some(value.to_owned()).filter(|_| old_images);
        let new = |value: &str| Some(value.to_owned());
        let expected = BTreeMap::from([
            ("changed".to_owned(), (old("before"), new("in between"))),
            ("deleted".to_owned(), (old("before"), None)),
            ("new".to_owned(), (None, new("in between"))),
            ("twice".to_owned(), (old("still before"), new("and again"))),
        ]);
        assert_eq!(found, expected);
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_imported_is_reported() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    let store = region.buckets.to_write("bucket").unwrap();
    let good = "{\"Item\":{\"pk\":{\"S\":\"a\"},\"v\":{\"S\":\"1\"}}}\n";
    let bad = "{\"Item\":{\"v\":{\"S\":\"no key\"}}}\n";
    let rows = format!("{good}{bad}not json\n{good}");
    store.put(&Path::from("in/1.json"), rows.into_bytes().into()).await.unwrap();
    store
        .put(&Path::from("in/2.json"), good.replace("\"a\"", "\"b\"").into_bytes().into())
        .await
        .unwrap();
    let request =
        ImportRequest { compression: ImportCompression::None, ..import_of("partly", "in/") };
    let begun = Backend::begin_import(&**node, request).await.unwrap();
    let ended = imported(node, begun.id).await;
    let failure = ended.ended.clone().unwrap().1.unwrap();
    assert_eq!(failure.code, "ItemValidationError");
    let counts = ended.counts.unwrap();
    assert_eq!((counts.processed, counts.imported, counts.errors), (4, 2, 2));
    let keys = ["a".to_owned(), "b".to_owned()];
    assert_eq!(content(node, "partly", keys.iter()).await.len(), 2);
    let report = format!("AWSDynamoDB/import-errors/{}.jsonl", begun.id);
    let report = String::from_utf8(object(&region, &report).await).unwrap();
    let report: Vec<Value> = report.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut at: Vec<u64> =
        report.iter().map(|one| one["itemS3Pointer"]["itemIndex"].as_u64().unwrap()).collect();
    at.sort_unstable();
    assert_eq!(at, [1, 2], "{report:?}");
    assert_eq!(report[0]["itemS3Pointer"]["key"], "in/1.json");

    // The name is taken, and what is taken between the request and the work is told later.
    let taken = Backend::begin_import(&**node, import_of("partly", "in/")).await;
    assert!(matches!(taken, Err(ChangeError::Region(Refusal::TableExists { .. }))), "{taken:?}");
    let missing = ImportRequest {
        from: BucketPlace { bucket: "no-such".to_owned(), owner: None, prefix: None },
        ..import_of("never", "in/")
    };
    let begun = Backend::begin_import(&**node, missing).await.unwrap();
    let ended = imported(node, begun.id).await;
    assert_eq!(ended.ended.unwrap().1.unwrap().code, "S3NoSuchBucket");
    assert!(node.table("never").is_none());
    let foreign = BucketPlace { owner: Some("123456789012".to_owned()), ..place("in/") };
    let request = ImportRequest { from: foreign, ..import_of("never", "in/") };
    let begun = Backend::begin_import(&**node, request).await.unwrap();
    let ended = imported(node, begun.id).await;
    assert_eq!(ended.ended.unwrap().1.unwrap().code, "S3AccessDenied");
    assert_eq!(ended.counts.unwrap_or_default(), ImportCounts::default());
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_a_table_that_goes_is_completed_or_fails() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    put(node, "a", "1").await;
    recover(node).await;
    let table = node.table("t").unwrap();
    let full = export_of(ExportScope::Full { at_ms: None }, "gone");
    let begun = Backend::begin_export(&**node, &table, full).await.unwrap();
    node.change_own("t", OwnChange::Recovery(None)).await.unwrap();
    let ended = exported(node, begun.id).await.ended.unwrap().1;
    match ended {
        ExportOutcome::Completed { items, .. } => assert_eq!(items, 1),
        ExportOutcome::Failed(failure) => {
            assert_eq!(failure.code, "PointInTimeRecoveryUnavailable");
        }
    }
    region.stop().await;
}
