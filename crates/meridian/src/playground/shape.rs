//! What a playground consists of: its regions, nodes and ports, and the files that describe them.
//!
//! # Invariants
//!
//! - A data folder belongs to one shape; it is written down there and kept across restarts.
//! - Node `j` of region `i` has id `10 i + j + 1` and the ports of [`Ports`].
//!
//! Tested below.

use crate::cli::PlaygroundArgs;
use anyhow::{Context, bail, ensure};
use meridian_server::config::{
    Address, ArchiveConfig, DISK_FREE_BYTES_MIN_DEFAULT, EngineChoice, FailurePolicy, LogFormat,
    NodeConfig, PARTITIONS_DEFAULT, RouterConfig, RouterRegion, SILENCE_MS_DEFAULT,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most regions, so that their ports do not overlap.
const REGIONS_MAX: usize = 9;
const REGIONS_DEFAULT: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];
const NODES_PER_REGION_DEFAULT: u16 = 3;
const NODES_PER_REGION_MAX: u16 = 10;
const BASE_PORT_DEFAULT: u16 = 8000;
/// The file of a data folder that holds its shape.
const SHAPE_FILE: &str = "playground.json";
/// Longest time that the router gives a request.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// What a data folder was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) regions: Vec<String>,
    pub(super) nodes_per_region: u16,
    pub(super) base_port: u16,
    pub(super) engine: String,
    pub(super) partitions: u32,
}

impl Shape {
    /// What the arguments ask for in `folder`: what is not said is as it was there before.
    pub(super) fn of(args: &PlaygroundArgs, folder: &Path) -> anyhow::Result<Self> {
        let stored = Self::stored(folder)?;
        let was = stored.clone().unwrap_or_else(|| Shape {
            regions: REGIONS_DEFAULT.map(str::to_owned).to_vec(),
            nodes_per_region: NODES_PER_REGION_DEFAULT,
            base_port: BASE_PORT_DEFAULT,
            engine: EngineChoice::Fjall.name().to_owned(),
            partitions: PARTITIONS_DEFAULT,
        });
        let shape = Shape {
            regions: args.regions.clone().unwrap_or(was.regions),
            nodes_per_region: args.nodes_per_region.unwrap_or(was.nodes_per_region),
            base_port: args.base_port.unwrap_or(was.base_port),
            engine: args.engine.map_or(was.engine, |e| e.name().to_owned()),
            partitions: args.partitions.unwrap_or(was.partitions),
        };
        shape.check()?;
        if let Some(stored) = stored {
            shape.continues(&stored, folder)?;
        }
        Ok(shape)
    }

