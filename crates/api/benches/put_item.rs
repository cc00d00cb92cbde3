//! How long it takes to read and check requests, apart from doing what they ask:
//! `cargo bench -p meridian-api`.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use meridian_api::backups::{ArchivedTable, Restorable};
use meridian_api::streams::{StreamPage, StreamRead};
use meridian_api::transact::{
    TransactGetOutcome, TransactToken, TransactWrite, TransactWriteOutcome,
};
use meridian_api::{
    Backend, BackendError, ChangeError, Consistency, ReplicaChange, RequestContext, TableSize,
    handle,
};
use meridian_base::{BackupId, LogIndex, NodeId, PartitionId, RegionId, TableId};
use meridian_control::NodeAddresses;
use meridian_control::region::{
    BackupRecord, Command, ExportRecord, ExportRequest, ImportRecord, ImportRequest, JobId,
    OwnChange, PartitionPlacement, RegionState, RestoreSource, TableRecord, TableSettings,
};
use meridian_control::table::{BillingMode, OnDemandMaximum, TableDefinition};
use meridian_model::{Key, KeyAttribute, KeyKind, KeyRange, KeySchema};
use meridian_partition::{Done, GetOutcome, Page, PageRequest, Write, WriteOutcome};

/// One table; a write is done at once, and nothing else is.
struct Nowhere(Arc<TableRecord>);

const NOT_HERE: BackendError = BackendError::Internal;

#[async_trait]
impl Backend for Nowhere {
    fn has_region(&self, _: &str) -> bool {
        true
    }

    fn table(&self, _: &str) -> Option<Arc<TableRecord>> {
        Some(Arc::clone(&self.0))
    }

    fn table_names(&self, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }

    async fn table_size(&self, _: &TableRecord) -> TableSize {
        TableSize::default()
    }

