//! `cluster.json`: where a cluster's router, regions and nodes are.
//!
//! # Invariants
//!
//! - It is replaced at once: a reader sees the old or the new one.
//! - Unknown fields are ignored, so that the file may grow.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    /// URL of the router.
    pub router: String,
    /// Admin URL of the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_admin: Option<String>,
    /// URL of the playground itself, which starts nodes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The regions, the router's preferred one first.
    pub regions: Vec<RegionEntry>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionEntry {
    /// Its name.
    pub name: String,
    /// Client URLs of its nodes.
    pub endpoints: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodeEntry>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its id, unique in the cluster.
    pub id: u64,
    /// Its process, where it runs on this machine.
    pub pid: Option<u32>,
    /// Client URL.
    pub endpoint: String,
    /// Admin URL.
    pub admin: String,
    /// Where its data is.
    #[serde(default)]
    pub data_dir: String,
}

impl ClusterFile {
    /// Reads a file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the cluster file {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no cluster file", file.display()))
    }

    /// Replaces a file.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        meridian_server::process::replace_file(file, text.as_bytes())
            .with_context(|| format!("cannot write the cluster file {}", file.display()))
    }

    /// The node of that id.
    pub fn node_mut(&mut self, id: u64) -> Option<&mut NodeEntry> {
        self.regions.iter_mut().flat_map(|r| &mut r.nodes).find(|n| n.id == id)
    }
}