    fn stored(folder: &Path) -> anyhow::Result<Option<Self>> {
        let file = folder.join(SHAPE_FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let shape: Shape = serde_json::from_str(&text)
                    .with_context(|| format!("{} makes no sense", file.display()))?;
                Ok(Some(shape))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Writes the shape down in its data folder.
    pub(super) fn store(&self, folder: &Path) -> anyhow::Result<()> {
        let file = folder.join(SHAPE_FILE);
        let text = serde_json::to_string_pretty(self)?;
        meridian_server::process::replace_file(&file, text.as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn check(&self) -> anyhow::Result<()> {
        let count = self.regions.len();
        ensure!(
            (1..=REGIONS_MAX).contains(&count),
            "a playground has 1 to {REGIONS_MAX} regions; found {count}"
        );
        let distinct: BTreeSet<&String> = self.regions.iter().collect();
        ensure!(distinct.len() == count, "a region is named twice");
        ensure!(
            (1..=NODES_PER_REGION_MAX).contains(&self.nodes_per_region),
            "a region of a playground has 1 to {NODES_PER_REGION_MAX} nodes; found {}",
            self.nodes_per_region
        );
        Ok(())
    }

    fn continues(&self, stored: &Shape, folder: &Path) -> anyhow::Result<()> {
        let differs = |what: &str, was: String, is: String| {
            bail!("{} holds a playground with {what} {was}, not {is}", folder.display())
        };
        if self.regions != stored.regions {
            return differs("regions", stored.regions.join(","), self.regions.join(","));
        }
        if self.nodes_per_region != stored.nodes_per_region {
            let (was, is) = (stored.nodes_per_region, self.nodes_per_region);
            return differs("nodes per region", was.to_string(), is.to_string());
        }
        if self.engine != stored.engine {
            return differs("engine", stored.engine.clone(), self.engine.clone());
        }
        Ok(())
    }

    /// Every node, in order of regions.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Spot> + '_ {
        (0u16..).zip(&self.regions).flat_map(move |(i, region)| {
            (0..self.nodes_per_region).map(move |j| Spot {
                id: u64::from(10 * i + j) + 1,
                region: region.clone(),
                number: j,
                ports: Ports::new(self.base_port, i, j),
            })
        })
    }

    /// Where the router listens.
    pub(super) fn router_port(&self) -> u16 {
        self.base_port + 90
    }

    /// The configuration of a node whose data is in `folder`.
    pub(super) fn node_config(
        &self,
        spot: &Spot,
        data_dir: PathBuf,
        archive: ArchiveConfig,
        buckets: PathBuf,
        latency: Duration,
    ) -> NodeConfig {
        let seeds = self.nodes().map(|s| Address::from(local(s.ports.peer))).collect();
        let [client, admin, peer] =
            [spot.ports.client, spot.ports.admin, spot.ports.peer].map(local);
        NodeConfig {
            node_id: spot.id,
            region: spot.region.clone(),
            zone: zone(spot.number),
            listen_client: client,
            listen_admin: admin,
            listen_peer: peer,
            advertise_client: client.into(),
            advertise_admin: admin.into(),
            advertise_peer: peer.into(),
            seeds,
            data_dir,
            engine: self.engine.parse().unwrap_or(EngineChoice::Fjall),
            partitions: self.partitions,
            cluster_secret_file: None,
            cluster_secret: None,
            credentials_file: None,
            credentials: None,
            latency,
            disk_free_bytes_min: DISK_FREE_BYTES_MIN_DEFAULT,
            region_failure_policy: FailurePolicy::Auto,
            silence: Duration::from_millis(SILENCE_MS_DEFAULT),
            archive: Some(archive),
            restore_bytes_per_s_max: 0,
            bucket_dir: Some(buckets),
            buckets: std::collections::BTreeMap::new(),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }

    /// The configuration of the router.
    pub(super) fn router_config(&self, folder: &Path, latency: Duration) -> RouterConfig {
        let region = |name: &String| {
            let spots = || self.nodes().filter(|s| s.region == *name);
            RouterRegion {
                name: name.clone(),
                endpoints: spots().map(|s| local(s.ports.client).into()).collect(),
                admin_endpoints: spots().map(|s| local(s.ports.admin).into()).collect(),
            }
        };
        RouterConfig {
            listen: local(self.router_port()),
            listen_admin: super::free_or_any(self.base_port + 190),
            regions: self.regions.iter().map(region).collect(),
            probe_interval: Duration::from_millis(100),
            leave_after: Duration::from_millis(1000),
            request_timeout: REQUEST_TIME,
            latency,
            state_file: Some(folder.join("router.json")),
            cluster_secret_file: None,
            cluster_secret: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

/// One node of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) id: u64,
    pub(super) region: String,
    /// Number of the node in its region.
    pub(super) number: u16,
    pub(super) ports: Ports,
}

/// The ports of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) admin: u16,
    pub(super) peer: u16,
}

impl Ports {
    fn new(base: u16, region: u16, node: u16) -> Self {
        let client = base + 10 * region + node;
        Ports { client, admin: client + 100, peer: client + 200 }
    }
}

/// An address of this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn zone(number: u16) -> String {
    let letters = "abcdefghij".get(usize::from(number)..).unwrap_or_default();
    letters.chars().take(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> PlaygroundArgs {
        PlaygroundArgs {
            regions: None,
            nodes_per_region: None,
            base_port: None,
            data_dir: None,
            latency: Duration::ZERO,
            engine: None,
            partitions: None,
            restore_bytes_per_s_max: 0,
            credentials: None,
        }
    }

    #[test]
    fn ports_and_ids_are_as_documented() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape::of(&args(), folder.path()).unwrap();
        let nodes: Vec<Spot> = shape.nodes().collect();
        assert_eq!(nodes.len(), 9);
        let last = &nodes[8];
        assert_eq!((last.id, last.region.as_str()), (23, "ap-northeast-1"));
        assert_eq!(last.ports, Ports { client: 8022, admin: 8122, peer: 8222 });
        assert_eq!(shape.router_port(), 8090);
        let ids: BTreeSet<u64> = nodes.iter().map(|n| n.id).collect();
        assert_eq!(ids.len(), 9);
    }

    #[test]
    fn no_two_listeners_of_the_largest_playground_share_a_port() {
        let shape = Shape {
            regions: (0..9).map(|i| format!("r{i}")).collect(),
            nodes_per_region: 10,
            base_port: 8000,
            engine: "fjall".to_owned(),
            partitions: 4,
        };
        shape.check().unwrap();
        let of_nodes = shape.nodes().flat_map(|s| [s.ports.client, s.ports.admin, s.ports.peer]);
        let ports: Vec<u16> = of_nodes.chain([8090, 8190, 8290]).collect();
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), ports.len());
    }

    #[test]
    fn too_many_or_doubled_regions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |regions: Vec<String>| {
            let args = PlaygroundArgs { regions: Some(regions), ..args() };
            Shape::of(&args, folder.path()).unwrap_err().to_string()
        };
        let many = refused((0..10).map(|i| format!("r{i}")).collect());
        assert_eq!(many, "a playground has 1 to 9 regions; found 10");
        assert_eq!(refused(vec!["a".into(), "a".into()]), "a region is named twice");
    }

    #[test]
    fn a_folder_keeps_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let first = PlaygroundArgs {
            regions: Some(vec!["a".into(), "b".into()]),
            base_port: Some(9000),
            engine: Some(EngineChoice::Sled),
            ..args()
        };
        let shape = Shape::of(&first, folder.path()).unwrap();
        shape.store(folder.path()).unwrap();
        assert_eq!(Shape::of(&args(), folder.path()).unwrap(), shape);
        let other = PlaygroundArgs { engine: Some(EngineChoice::Fjall), ..args() };
        let error = Shape::of(&other, folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds a playground with engine sled, not fjall"), "{error}");
        let moved = PlaygroundArgs { base_port: Some(9500), ..args() };
        assert_eq!(Shape::of(&moved, folder.path()).unwrap().base_port, 9500);
    }

    #[test]
    fn written_configurations_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape::of(&args(), folder.path()).unwrap();
        let latency = Duration::from_millis(60);
        for spot in shape.nodes() {
            let archive = crate::archive::config_in(folder.path());
            crate::archive::make_key(&archive).unwrap();
            let data = folder.path().join("data");
            let buckets = crate::buckets::folder_in(folder.path());
            let config = shape.node_config(&spot, data, archive, buckets, latency);
            let table = toml::from_str(&config.to_toml()).unwrap();
            assert_eq!(NodeConfig::from_table(table, &crate::stores::Stores).unwrap(), config);
        }
        let router = shape.router_config(folder.path(), latency);
        let table = toml::from_str(&router.to_toml()).unwrap();
        assert_eq!(RouterConfig::from_table(table).unwrap(), router);
    }
}
