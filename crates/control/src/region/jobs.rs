//! Exports and imports of tables: what was asked for, and what became of it.
//!
//! # Invariants
//!
//! - A job ends once; what is said of it afterwards changes nothing.
//! - While a job of a client's token is known, no other begins with that token.
//! - A table that an import makes is not ACTIVE before the import has filled it.
//!
//! Tested by `region/jobs_tests.rs`.

use super::RegionState;
use super::apply::NewTable;
use super::command::{CommandResult, Done, PartitionPlacement, Refusal};
use crate::stored;
use crate::table::TableDefinition;
use meridian_base::TableId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

/// How long a job is kept after it ended, ms (AWS: ListExports and ListImports, 90 days).
pub const JOBS_KEPT_MS: u64 = 90 * 24 * 3600 * 1000;
/// How long a client's token counts after its job ended, ms (AWS: `ClientToken`, 8 hours).
pub const TOKEN_KEPT_MS: u64 = 8 * 3600 * 1000;
/// Most exports under way (AWS: service quotas).
pub const EXPORTS_MAX: usize = 300;
/// Most imports under way (AWS: service quotas).
pub const IMPORTS_MAX: usize = 50;
/// Most jobs of a kind that are kept: the oldest that ended go before their time.
pub const JOBS_KEPT_MAX: usize = 5_000;

/// The id of an export or import: `01700000000123-0000beef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId {
    /// When it was asked for, ms since the Unix epoch.
    pub at_ms: u64,
    /// Tells jobs of one moment apart.
    pub random: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}-{:08x}", self.at_ms, self.random)
    }
}

impl FromStr for JobId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = text.split_once('-').and_then(|(at_ms, random)| {
            let random = u32::from_str_radix(random, 16).ok()?;
            Some(JobId { at_ms: at_ms.parse().ok()?, random })
        });
        read.filter(|id| id.to_string() == text).ok_or("not the id of an export or import")
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'d> Deserialize<'d> for JobId {
    fn deserialize<D: Deserializer<'d>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// Why a job failed: `FailureCode` and `FailureMessage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// The text.
    pub message: String,
}

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPlace {
    /// The bucket.
    pub bucket: String,
    /// Its owner, where one is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What all names begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// What an export shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportScope {
    /// All items as they were.
    Full {
        /// When, ms since the Unix epoch; none for when it was asked for.
        at_ms: Option<u64>,
    },
    /// What was written in between.
    Incremental {
        /// From this time on, ms since the Unix epoch.
        from_ms: u64,
        /// Up to this time, which is not in it; none for when it was asked for.
        to_ms: Option<u64>,
        /// NEW_AND_OLD_IMAGES, or else NEW_IMAGE.
        old_images: bool,
    },
}

/// What ExportTableToPointInTime states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// `ClientToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where the files go.
    pub to: BucketPlace,
    /// `S3SseAlgorithm`. Kept and shown: what encrypts a bucket is the operator's matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse_algorithm: Option<String>,
    /// `S3SseKmsKeyId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse_key: Option<String>,
    /// What it shows.
    pub scope: ExportScope,
}

/// What became of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportOutcome {
    /// COMPLETED.
    Completed {
        /// `ItemCount`.
        items: u64,
        /// `BilledSizeBytes`.
        billed_bytes: u64,
    },
    /// FAILED.
    Failed(Failure),
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRecord {
    /// Its id; its time is when it was asked for.
    pub id: JobId,
    /// The table.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// The table's name.
    pub table_name: String,
    /// What was asked for.
    pub request: ExportRequest,
    /// When it ended, ms since the Unix epoch, and how; none while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(u64, ExportOutcome)>,
}

/// `InputFormat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportFormat {
    /// DYNAMODB_JSON.
    DynamoDbJson,
    /// CSV.
    Csv {
        /// `Delimiter`.
        delimiter: Option<char>,
        /// `HeaderList`.
        header: Option<Vec<String>>,
    },
}

/// `InputCompressionType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportCompression {
    /// NONE.
    None,
    /// GZIP.
    Gzip,
    /// ZSTD.
    Zstd,
}

/// What ImportTable states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// `ClientToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where the files are.
    pub from: BucketPlace,
    /// What they are.
    pub format: ImportFormat,
    /// How they are compressed.
    pub compression: ImportCompression,
    /// The name of the table that is made.
    pub table_name: String,
    /// What it is.
    pub definition: Box<TableDefinition>,
    /// `TableCreationParameters` in JSON, as they were stated.
    pub parameters: String,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImportCounts {
    /// `ProcessedItemCount`.
    pub processed: u64,
    /// `ImportedItemCount`.
    pub imported: u64,
    /// `ErrorCount`.
    pub errors: u64,
    /// `ProcessedSizeBytes`.
    pub bytes: u64,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// Its id; its time is when it was asked for.
    pub id: JobId,
    /// The id of the table, which is made later.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// What was asked for.
    pub request: ImportRequest,
    /// What was read and written, once all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<ImportCounts>,
    /// When it ended, ms since the Unix epoch, and why it failed, if so; none while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(u64, Option<Failure>)>,
}

