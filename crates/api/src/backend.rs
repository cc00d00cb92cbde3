//! What operations call: the seam between the API and whatever stores the data.
//!
//! # Invariants
//!
//! - Operations hold no state: everything that they know of a table comes from here.
//! - An unknown outcome stays unknown: `BackendError` tells what was surely not applied from what
//!   may have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backups::{ArchivedTable, Restorable};
use crate::streams::{StreamPage, StreamRead};
use crate::transact::{TransactGetOutcome, TransactToken, TransactWrite, TransactWriteOutcome};
use async_trait::async_trait;
use meridian_base::{BackupId, PartitionId, TableId};
use meridian_control::region::{
    BackupRecord, ExportRecord, ExportRequest, ImportRecord, ImportRequest, JobId, OwnChange,
    RestoreSource, TableRecord, TableSettings,
};
use meridian_control::table::TableDefinition;
use meridian_model::Key;
use meridian_partition::{GetOutcome, Page, PageRequest, Write, WriteOutcome};

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Any replica of the region may answer.
    Eventual,
    /// Sees every write that was acknowledged in the region before.
    Strong,
}

/// How much a table and its indexes hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableSize {
    /// The table.
    pub table: Size,
    /// Its indexes, local and global, by name.
    pub indexes: BTreeMap<String, Size>,
    /// When it was counted, ms since the Unix epoch.
    pub at_ms: u64,
}

/// How much a table, or an index, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Number of items.
    pub items: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A change of a table's replicas in other regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaChange {
    /// Adds a replica in the named region.
    Create(String),
    /// Takes the replica in the named region away.
    Delete(String),
}

/// Why an item request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No replica answers; when `maybe_applied` is false the request surely changed nothing.
    #[error("unavailable")]
    Unavailable {
        /// Whether the request may have been applied.
        maybe_applied: bool,
    },
    /// No answer came in time: it may have been applied.
    #[error("timed out")]
    Timeout,
    /// Refused for now because of load; surely not applied.
    #[error("throttled")]
    Throttled,
    /// A limit of throughput is reached; surely not applied.
    #[error("throughput exceeded")]
    Exceeded(Arc<Exceeded>),
    /// The disk of whoever could write it is full; surely not applied.
    #[error("short of disk")]
    NoRoom,
    /// The table is gone.
    #[error("no such table")]
    ResourceNotFound,
    /// Something is broken here: it may have been applied.
    #[error("internal error")]
    Internal,
}

/// Which limit of throughput was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The ARN of the table or index that has it.
    pub resource: String,
    /// An index has it, or else the table.
    pub of_index: bool,
    /// It is of writes, or else of reads.
    pub of_writes: bool,
    /// It is an on-demand maximum, or else provisioned.
    pub on_demand: bool,
}

