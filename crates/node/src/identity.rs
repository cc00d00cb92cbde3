//! Who a node is: the file `node.json` of its data directory.
//!
//! # Invariants
//!
//! - An empty directory never founds a cluster by itself: `cluster` is written when a cluster was
//!   founded or joined, and never changes afterwards.
//! - A directory belongs to one node: another id or region is refused.
//! - A loss of the log is noted before the damaged log is set aside, and forgotten only when this
//!   node is a member of no group: in between it takes part in none.

use crate::options::DataDir;
use meridian_base::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const FILE: &str = "node.json";

/// A node as the founding of a cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// The region's name.
    pub region: String,
    /// The failure domain.
    pub zone: String,
    /// Where it is reached.
    pub addresses: meridian_control::NodeAddresses,
}

/// How a cluster was founded; the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster's id.
    pub cluster: u64,
    /// Its regions, in the order of their numbers.
    pub regions: Vec<String>,
    /// The nodes that founded it, or that were known when this node joined.
    pub nodes: BTreeMap<u64, Founder>,
    /// The first voters of the global group.
    pub global_voters: Vec<u64>,
    /// The first voters of each region's group.
    pub region_voters: BTreeMap<String, Vec<u64>>,
    /// When, ms since the Unix epoch.
    pub at_ms: u64,
    /// True for a node that joined later: it waits to be added to its groups.
    pub joined: bool,
}

/// The content of `node.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    node: u64,
    region: String,
    founding: Option<Founding>,
    /// True once the log was made: a log that is missing then is a lost one.
    #[serde(default)]
    log_made: bool,
    /// The loss of the log from which the node has not come back yet.
    #[serde(default)]
    loss: Option<u64>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It belongs to another node.
    #[error(
        "{} belongs to node {found_node} of region {found_region}, not to node {node} of region {region}",
        dir.display()
    )]
    Elsewhere {
        /// The directory.
        dir: PathBuf,
        /// The node that it belongs to.
        found_node: u64,
        /// Its region.
        found_region: String,
        /// The node that was started.
        node: u64,
        /// Its region.
        region: String,
    },
    /// The file cannot be read or written.
    #[error("{}: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What failed.
        why: String,
    },
}

/// The identity of a node, and where it is stored.
pub struct IdentityFile {
    dir: Option<PathBuf>,
    stored: std::sync::Mutex<Stored>,
}

impl IdentityFile {
    /// Reads, or writes for the first time, who the directory belongs to.
    pub fn open(data: &DataDir, node: NodeId, region: &str) -> Result<Self, IdentityError> {
        let fresh = Stored {
            format: FORMAT,
            node: node.0,
            region: region.to_owned(),
            founding: None,
            log_made: false,
            loss: None,
        };
        let DataDir::Path(dir) = data else {
            return Ok(IdentityFile { dir: None, stored: fresh.into() });
        };
        let file = dir.join(FILE);
        let failed = |why: String| IdentityError::File { file: file.clone(), why };
        std::fs::create_dir_all(dir).map_err(|e| failed(e.to_string()))?;
        let stored = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                write_file(&file, &fresh).map_err(|e| failed(e.to_string()))?;
                fresh
            }
            Err(e) => return Err(failed(e.to_string())),
        };
        if stored.format != FORMAT {
            return Err(failed(format!("format {} is not known", stored.format)));
        }
        if (stored.node, stored.region.as_str()) != (node.0, region) {
            return Err(IdentityError::Elsewhere {
                dir: dir.clone(),
                found_node: stored.node,
                found_region: stored.region,
                node: node.0,
                region: region.to_owned(),
            });
        }
        Ok(IdentityFile { dir: Some(dir.clone()), stored: stored.into() })
    }

    /// How the cluster was founded; none before.
    pub fn founding(&self) -> Option<Founding> {
        self.stored.lock().expect("no holder panics").founding.clone()
    }

    /// Stores how the cluster was founded. A second founding of the same cluster changes nothing.
    ///
    /// # Errors
    ///
    /// The node belongs to another cluster, or the file cannot be written.
    pub fn found(&self, founding: &Founding) -> Result<(), String> {
        let mut stored = self.stored.lock().expect("no holder panics");
        if let Some(known) = &stored.founding {
            return if known.cluster == founding.cluster {
                Ok(())
            } else {
                Err(format!("node {} belongs to cluster {:016x}", stored.node, known.cluster))
            };
        }
        let next = Stored { founding: Some(founding.clone()), ..stored.clone() };
        self.store(&mut stored, next)
    }

    fn store(&self, stored: &mut Stored, next: Stored) -> Result<(), String> {
        if let Some(dir) = &self.dir {
            write_file(&dir.join(FILE), &next).map_err(|e| e.to_string())?;
        }
        *stored = next;
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Stored)) -> Result<(), String> {
        let mut stored = self.stored.lock().expect("no holder panics");
        let mut next = stored.clone();
        change(&mut next);
        if next == *stored { Ok(()) } else { self.store(&mut stored, next) }
    }

    /// True once the log was made.
    pub fn log_made(&self) -> bool {
        self.stored.lock().expect("no holder panics").log_made
    }

    /// Notes that the log was made.
    pub fn make_log(&self) -> Result<(), String> {
        self.change(|stored| stored.log_made = true)
    }

    /// The loss of the log from which the node has not come back yet.
    pub fn loss(&self) -> Option<u64> {
        self.stored.lock().expect("no holder panics").loss
    }

    /// Notes that the log is lost; from now on the node is one that joins. A loss that is noted
    /// already stays the one that it is. That a log was made stays true: a process that ends before
    /// everything is set aside finds the loss again.
    pub fn lose_log(&self, loss: u64) -> Result<(), String> {
        self.change(|stored| {
            stored.loss.get_or_insert(loss);
            stored.founding.iter_mut().for_each(|founding| founding.joined = true);
        })
    }

    /// Notes that the node is a member of no group any more.
    pub fn forget_loss(&self) -> Result<(), String> {
        self.change(|stored| stored.loss = None)
    }
}

/// Replaces a file by a synced one, so that a crash leaves the old or the new content.
fn write_file(file: &Path, stored: &Stored) -> std::io::Result<()> {
    let bytes = serde_json::to_vec_pretty(stored).map_err(std::io::Error::other)?;
    let temporary = file.with_extension("json.new");
    let mut out = std::fs::File::create(&temporary)?;
    out.write_all(&bytes)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    match file.parent() {
        Some(dir) => std::fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
