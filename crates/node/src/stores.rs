//! What a node keeps on disk: its Raft log and its engine, and what becomes of damaged ones.
//!
//! # Invariants
//!
//! - Nothing that is damaged is removed: it is set aside under another name, and said so.
//! - A lost log is noted in the identity file before it is set aside. Its engine goes first: as
//!   long as it is there, every start finds the loss again.
//! - A node without peers in its region keeps a damaged log where it is and does not start.
//!
//! Tested by `cluster_tests/damage.rs`.

use crate::identity::IdentityFile;
use crate::node::StartError;
use crate::options::{DataDir, NodeOptions};
use meridian_raft::log::{LogOptions as WriterOptions, NodeLog};
use meridian_storage::sim_disk::SimDisk;
use meridian_storage::{
    Engine, EngineKind, LogOptions, MemoryEngine, RealDisk, SegmentedLog, StorageError,
    open_engine, open_engine_alone,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The log and the engine of a node.
pub struct Stores {
    /// The log of all its replicas.
    pub log: NodeLog,
    /// The engine of all its replicas.
    pub engine: Arc<dyn Engine>,
}

/// Opens both; sets damaged ones aside where peers can make up for them.
///
/// # Errors
///
/// The directory cannot be used, or is damaged and there is no peer.
pub fn open(options: &NodeOptions, identity: &IdentityFile) -> Result<Stores, StartError> {
    let DataDir::Path(dir) = &options.data else {
        let log = SegmentedLog::open(Arc::new(SimDisk::new("log")), LogOptions::default())?;
        return Ok(Stores { log: start(log), engine: Arc::new(MemoryEngine::volatile()) });
    };
    let log = match open_log(dir, !identity.log_made()) {
        Err(error @ StorageError::Corrupt { .. }) if has_neighbours(options, identity) => {
            let loss = options.clock.now_ms();
            identity.lose_log(loss).map_err(StartError::Loss)?;
            let engine = set_aside(&dir.join("engine"), loss)?;
            let log = set_aside(&dir.join("log"), loss)?;
            tracing::warn!(%error, log = %log.display(), engine = %engine.display(),
                "the log is damaged: log and engine are set aside, and the node leaves its groups \
                 to come back as a learner");
            open_log(dir, true)?
        }
        opened => opened?,
    };
    identity.make_log().map_err(StartError::Loss)?;
    let open = if has_neighbours(options, identity) { open_engine } else { open_engine_alone };
    Ok(Stores { log: start(log), engine: open_or_replace_engine(options, dir, open)? })
}

type Opened = (SegmentedLog, std::collections::BTreeMap<u64, meridian_storage::RecoveredGroup>);

fn open_log(dir: &Path, create: bool) -> Result<Opened, StorageError> {
    let disk = RealDisk::open(&dir.join("log"))?;
    SegmentedLog::open(Arc::new(disk), LogOptions { create, ..LogOptions::default() })
}

fn start((log, found): Opened) -> NodeLog {
    NodeLog::start(
        log,
        found,
        WriterOptions { fatal: Arc::new(stop_process), simulated_sync: None },
    )
}

/// Stops the process: what the log holds is no longer known.
fn stop_process(reason: String) {
    tracing::error!(%reason, "the node stops at once");
    std::process::abort();
}

/// True when other nodes of the region hold what this one lost.
pub fn has_neighbours(options: &NodeOptions, identity: &IdentityFile) -> bool {
    let founding = identity.founding();
    let nodes = founding.iter().flat_map(|founding| &founding.nodes);
    nodes.into_iter().any(|(id, founder)| *id != options.node.0 && founder.region == options.region)
}

fn open_or_replace_engine(
    options: &NodeOptions,
    dir: &Path,
    open: impl Fn(EngineKind, &Path) -> Result<Arc<dyn Engine>, StorageError>,
) -> Result<Arc<dyn Engine>, StorageError> {
    let dir = dir.join("engine");
    match open(options.engine, &dir) {
        Err(error @ StorageError::Corrupt { .. }) => {
            let aside = set_aside(&dir, options.clock.now_ms())?;
            tracing::warn!(%error, aside = %aside.display(),
                "the engine is damaged: it is set aside and every replica is rebuilt");
            open(options.engine, &dir)
        }
        opened => opened,
    }
}

/// Renames a directory; one that is not there is no error.
fn set_aside(dir: &Path, now_ms: u64) -> Result<PathBuf, StorageError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = dir.with_file_name(format!("{name}.damaged-{now_ms}"));
    match std::fs::rename(dir, &aside) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::Io { action: "set aside", path: dir.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(aside),
    }
}