/// A change of the exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportCommand {
    /// Begins one, or finds the one that the same token began.
    Begin {
        /// Its id, with the time that is now.
        id: JobId,
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// What is asked for.
        request: ExportRequest,
    },
    /// It has ended.
    End {
        /// Its id.
        id: JobId,
        /// Now.
        at_ms: u64,
        /// How.
        outcome: ExportOutcome,
    },
}

/// A change of the imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportCommand {
    /// Begins one, or finds the one that the same token began.
    Begin {
        /// Its id, with the time that is now.
        id: JobId,
        /// What is asked for.
        request: ImportRequest,
    },
    /// Makes its table, CREATING; once made it is found again.
    MakeTable {
        /// Its id.
        id: JobId,
        /// The table's partitions, in the order of their ranges.
        partitions: Vec<PartitionPlacement>,
        /// Now.
        at_ms: u64,
    },
    /// All that can be read is in the table.
    Filled {
        /// Its id.
        id: JobId,
        /// What was read and written.
        counts: ImportCounts,
    },
    /// It has ended.
    End {
        /// Its id.
        id: JobId,
        /// Now.
        at_ms: u64,
        /// Why it failed, if so.
        failure: Option<Failure>,
    },
}

/// The exports and imports of a region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Jobs {
    /// By id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exports: BTreeMap<JobId, ExportRecord>,
    /// By id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imports: BTreeMap<JobId, ImportRecord>,
}

/// What both kinds of jobs have.
trait Job {
    fn token(&self) -> Option<&str>;
    fn ended_ms(&self) -> Option<u64>;

    /// True when its token still counts and is this one.
    fn has_token(&self, token: &str, at_ms: u64) -> bool {
        let counts = |ended: u64| at_ms <= ended.saturating_add(TOKEN_KEPT_MS);
        self.token() == Some(token) && self.ended_ms().is_none_or(counts)
    }
}

impl Job for ExportRecord {
    fn token(&self) -> Option<&str> {
        self.request.token.as_deref()
    }

    fn ended_ms(&self) -> Option<u64> {
        self.ended.as_ref().map(|(at_ms, _)| *at_ms)
    }
}

impl Job for ImportRecord {
    fn token(&self) -> Option<&str> {
        self.request.token.as_deref()
    }

    fn ended_ms(&self) -> Option<u64> {
        self.ended.as_ref().map(|(at_ms, _)| *at_ms)
    }
}

/// The job that a token began, the newest of several.
fn of_token<'a, J: Job>(
    jobs: &'a BTreeMap<JobId, J>,
    token: Option<&str>,
    at_ms: u64,
) -> Option<&'a J> {
    let token = token?;
    jobs.values().rev().find(|job| job.has_token(token, at_ms))
}

/// Lets jobs go whose time is over, and the oldest that ended where there are too many.
fn forget<J: Job>(jobs: &mut BTreeMap<JobId, J>, at_ms: u64) {
    jobs.retain(|_, job| {
        job.ended_ms().is_none_or(|ended| ended.saturating_add(JOBS_KEPT_MS) > at_ms)
    });
    let surplus = (jobs.len() + 1).saturating_sub(JOBS_KEPT_MAX);
    let ended = jobs.iter().filter(|(_, job)| job.ended_ms().is_some());
    let oldest: Vec<JobId> = ended.map(|(id, _)| *id).take(surplus).collect();
    oldest.iter().for_each(|id| drop(jobs.remove(id)));
}

fn before<J>(jobs: &BTreeMap<JobId, J>, after: Option<JobId>) -> impl Iterator<Item = &J> {
    let upto = after.map_or(Bound::Unbounded, Bound::Excluded);
    jobs.range((Bound::Unbounded, upto)).rev().map(|(_, job)| job)
}

fn under_way<J: Job>(jobs: &BTreeMap<JobId, J>) -> usize {
    jobs.values().filter(|job| job.ended_ms().is_none()).count()
}

impl Jobs {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.exports.is_empty() && self.imports.is_empty()
    }

    /// Up to `limit` exports, of one table or of all, the newest first, those before `after`.
    pub fn exports_before(
        &self,
        of: Option<TableId>,
        after: Option<JobId>,
        limit: usize,
    ) -> Vec<ExportRecord> {
        let wanted = |export: &&ExportRecord| of.is_none_or(|table| export.table == table);
        before(&self.exports, after).filter(wanted).take(limit).cloned().collect()
    }

    /// Up to `limit` imports, into one name or all, the newest first, those before `after`.
    pub fn imports_before(
        &self,
        into: Option<&str>,
        after: Option<JobId>,
        limit: usize,
    ) -> Vec<ImportRecord> {
        let wanted =
            |import: &&ImportRecord| into.is_none_or(|name| import.request.table_name == name);
        before(&self.imports, after).filter(wanted).take(limit).cloned().collect()
    }
}

