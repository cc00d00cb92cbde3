//! Exports and imports: done by the node that leads the region group.
//!
//! # Invariants
//!
//! - Only the leader works. A new one begins again under the same id: what it writes again is the same.
//! - At most [`RUNNING_MAX`] of a kind run at a time, the oldest first.
//!
//! Tested by `cluster_tests/jobs.rs`.

mod exporter;
mod files;
mod importer;

use crate::node::Node;
use crate::pause::Pause;
use crate::task::Task;
use exporter::Exporter;
use importer::Importer;
use meridian_api::backend::{BackendError, ChangeError};
use meridian_base::{GroupId, TableId};
use meridian_control::region::{
    Command, Done, ExportCommand, ExportRecord, ExportRequest, Failure, ImportCommand,
    ImportRecord, ImportRequest, JobId, RegionState,
};
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Jobs of a kind that run at a time.
const RUNNING_MAX: usize = 4;
/// Between two looks at who leads.
const LOOK: Duration = Duration::from_millis(500);
/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often a job is tried again before it fails.
const ATTEMPTS_MAX: u32 = 10;

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// It fails, and is not tried again.
    #[error("{}: {}", .0.code, .0.message)]
    Failed(Failure),
    /// It may be tried again.
    #[error("{0}")]
    Again(String),
}

impl Stop {
    pub(crate) fn failed(code: &str, message: impl Into<String>) -> Self {
        Stop::Failed(Failure { code: code.to_owned(), message: message.into() })
    }

    pub(crate) fn again(why: impl ToString) -> Self {
        Stop::Again(why.to_string())
    }
}

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut stopping = node.stopping();
    let mut state = node.control.watch_region();
    let mut running = Running::default();
    loop {
        let leads = node.hosting.group(GroupId::Region).and_then(|group| group.leading());
        let now = Arc::clone(&state.borrow_and_update());
        match leads {
            Some(term) => running.follow(&node, term, &now),
            None => running = Running::default(),
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            changed = state.changed() => if changed.is_err() { return },
            () = rt::sleep(LOOK) => {}
        }
    }
}

/// The jobs that run here, in one term.
#[derive(Default)]
struct Running {
    term: u64,
    exports: BTreeMap<JobId, Task>,
    imports: BTreeMap<JobId, Task>,
}

impl Running {
    /// Ends tasks of jobs that have ended, and starts what is to be done.
    fn follow(&mut self, node: &Arc<Node>, term: u64, state: &RegionState) {
        if self.term != term {
            *self = Running { term, ..Running::default() };
        }
        let jobs = state.jobs();
        let open = |ended: Option<bool>| ended == Some(false);
        self.exports.retain(|id, _| open(jobs.exports.get(id).map(|job| job.ended.is_some())));
        self.imports.retain(|id, _| open(jobs.imports.get(id).map(|job| job.ended.is_some())));
        for export in jobs.exports.values().filter(|job| job.ended.is_none()).take(RUNNING_MAX) {
            let start = || Exporter { node: Arc::clone(node), export: export.clone() }.start();
            self.exports.entry(export.id).or_insert_with(start);
        }
        for import in jobs.imports.values().filter(|job| job.ended.is_none()).take(RUNNING_MAX) {
            let start = || Importer { node: Arc::clone(node), import: import.clone() }.start();
            self.imports.entry(import.id).or_insert_with(start);
        }
    }
}

/// How often a job was tried, and how long it waits before it is tried again.
pub(crate) struct Attempts {
    id: JobId,
    left: u32,
    pause: Pause,
}

impl Attempts {
    pub(crate) fn of(id: JobId) -> Self {
        Attempts { id, left: ATTEMPTS_MAX, pause: Pause::new(PAUSE_MIN, PAUSE_MAX) }
    }

    /// Waits until the job may be tried again; gives the failure of one that is not.
    pub(crate) async fn after(&mut self, stop: Stop) -> Option<Failure> {
        let id = self.id;
        match stop {
            Stop::Failed(failure) => {
                tracing::warn!(%id, code = failure.code, why = failure.message, "a job failed");
                return Some(failure);
            }
            Stop::Again(why) => tracing::warn!(%id, %why, "a job stopped; it is tried again"),
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            let (code, message) = ("InternalServerError", "Internal server error");
            return Some(Failure { code: code.to_owned(), message: message.to_owned() });
        }
        self.pause.wait().await;
        None
    }
}

impl Node {
    /// Tells the region group of a job until it is heard.
    pub(crate) async fn tell(&self, command: &Command) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            match self.control.region(command).await {
                Ok(Ok(_)) => return,
                Ok(Err(refusal)) => {
                    tracing::warn!(%refusal, "the region group does not take the end of a job");
                    return;
                }
                Err(why) => tracing::debug!(%why, "the region group is told again"),
            }
            pause.wait().await;
        }
    }

    fn next_job(&self) -> JobId {
        let random = u32::try_from(rt::random() >> 32).unwrap_or_default();
        JobId { at_ms: self.options.clock.now_ms(), random }
    }

    /// Begins an export, or finds the one that its token began.
    pub(crate) async fn begin_export(
        &self,
        table: TableId,
        request: ExportRequest,
    ) -> Result<ExportRecord, ChangeError> {
        let begin = ExportCommand::Begin { id: self.next_job(), table, request };
        let id = self.begin_job(&Command::Export(begin)).await?;
        let export = self.control.region_state().jobs().exports.get(&id).cloned();
        export.ok_or(ChangeError::Backend(BackendError::Internal))
    }

    /// Begins an import, or finds the one that its token began.
    pub(crate) async fn begin_import(
        &self,
        request: ImportRequest,
    ) -> Result<ImportRecord, ChangeError> {
        let begin = ImportCommand::Begin { id: self.next_job(), request };
        let id = self.begin_job(&Command::Import(begin)).await?;
        let import = self.control.region_state().jobs().imports.get(&id).cloned();
        import.ok_or(ChangeError::Backend(BackendError::Internal))
    }

    async fn begin_job(&self, command: &Command) -> Result<JobId, ChangeError> {
        match self.change(command).await? {
            Done::Job(id) => Ok(id),
            Done::Changed | Done::Table(_) | Done::Epoch(_) | Done::Backup(_) => {
                Err(ChangeError::Backend(BackendError::Internal))
            }
        }
    }
}
