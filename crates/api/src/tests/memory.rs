//! A backend in memory: what operations are tested over.
//!
//! Tables answer CREATING, UPDATING and DELETING once and are ready at the next request. Failures
//! are planned per partition key value.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use meridian_base::TableId;
use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_control::region::{Refusal as RegionRefusal, Setting, TableRecord, TableSettings};
use meridian_control::table::{
    BillingMode, GlobalSnapshot, ReplicaStatus, TableDefinition, TableStatus,
};
use meridian_model::{AttributeValue, Item, Key, KeySchema, item_bytes};
use meridian_partition::{
    Action, Done, GetOutcome, Page, PageRequest, Refusal, Write, WriteOutcome,
};

use crate::reads;
use crate::{Backend, BackendError, ChangeError, Consistency, ReplicaChange, TableSize};

const NOW_MS: u64 = 1_770_000_000_123;

type Items = BTreeMap<Vec<u8>, Item>;

#[derive(Default)]
pub struct Memory {
    tables: Mutex<BTreeMap<String, (Arc<TableRecord>, Items)>>,
    made: Mutex<u64>,
    failures: Mutex<BTreeMap<String, BackendError>>,
}

impl Memory {
    /// Fails every request on the items of a partition key value from now on.
    pub fn fail(&self, partition: &str, error: BackendError) {
        self.failures.lock().unwrap().insert(partition.to_owned(), error);
    }

    fn planned(&self, partition: &AttributeValue) -> Result<(), BackendError> {
        let AttributeValue::S(partition) = partition else { return Ok(()) };
        match self.failures.lock().unwrap().get(partition) {
            Some(error) => Err(*error),
            None => Ok(()),
        }
    }

    fn with_items<T>(
        &self,
        table: &TableRecord,
        run: impl FnOnce(&mut Items) -> T,
    ) -> Result<T, BackendError> {
        let mut tables = self.tables.lock().unwrap();
        let (_, items) = tables.get_mut(&table.name).ok_or(BackendError::ResourceNotFound)?;
        Ok(run(items))
    }

    /// Changes a table's record; returns it in the passing status.
    fn change(
        &self,
        name: &str,
        passing: TableStatus,
        change: impl FnOnce(&mut TableRecord),
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let mut tables = self.tables.lock().unwrap();
        let (record, _) = tables.get_mut(name).ok_or(RegionRefusal::TableNotFound)?;
        change(Arc::make_mut(record));
        Ok(Arc::new(TableRecord { status: passing, ..TableRecord::clone(record) }))
    }
}

#[async_trait]
impl Backend for Memory {
    fn table(&self, name: &str) -> Option<Arc<TableRecord>> {
        self.tables.lock().unwrap().get(name).map(|(record, _)| record.clone())
    }

