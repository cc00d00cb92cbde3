//! The node's one Raft log: a writer that appends for all groups and syncs once a drain.
//!
//! # Invariants
//!
//! - A completion of a durable job runs only after an `fdatasync` that covers its records.
//! - Jobs are written in the order in which they were queued.
//! - After a failed sync nothing is written any more, every pending completion fails, and the
//!   process is told to stop: the kernel may have dropped the dirty pages.
//!
//! Tested by the group tests and by every simulation seed.

use crate::rt;
use meridian_storage::{
    Location, LogReader, LogRecord, Pin, RecoveredGroup, SegmentedLog, StorageError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Jobs that may wait for the writer; a full queue holds its groups back.
const QUEUE_JOBS_MAX: usize = 8192;
/// Jobs written before one sync.
const DRAIN_JOBS_MAX: usize = 4096;

/// Runs when the records of a job are written (and synced, for a durable job).
pub type Completion = Box<dyn FnOnce(Result<&[Location], &StorageError>) + Send>;

struct Job {
    records: Vec<LogRecord>,
    /// How many records it had, once they are handed to the log.
    count: usize,
    durable: bool,
    done: Completion,
}

/// Stops the process: called once with the reason when the log can no longer be trusted.
pub type Fatal = Arc<dyn Fn(String) + Send + Sync>;

/// How the writer runs and what it does on failure.
pub struct LogOptions {
    /// Called when the log can no longer be trusted.
    pub fatal: Fatal,
    /// Tells the writer how long a sync takes; only a simulation, which has no thread, says so.
    pub simulated_sync: Option<fn() -> Duration>,
}

/// A handle to the node's log; clones share the writer.
#[derive(Clone)]
pub struct NodeLog {
    queue: mpsc::Sender<Job>,
    reader: LogReader,
    held: Arc<Mutex<Held>>,
    groups: Arc<Mutex<Groups>>,
}

/// What the log keeps on disk.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Bytes of all segments.
    pub bytes: u64,
    /// The groups whose entries keep the oldest segment: they should be released.
    pub pins: Vec<Pin>,
}

impl Held {
    fn of(log: &SegmentedLog) -> Self {
        Held { bytes: log.disk_bytes(), pins: log.pinned() }
    }
}

/// What the log knows of groups.
struct Groups {
    /// What recovery found, until the group is open.
    found: BTreeMap<u64, RecoveredGroup>,
    /// Those with a record in the log.
    known: BTreeSet<u64>,
}

impl NodeLog {
    /// Starts the writer of a recovered log.
    pub fn start(
        log: SegmentedLog,
        recovered: BTreeMap<u64, RecoveredGroup>,
        options: LogOptions,
    ) -> NodeLog {
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS_MAX);
        let reader = log.reader();
        let held = Arc::new(Mutex::new(Held::of(&log)));
        let writer = Writer { log, options, jobs: Vec::new(), held: Arc::clone(&held) };
        if writer.options.simulated_sync.is_some() {
            rt::spawn(writer.run_task(jobs));
        } else {
            std::thread::Builder::new()
                .name("raft-log".into())
                .spawn(move || writer.run_thread(jobs))
                .expect("a thread for the log starts at process start");
        }
        let known = recovered.keys().copied().collect();
        let groups = Groups { found: recovered, known };
        NodeLog { queue, reader, held, groups: Arc::new(Mutex::new(groups)) }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().expect("no holder panics")
    }

    /// What recovery found of a group; empty for a new one. It is kept until the group is open, so
    /// that an opening that failed can be tried again.
    pub fn recovered(&self, group: u64) -> RecoveredGroup {
        self.groups().found.get(&group).cloned().unwrap_or_default()
    }

    /// The last log index that recovery found purged of a group that is not open yet.
    pub fn recovered_purge(&self, group: u64) -> Option<u64> {
        let groups = self.groups();
        groups.found.get(&group)?.purged.as_ref().map(|purged| purged.upto)
    }

    /// Notes that a group is open.
    pub fn opened(&self, group: u64) {
        let mut groups = self.groups();
        groups.found.remove(&group);
        groups.known.insert(group);
    }

    /// Notes that a group's records were dropped.
    pub fn forgotten(&self, group: u64) {
        let mut groups = self.groups();
        groups.found.remove(&group);
        groups.known.remove(&group);
    }

    /// Groups that recovery found and nobody opened.
    pub fn unopened(&self) -> Vec<u64> {
        self.groups().found.keys().copied().collect()
    }

    /// True when the log holds a record of the group: its replica here is not a new one.
    pub fn knows(&self, group: u64) -> bool {
        self.groups().known.contains(&group)
    }

    /// What is kept on disk, as of the last write.
    pub fn held(&self) -> Held {
        self.held.lock().expect("no holder panics").clone()
    }

    /// Reads a payload that was written earlier.
    pub fn read(&self, at: Location) -> Result<Vec<u8>, StorageError> {
        self.reader.read(at)
    }

    /// Queues records; `done` runs on the writer when they are written, and synced if `durable`.
    pub async fn write(&self, records: Vec<LogRecord>, durable: bool, done: Completion) {
        rt::preempt().await;
        if let Err(refused) = self.queue.send(Job { records, count: 0, durable, done }).await {
            (refused.0.done)(Err(&StorageError::Poisoned));
        }
    }

    /// Queues records and waits until they are durable.
    pub async fn write_durably(&self, records: Vec<LogRecord>) -> Result<(), String> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let done: Completion = Box::new(move |result| {
            let _ = tell.send(result.map(|_| ()).map_err(ToString::to_string));
        });
        self.write(records, true, done).await;
        told.await.unwrap_or_else(|_| Err("the log writer has stopped".into()))
    }
}