/// Why a change of the catalog was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The region group refused it.
    #[error(transparent)]
    Region(#[from] meridian_control::region::Refusal),
    /// The global group refused it.
    #[error(transparent)]
    Global(#[from] meridian_control::global::Refusal),
    /// It was not answered.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Tables and items of one region.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Tells whether the cluster has a region of that name, in whatever state.
    fn has_region(&self, name: &str) -> bool;

    /// Returns the table of that name as this node knows it now.
    fn table(&self, name: &str) -> Option<Arc<TableRecord>>;

    /// Returns up to `limit` table names in order, those after `after`.
    fn table_names(&self, after: Option<&str>, limit: usize) -> Vec<String>;

    /// Returns how much a table holds, about; DynamoDB refreshes it every six hours.
    async fn table_size(&self, table: &TableRecord) -> TableSize;

    /// Makes a table, with what belongs to this region's copy alone; returns it as it was when the
    /// change was applied: CREATING.
    async fn create_table(
        &self,
        name: &str,
        definition: TableDefinition,
        own: Vec<OwnChange>,
    ) -> Result<Arc<TableRecord>, ChangeError>;

    /// Changes settings; returns the table as it was when the change was applied: UPDATING.
    async fn update_table(
        &self,
        name: &str,
        settings: TableSettings,
    ) -> Result<Arc<TableRecord>, ChangeError>;

    /// Changes what belongs to this region's copy alone; returns the table as it is from now on.
    async fn change_own(
        &self,
        name: &str,
        change: OwnChange,
    ) -> Result<Arc<TableRecord>, ChangeError>;

    /// Returns the names of all regions.
    fn regions(&self) -> Vec<String>;

    /// Changes the replicas of a table; returns it with them as they are from now on.
    async fn update_replicas(
        &self,
        name: &str,
        changes: Vec<ReplicaChange>,
    ) -> Result<Arc<TableRecord>, ChangeError>;

    /// Whether this region has an archive configured, without which nothing can be restored.
    fn archives(&self) -> bool;

    /// Returns which times of a table the archive can bring back; none while it can bring back none.
    async fn restorable(&self, table: &TableRecord) -> Result<Option<Restorable>, BackendError>;

    /// Returns the newest table of that name of another region, as far as this region's object store
    /// has that region's archive; none where it has nothing of it.
    async fn archived_in(
        &self,
        region: &str,
        table: &str,
    ) -> Result<Option<ArchivedTable>, BackendError>;

    /// Makes a table and begins to fill it from the archive; returns it CREATING.
    async fn restore_table(
        &self,
        name: &str,
        definition: TableDefinition,
        source: RestoreSource,
    ) -> Result<Arc<TableRecord>, ChangeError>;

    /// Returns the backups of this region, oldest first.
    fn backups(&self) -> Vec<BackupRecord>;

    /// Begins a backup of a table; returns it as it was when it began.
    async fn create_backup(
        &self,
        table: &TableRecord,
        name: &str,
    ) -> Result<BackupRecord, ChangeError>;

    /// Deletes a backup.
    async fn delete_backup(&self, backup: BackupId) -> Result<(), ChangeError>;

    /// Begins an export of a table, or finds the one that the same token began.
    async fn begin_export(
        &self,
        table: &TableRecord,
        request: ExportRequest,
    ) -> Result<ExportRecord, ChangeError>;

    /// Returns an export of this region.
    fn export(&self, id: JobId) -> Option<ExportRecord>;

    /// Returns up to `limit` exports, of one table or of all, the newest first, those before `after`.
    fn exports(&self, of: Option<TableId>, after: Option<JobId>, limit: usize)
    -> Vec<ExportRecord>;

    /// Begins an import, or finds the one that the same token began.
    async fn begin_import(&self, request: ImportRequest) -> Result<ImportRecord, ChangeError>;

    /// Returns an import of this region.
    fn import(&self, id: JobId) -> Option<ImportRecord>;

    /// Returns up to `limit` imports, into one name or all, the newest first, those before `after`.
    fn imports(&self, into: Option<&str>, after: Option<JobId>, limit: usize) -> Vec<ImportRecord>;

    /// Begins to delete a table; returns it DELETING.
    async fn delete_table(&self, name: &str) -> Result<Arc<TableRecord>, ChangeError>;

    /// Writes one item.
    async fn write(
        &self,
        table: &Arc<TableRecord>,
        write: Write,
    ) -> Result<WriteOutcome, BackendError>;

    /// Reads one item.
    async fn get(
        &self,
        table: &Arc<TableRecord>,
        key: Key,
        consistency: Consistency,
    ) -> Result<GetOutcome, BackendError>;

    /// Reads items, or entries of a global index, of a key range, over as many partitions as the limits of the
    /// request allow.
    /// `resume` is set exactly when a limit ended the page, also at the end of the range.
    async fn page(
        &self,
        table: &Arc<TableRecord>,
        index: Option<&str>,
        request: PageRequest,
        consistency: Consistency,
    ) -> Result<Page, BackendError>;

    /// Does all of some writes, or none. They are of different items.
    async fn transact_write(
        &self,
        writes: Vec<TransactWrite>,
        token: Option<TransactToken>,
    ) -> Result<TransactWriteOutcome, BackendError>;

    /// Reads items as they were at one moment.
    async fn transact_get(
        &self,
        reads: Vec<(Arc<TableRecord>, Key)>,
    ) -> Result<TransactGetOutcome, BackendError>;

    /// Now, ms since the epoch, by the clock that stamps changes.
    fn now_ms(&self) -> u64;

    /// Reads the changes of a partition, for a stream of its table.
    async fn stream_page(
        &self,
        table: &Arc<TableRecord>,
        partition: PartitionId,
        read: StreamRead,
    ) -> Result<StreamPage, BackendError>;
}