    fn table_names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables.lock().unwrap();
        let range = tables.range::<str, _>((start, Bound::Unbounded));
        range.take(limit).map(|(name, _)| name.clone()).collect()
    }

    async fn table_size(&self, table: &TableRecord) -> TableSize {
        let size = self.with_items(table, |items| TableSize {
            items: items.len() as u64,
            bytes: items.values().map(item_bytes).sum::<usize>() as u64,
        });
        size.unwrap_or_default()
    }

    async fn create_table(
        &self,
        name: &str,
        definition: TableDefinition,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        definition.check().map_err(RegionRefusal::Definition)?;
        let mut tables = self.tables.lock().unwrap();
        if let Some((known, _)) = tables.get(name) {
            return Err(RegionRefusal::TableExists { table: known.id }.into());
        }
        let mut made = self.made.lock().unwrap();
        *made += 1;
        let per_request = definition.billing == BillingMode::PayPerRequest;
        let record = TableRecord {
            id: TableId(*made),
            name: name.to_owned(),
            status: TableStatus::Active,
            created_ms: NOW_MS,
            stream_ms: definition.stream.map(|_| NOW_MS),
            pay_per_request_ms: per_request.then_some(NOW_MS),
            throughput_raised_ms: None,
            throughput_lowered_ms: None,
            global: None,
            partitions: Vec::new(),
            definition,
        };
        tables.insert(name.to_owned(), (Arc::new(record.clone()), Items::new()));
        Ok(Arc::new(TableRecord { status: TableStatus::Creating, ..record }))
    }

    async fn update_table(
        &self,
        name: &str,
        settings: TableSettings,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.change(name, TableStatus::Updating, |record| {
            let definition = &mut record.definition;
            if let Some(billing) = settings.billing {
                definition.billing = billing;
                if billing == BillingMode::PayPerRequest {
                    definition.throughput = None;
                    record.pay_per_request_ms = Some(NOW_MS);
                }
            }
            if let Some(throughput) = settings.throughput {
                definition.throughput = Some(throughput);
                record.throughput_raised_ms = Some(NOW_MS);
            }
            match settings.stream {
                Setting::Keep => {}
                Setting::Unset => definition.stream = None,
                Setting::Set(view) => {
                    definition.stream = Some(view);
                    record.stream_ms = Some(NOW_MS);
                }
            }
            definition.class = settings.class.or(definition.class);
            if let Some(protection) = settings.deletion_protection {
                definition.deletion_protection = protection;
            }
        })
    }

    async fn update_replicas(
        &self,
        name: &str,
        changes: Vec<ReplicaChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.change(name, TableStatus::Updating, |record| {
            let own = BTreeMap::from([("eu-test-1".to_owned(), ReplicaStatus::Active)]);
            let mut global =
                record.global.take().unwrap_or(GlobalSnapshot { version: 0, replicas: own });
            global.version += 1;
            for change in changes {
                match change {
                    ReplicaChange::Create(region) => {
                        global.replicas.insert(region, ReplicaStatus::Creating);
                    }
                    ReplicaChange::Delete(region) => drop(global.replicas.remove(&region)),
                }
            }
            record.global = Some(global);
        })
    }

    async fn delete_table(&self, name: &str) -> Result<Arc<TableRecord>, ChangeError> {
        let mut tables = self.tables.lock().unwrap();
        let (record, _) = tables.get(name).ok_or(RegionRefusal::TableNotFound)?;
        if record.definition.deletion_protection {
            return Err(RegionRefusal::DeletionProtected.into());
        }
        let record = TableRecord { status: TableStatus::Deleting, ..TableRecord::clone(record) };
        tables.remove(name);
        Ok(Arc::new(record))
    }

    async fn write(
        &self,
        table: &Arc<TableRecord>,
        write: Write,
    ) -> Result<WriteOutcome, BackendError> {
        self.planned(&write.key.partition)?;
        self.with_items(table, |items| evaluate(&table.definition.key, items, write))
    }

    async fn get(
        &self,
        table: &Arc<TableRecord>,
        key: Key,
        _: Consistency,
    ) -> Result<GetOutcome, BackendError> {
        self.planned(&key.partition)?;
        self.with_items(table, |items| {
            let item = items.get(key.encode().as_bytes()).cloned();
            GetOutcome { bytes: item.as_ref().map_or(0, item_bytes), item }
        })
    }

    async fn page(
        &self,
        table: &Arc<TableRecord>,
        request: PageRequest,
        _: Consistency,
    ) -> Result<Page, BackendError> {
        self.with_items(table, |items| page(items, &request))
    }
}

fn evaluate(schema: &KeySchema, items: &mut Items, write: Write) -> WriteOutcome {
    let encoded = write.key.encode().into_bytes();
    let before = items.get(&encoded).cloned();
    let old_bytes = before.as_ref().map_or(0, item_bytes);
    let empty = Item::new();
    if let Some(condition) = &write.condition
        && !condition.matches(before.as_ref().unwrap_or(&empty))
    {
        let old = before.filter(|_| write.returns.old_on_failure);
        return WriteOutcome::ConditionFailed { old, old_bytes };
    }
    let after = match write.action {
        Action::Put(item) => Some(item),
        Action::Delete => None,
        Action::Update(update) => {
            let updated = match &before {
                Some(item) => update.apply(item),
                None => update.create(&write.key.to_item(schema)),
            };
            match updated {
                Ok(updated) => Some(updated.item),
                Err(error) => return WriteOutcome::Refused(Refusal::Expression(error.to_string())),
            }
        }
    };
    let new_bytes = after.as_ref().map_or(0, item_bytes);
    if new_bytes > ITEM_BYTES_MAX {
        return WriteOutcome::Refused(Refusal::UpdatedItemTooLarge);
    }
    match &after {
        Some(item) => drop(items.insert(encoded, item.clone())),
        None => drop(items.remove(&encoded)),
    }
    let old = before.filter(|_| write.returns.old);
    let new = after.filter(|_| write.returns.new);
    WriteOutcome::Done(Done { old, new, old_bytes, new_bytes })
}

fn page(items: &Items, request: &PageRequest) -> Page {
    let bounds = (request.start.clone(), request.end.clone());
    let mut page = Page::default();
    // BTreeMap panics on an empty range with both ends excluded.
    let in_range = items.iter().filter(|(key, _)| reads::within(&bounds, key));
    let mut in_order: Vec<(&Vec<u8>, &Item)> = in_range.collect();
    if request.reverse {
        in_order.reverse();
    }
    for (key, item) in in_order {
        page.scanned += 1;
        page.bytes += item_bytes(item);
        if request.filter.as_ref().is_none_or(|filter| filter.matches(item)) {
            page.count += 1;
            if !request.count_only {
                page.items.push(item.clone());
            }
        }
        let limited = request.limit.is_some_and(|limit| page.scanned >= limit);
        if limited || page.bytes >= request.bytes_max {
            page.resume = Some(key.clone());
            break;
        }
    }
    page
}