struct Writer {
    log: SegmentedLog,
    options: LogOptions,
    jobs: Vec<Job>,
    held: Arc<Mutex<Held>>,
}

impl Writer {
    fn run_thread(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            self.drain(first, &mut queue);
            let started = Instant::now();
            let written = self.append();
            let result = written.and_then(|written| self.make_durable(written));
            metrics::histogram!("meridian_log_sync_seconds").record(started.elapsed());
            if !self.complete(result) {
                return;
            }
        }
    }

    async fn run_task(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            self.drain(first, &mut queue);
            let written = self.append();
            if let Some(duration) = self.options.simulated_sync {
                rt::sleep(duration()).await;
            }
            let result = written.and_then(|written| self.make_durable(written));
            if !self.complete(result) {
                return;
            }
        }
    }

    fn drain(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) {
        self.jobs.push(first);
        while self.jobs.len() < DRAIN_JOBS_MAX {
            match queue.try_recv() {
                Ok(job) => self.jobs.push(job),
                Err(_) => return,
            }
        }
    }

    fn append(&mut self) -> Result<Written, StorageError> {
        let mut records = Vec::new();
        for job in &mut self.jobs {
            job.count = job.records.len();
            records.append(&mut job.records);
        }
        let trims =
            records.iter().any(|r| matches!(r, LogRecord::Purge { .. } | LogRecord::Forget { .. }));
        Ok(Written { locations: self.log.append(&records)?, trims })
    }

    fn make_durable(&mut self, written: Written) -> Result<Vec<Location>, StorageError> {
        if self.jobs.iter().any(|job| job.durable) {
            self.log.sync()?;
        }
        if written.trims {
            self.log.trim()?;
        }
        *self.held.lock().expect("no holder panics") = Held::of(&self.log);
        Ok(written.locations)
    }

    /// Answers the drained jobs; false when the writer must stop.
    fn complete(&mut self, result: Result<Vec<Location>, StorageError>) -> bool {
        let jobs = std::mem::take(&mut self.jobs);
        match result {
            Ok(locations) => {
                finish(jobs, &locations);
                true
            }
            Err(error) => {
                jobs.into_iter().for_each(|job| (job.done)(Err(&error)));
                (self.options.fatal)(format!("the Raft log cannot be written: {error}"));
                false
            }
        }
    }
}

/// What an append left to do.
struct Written {
    locations: Vec<Location>,
    trims: bool,
}

fn finish(jobs: Vec<Job>, locations: &[Location]) {
    let mut rest = locations;
    for job in jobs {
        let (own, others) = rest.split_at(job.count.min(rest.len()));
        rest = others;
        (job.done)(Ok(own));
    }
}