impl RegionState {
    /// The exports and imports.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    pub(super) fn export(&mut self, command: &ExportCommand) -> CommandResult {
        match command {
            ExportCommand::Begin { id, table, request } => self.begin_export(*id, *table, request),
            ExportCommand::End { id, at_ms, outcome } => {
                let export = self.jobs.exports.get_mut(id).ok_or(Refusal::JobNotFound)?;
                export.ended.get_or_insert_with(|| (*at_ms, outcome.clone()));
                Ok(Done::Job(*id))
            }
        }
    }

    fn begin_export(
        &mut self,
        id: JobId,
        table: TableId,
        request: &ExportRequest,
    ) -> CommandResult {
        if let Some(known) = of_token(&self.jobs.exports, request.token.as_deref(), id.at_ms) {
            let same = known.table == table && known.request == *request;
            return if same { Ok(Done::Job(known.id)) } else { Err(Refusal::OtherParameters) };
        }
        let table_name = self.table_by_id(table).ok_or(Refusal::TableNotFound)?.name.clone();
        if under_way(&self.jobs.exports) >= EXPORTS_MAX || self.jobs.exports.contains_key(&id) {
            return Err(Refusal::LimitExceeded);
        }
        forget(&mut self.jobs.exports, id.at_ms);
        let request = request.clone();
        self.jobs.exports.insert(id, ExportRecord { id, table, table_name, request, ended: None });
        Ok(Done::Job(id))
    }

    pub(super) fn import(&mut self, command: &ImportCommand) -> CommandResult {
        match command {
            ImportCommand::Begin { id, request } => self.begin_import(*id, request),
            ImportCommand::MakeTable { id, partitions, at_ms } => {
                self.make_imported(*id, partitions, *at_ms)
            }
            ImportCommand::Filled { id, counts } => {
                let import = self.jobs.imports.get_mut(id).ok_or(Refusal::JobNotFound)?;
                import.counts.get_or_insert(*counts);
                let filled = self.tables.values_mut().filter(|table| table.import == Some(*id));
                filled.for_each(|table| table.import = None);
                Ok(Done::Job(*id))
            }
            ImportCommand::End { id, at_ms, failure } => {
                let import = self.jobs.imports.get_mut(id).ok_or(Refusal::JobNotFound)?;
                import.ended.get_or_insert_with(|| (*at_ms, failure.clone()));
                Ok(Done::Job(*id))
            }
        }
    }

    fn begin_import(&mut self, id: JobId, request: &ImportRequest) -> CommandResult {
        let region = self.region.ok_or(Refusal::NotInitialised)?;
        let known = of_token(&self.jobs.imports, request.token.as_deref(), id.at_ms);
        if known.is_some_and(|known| known.request.table_name != request.table_name) {
            return Err(Refusal::OtherParameters);
        }
        if let Some(known) = known.filter(|known| known.ended.is_none()) {
            return Ok(Done::Job(known.id));
        }
        if let Some(table) = self.tables.get(&request.table_name) {
            return Err(Refusal::TableExists { table: table.id });
        }
        if let Some(known) = known {
            return Ok(Done::Job(known.id));
        }
        request.definition.check().map_err(Refusal::Definition)?;
        if under_way(&self.jobs.imports) >= IMPORTS_MAX || self.jobs.imports.contains_key(&id) {
            return Err(Refusal::LimitExceeded);
        }
        let table = self.claim_table_id(region, None)?;
        forget(&mut self.jobs.imports, id.at_ms);
        let request = request.clone();
        self.jobs
            .imports
            .insert(id, ImportRecord { id, table, request, counts: None, ended: None });
        Ok(Done::Job(id))
    }

    fn make_imported(
        &mut self,
        id: JobId,
        partitions: &[PartitionPlacement],
        created_ms: u64,
    ) -> CommandResult {
        let import = self.jobs.imports.get(&id).ok_or(Refusal::JobNotFound)?;
        let (table, name) = (import.table, import.request.table_name.clone());
        if import.counts.is_some() || import.ended.is_some() {
            return Err(Refusal::JobNotFound);
        }
        if self.table_by_id(table).is_some() {
            return Ok(Done::Table(table));
        }
        let definition = import.request.definition.clone();
        let new = NewTable {
            definition: &definition,
            partitions,
            forced: Some(table),
            global: None,
            own: &[],
            restore: None,
            created_ms,
        };
        let made = self.create_table(&name, &new)?;
        if let Some(record) = self.tables.get_mut(&name) {
            record.import = Some(id);
        }
        Ok(made)
    }
}
