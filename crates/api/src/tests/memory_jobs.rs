//! Exports and imports of the backend in memory: done as soon as they are begun, in buckets in memory.
//! Every bucket that is exported to exists from then on.

use std::collections::BTreeMap;
use std::sync::Mutex;

use meridian_base::TableId;
use meridian_control::region::{
    Command, ExportCommand, ExportOutcome, ExportRecord, Failure, ImportCommand, ImportCounts,
    ImportRecord, Refusal, TableRecord,
};
use meridian_interchange::{DataFile, FileEntry, ObjectReader, checksum, files_manifest};
use meridian_model::Item;
use meridian_partition::{Action, Returns, Write, WriteOutcome};

use super::memory::{Items, Memory, NOW_MS, REGION, evaluate, partitions};
use crate::backend::Backend;
use crate::{exports, imports};

/// The objects of all buckets.
#[derive(Default)]
pub struct Buckets(Mutex<BTreeMap<String, BTreeMap<String, Vec<u8>>>>);

impl Buckets {
    /// Stores an object; makes the bucket.
    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let mut buckets = self.0.lock().unwrap();
        buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), bytes);
    }

    /// The objects whose names begin so; none where there is no bucket.
    pub fn under(&self, bucket: &str, prefix: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let buckets = self.0.lock().unwrap();
        let objects = buckets.get(bucket)?.iter();
        let found = objects.filter(|(key, _)| key.starts_with(prefix));
        Some(found.map(|(key, bytes)| (key.clone(), bytes.clone())).collect())
    }
}

/// Writes an export's files and ends it.
pub fn run_export(memory: &Memory, items: &Items, export: &ExportRecord) {
    let (bucket, layout) = (&export.request.to.bucket, exports::layout(export));
    let put = |key: String, bytes: Vec<u8>| memory.buckets.put(bucket, &key, bytes);
    put(layout.started(), Vec::new());
    let mut file = DataFile::default();
    if !exports::is_incremental(export) {
        items.values().for_each(|item| file.add_item(item));
    }
    let (file, key) = (file.finish(), layout.data(16, 0));
    let listed = files_manifest(&[FileEntry::of(key.clone(), &file)]);
    put(key, file.bytes);
    put(layout.files_checksum(), checksum(&listed).into_bytes());
    put(layout.files(), listed);
    let bytes = items.values().map(meridian_model::item_bytes).sum::<usize>() as u64;
    let billed_bytes = exports::billed_bytes(export, bytes);
    let summary = exports::summary(REGION, export, NOW_MS, file.items, billed_bytes);
    put(layout.summary_checksum(), checksum(&summary).into_bytes());
    put(layout.summary(), summary);
    let outcome = ExportOutcome::Completed { items: file.items, billed_bytes };
    let end = ExportCommand::End { id: export.id, at_ms: NOW_MS, outcome };
    memory.apply(Command::Export(end)).expect("it was just begun");
}

/// Reads an import's files into its table and ends it.
pub fn run_import(memory: &Memory, import: &ImportRecord) {
    let failure = import_into_table(memory, import).err();
    let end = ImportCommand::End { id: import.id, at_ms: NOW_MS, failure };
    memory.apply(Command::Import(end)).expect("it was just begun");
}

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned() }
}

fn import_into_table(memory: &Memory, import: &ImportRecord) -> Result<(), Failure> {
    let (request, id) = (&import.request, import.id);
    let prefix = request.from.prefix.as_deref().unwrap_or_default();
    let (code, message) = imports::NO_SUCH_BUCKET;
    let objects = memory.buckets.under(&request.from.bucket, prefix);
    let objects = objects.ok_or_else(|| failure(code, message))?;
    let made = ImportCommand::MakeTable { id, partitions: partitions(), at_ms: NOW_MS };
    match memory.apply(Command::Import(made)) {
        Ok(_) => {}
        Err(Refusal::TableExists { .. }) => {
            let (code, message) = imports::table_exists(&request.table_name);
            return Err(failure(code, &message));
        }
        Err(refusal) => panic!("{refusal}"),
    }
    let table = memory.table(&request.table_name).expect("it was just made");
    memory.settle_indexes(&table);
    let mut counts = ImportCounts::default();
    let mut items = Items::new();
    for bytes in objects.values() {
        let (format, compression) = imports::format(request);
        let mut reader = ObjectReader::new(&format, compression, &table.definition.attributes);
        let mut rows = reader.push(bytes);
        rows.extend(reader.finish());
        counts.bytes += reader.plain_bytes();
        for row in rows {
            counts.processed += 1;
            let taken = row.item.map_err(|error| error.to_string());
            match taken.and_then(|item| put(&table, &mut items, item)) {
                Ok(()) => counts.imported += 1,
                Err(_) => counts.errors += 1,
            }
        }
    }
    memory.set_items(table.id, items);
    let filled = ImportCommand::Filled { id, counts };
    memory.apply(Command::Import(filled)).expect("it was just begun");
    memory.apply(Command::TableActive { table: table.id }).expect("it was just made");
    let (code, message) = imports::ROWS_FAILED;
    if counts.errors > 0 { Err(failure(code, message)) } else { Ok(()) }
}

fn put(table: &TableRecord, items: &mut Items, item: Item) -> Result<(), String> {
    let key = imports::checked(&table.definition, &item)?;
    let (action, returns) = (Action::Put(item), Returns::default());
    match evaluate(table, items, Write { key, action, condition: None, returns }) {
        WriteOutcome::Done(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The items of a table.
pub fn items_of(all: &Mutex<BTreeMap<TableId, Items>>, table: TableId) -> Items {
    all.lock().unwrap().get(&table).cloned().unwrap_or_default()
}
