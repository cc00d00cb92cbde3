//! `cluster.json`: where a cluster's regions, nodes and router are.
//!
//! # Invariants
//!
//! - Unknown fields are ignored, so that the file may grow.
//!
//! Tested below with the format that `playground` writes.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A cluster as `playground` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// URL of the router.
    pub router: String,
    /// Admin URL of the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_admin: Option<String>,
    /// The regions, the router's preferred one first.
    pub regions: Vec<Region>,
    /// What the admin endpoints ask for; never in the file.
    #[serde(skip)]
    pub secret: Option<Secret>,
}

/// A cluster secret; prints as `<hidden>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads the first line of a file.
    pub fn read(path: &Path) -> anyhow::Result<Secret> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the cluster secret {}", path.display()))?;
        let line = text.lines().next().unwrap_or_default().trim();
        anyhow::ensure!(!line.is_empty(), "{} holds no cluster secret", path.display());
        Ok(Secret(line.to_owned()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// A region of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Client URLs of its nodes.
    pub endpoints: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// A node of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, unique in the cluster.
    pub id: u64,
    /// Its process; absent when it does not run on this machine.
    #[serde(default)]
    pub pid: Option<i32>,
    /// Client URL.
    pub endpoint: String,
    /// Admin URL.
    pub admin: String,
    /// Its data directory.
    #[serde(default)]
    pub data_dir: String,
}

impl Cluster {
    /// Reads the file.
    pub fn read(path: &Path) -> anyhow::Result<Cluster> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the cluster file {}", path.display()))?;
        Cluster::parse(&text).with_context(|| format!("{} is no cluster file", path.display()))
    }

    /// Reads the file, and the secret of the admin endpoints where there is one.
    pub fn read_with(path: &Path, secret: Option<&Path>) -> anyhow::Result<Cluster> {
        let mut cluster = Cluster::read(path)?;
        cluster.secret = secret.map(Secret::read).transpose()?;
        Ok(cluster)
    }

    /// Parses the file's text.
    pub fn parse(text: &str) -> anyhow::Result<Cluster> {
        let cluster: Cluster = serde_json::from_str(text)?;
        anyhow::ensure!(!cluster.regions.is_empty(), "the cluster has no region");
        for region in &cluster.regions {
            anyhow::ensure!(!region.nodes.is_empty(), "region {} has no node", region.name);
        }
        Ok(cluster)
    }

    /// The region of that name.
    pub fn region(&self, name: &str) -> anyhow::Result<&Region> {
        self.regions.iter().find(|region| region.name == name).with_context(|| {
            let names: Vec<&str> = self.regions.iter().map(|region| region.name.as_str()).collect();
            format!("there is no region {name}; the cluster has {}", names.join(", "))
        })
    }

    /// The regions other than the one named.
    pub fn others(&self, name: &str) -> Vec<&Region> {
        self.regions.iter().filter(|region| region.name != name).collect()
    }

    /// Every node with the name of its region.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.regions
            .iter()
            .flat_map(|region| region.nodes.iter().map(|node| (region.name.as_str(), node)))
    }

    /// The node of that id.
    pub fn node(&self, id: u64) -> anyhow::Result<&Node> {
        self.nodes()
            .map(|(_, node)| node)
            .find(|node| node.id == id)
            .with_context(|| format!("there is no node {id} in the cluster file"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TWO_REGIONS: &str = r#"{"router":"http://127.0.0.1:8090","regions":[
        {"name":"us-east-1","endpoints":["http://127.0.0.1:8000"],"nodes":[
          {"id":1,"pid":11,"endpoint":"http://127.0.0.1:8000","admin":"http://127.0.0.1:8100","data_dir":"/d/1"}]},
        {"name":"eu-west-1","endpoints":["http://127.0.0.1:8010"],"nodes":[
          {"id":4,"pid":null,"endpoint":"http://127.0.0.1:8010","admin":"http://127.0.0.1:8110","new":1}]}]}"#;

    #[test]
    fn the_playgrounds_file_is_read() {
        let cluster = Cluster::parse(TWO_REGIONS).unwrap();
        assert_eq!(cluster.region("us-east-1").unwrap().nodes[0].pid, Some(11));
        assert_eq!(cluster.node(4).unwrap().pid, None);
        assert_eq!(cluster.others("us-east-1")[0].name, "eu-west-1");
    }

    #[test]
    fn a_secret_is_read_and_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "correct-horse-battery\n").unwrap();
        let secret = Secret::read(&file).unwrap();
        assert_eq!(secret.reveal(), "correct-horse-battery");
        assert_eq!(format!("{secret:?}"), "<hidden>");
        std::fs::write(&file, "\n").unwrap();
        assert!(Secret::read(&file).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let cluster = Cluster::parse(TWO_REGIONS).unwrap();
        let error = cluster.region("mars").unwrap_err().to_string();
        assert_eq!(error, "there is no region mars; the cluster has us-east-1, eu-west-1");
        assert!(cluster.node(9).is_err());
        assert!(Cluster::parse(r#"{"router":"http://x","regions":[]}"#).is_err());
    }
}