    async fn create_table(
        &self,
        _: &str,
        _: TableDefinition,
        _: Vec<OwnChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    async fn update_table(
        &self,
        _: &str,
        _: TableSettings,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    async fn change_own(&self, _: &str, _: OwnChange) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    fn regions(&self) -> Vec<String> {
        Vec::new()
    }

    async fn update_replicas(
        &self,
        _: &str,
        _: Vec<ReplicaChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    fn archives(&self) -> bool {
        false
    }

    async fn restorable(&self, _: &TableRecord) -> Result<Option<Restorable>, BackendError> {
        Err(NOT_HERE)
    }

    async fn archived_in(&self, _: &str, _: &str) -> Result<Option<ArchivedTable>, BackendError> {
        Err(NOT_HERE)
    }

    async fn restore_table(
        &self,
        _: &str,
        _: TableDefinition,
        _: RestoreSource,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    fn backups(&self) -> Vec<BackupRecord> {
        Vec::new()
    }

    async fn create_backup(&self, _: &TableRecord, _: &str) -> Result<BackupRecord, ChangeError> {
        Err(NOT_HERE.into())
    }

    async fn delete_backup(&self, _: BackupId) -> Result<(), ChangeError> {
        Err(NOT_HERE.into())
    }

    async fn begin_export(
        &self,
        _: &TableRecord,
        _: ExportRequest,
    ) -> Result<ExportRecord, ChangeError> {
        Err(NOT_HERE.into())
    }

    fn export(&self, _: JobId) -> Option<ExportRecord> {
        None
    }

    fn exports(&self, _: Option<TableId>, _: Option<JobId>, _: usize) -> Vec<ExportRecord> {
        Vec::new()
    }

    async fn begin_import(&self, _: ImportRequest) -> Result<ImportRecord, ChangeError> {
        Err(NOT_HERE.into())
    }

    fn import(&self, _: JobId) -> Option<ImportRecord> {
        None
    }

    fn imports(&self, _: Option<&str>, _: Option<JobId>, _: usize) -> Vec<ImportRecord> {
        Vec::new()
    }

    async fn delete_table(&self, _: &str) -> Result<Arc<TableRecord>, ChangeError> {
        Err(NOT_HERE.into())
    }

    async fn write(
        &self,
        _: &Arc<TableRecord>,
        write: Write,
    ) -> Result<WriteOutcome, BackendError> {
        black_box(write);
        Ok(WriteOutcome::Done(Done {
            old: None,
            new: None,
            old_bytes: 0,
            new_bytes: 0,
            local_units: Vec::new(),
            global_units: Vec::new(),
        }))
    }

    async fn get(
        &self,
        _: &Arc<TableRecord>,
        key: Key,
        _: Consistency,
    ) -> Result<GetOutcome, BackendError> {
        black_box(key);
        Err(NOT_HERE)
    }

    async fn page(
        &self,
        _: &Arc<TableRecord>,
        _: Option<&str>,
        request: PageRequest,
        _: Consistency,
    ) -> Result<Page, BackendError> {
        black_box(request);
        Err(NOT_HERE)
    }

    async fn transact_write(
        &self,
        _: Vec<TransactWrite>,
        _: Option<TransactToken>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        Err(NOT_HERE)
    }

    async fn transact_get(
        &self,
        _: Vec<(Arc<TableRecord>, Key)>,
    ) -> Result<TransactGetOutcome, BackendError> {
        Err(NOT_HERE)
    }

    fn now_ms(&self) -> u64 {
        0
    }

    async fn stream_page(
        &self,
        _: &Arc<TableRecord>,
        _: PartitionId,
        _: StreamRead,
    ) -> Result<StreamPage, BackendError> {
        Err(NOT_HERE)
    }
}

fn table() -> Arc<TableRecord> {
    let key = KeyAttribute::new("pk", KeyKind::S);
    let definition = TableDefinition {
        attributes: vec![key.clone()],
        key: KeySchema { partition: key, sort: None },
        local_indexes: Vec::new(),
        global_indexes: Vec::new(),
        billing: BillingMode::PayPerRequest,
        throughput: None,
        stream: None,
        class: None,
        deletion_protection: false,
        on_demand: OnDemandMaximum::default(),
        warm: None,
        encryption: None,
        ttl: None,
        overrides: std::collections::BTreeMap::new(),
        scaling: Vec::new(),
    };
    let place = || "here:1".to_owned();
    let addresses = NodeAddresses { peer: place(), client: place(), admin: place() };
    let node = NodeId(1);
    let partition = PartitionPlacement {
        range: KeyRange { start: Vec::new(), end: None },
        voters: vec![node],
        first_leader: node,
    };
    let mut state = RegionState::new();
    let region = RegionId::new(1);
    let commands = [
        Command::InitRegion { region, name: "here".to_owned() },
        Command::JoinNode { node, zone: "a".to_owned(), addresses },
        Command::CreateTable {
            name: "music".to_owned(),
            definition: Box::new(definition),
            partitions: vec![partition],
            forced: None,
            global: None,
            own: Vec::new(),
            restore: None,
            created_ms: 0,
        },
    ];
    for (index, command) in (1..).zip(&commands) {
        state.apply(LogIndex(index), command).expect("the state takes it");
    }
    let id = state.tables()["music"].id;
    state.apply(LogIndex(9), &Command::TableActive { table: id }).expect("the table is there");
    Arc::new(state.tables()["music"].clone())
}

const PLAIN: &str = r#"{"TableName":"music","Item":{"pk":{"S":"artist#1234567890"},
    "title":{"S":"Feeling Good"},"plays":{"N":"1234567"},"rating":{"N":"4.75"},
    "live":{"BOOL":true},"tags":{"SS":["jazz","soul","1965"]},"cover":{"B":"AAECAwQFBgcICQ=="},
    "label":{"M":{"name":{"S":"Philips"},"years":{"L":[{"N":"1964"},{"N":"1967"}]}}}}}"#;

const CONDITIONAL: &str = r##"{"TableName":"music","Item":{"pk":{"S":"artist#1234567890"},
    "title":{"S":"Feeling Good"},"version":{"N":"7"}},
    "ConditionExpression":"attribute_not_exists(pk) OR (#v < :v AND begins_with(title, :t))",
    "ExpressionAttributeNames":{"#v":"version"},
    "ExpressionAttributeValues":{":v":{"N":"7"},":t":{"S":"Feel"}},"ReturnValues":"ALL_OLD"}"##;

fn put_item(c: &mut Criterion) {
    let backend = Nowhere(table());
    let context = RequestContext { region: "here".to_owned(), endpoint: "here:1".to_owned() };
    let target = "DynamoDB_20120810.PutItem";
    for (name, body) in [("PutItem", PLAIN), ("PutItem with a condition", CONDITIONAL)] {
        c.bench_function(name, |b| {
            b.iter(|| {
                let answer = handle(&backend, &context, target, black_box(body.as_bytes()));
                let answer = answer.now_or_never().expect("nothing waits");
                answer.expect("it is done")
            });
        });
    }
}

criterion_group!(benches, put_item);
criterion_main!(benches);
