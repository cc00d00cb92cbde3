//! The configuration of one node (`node.toml`).

use super::archive_key::{self, RawKeys};
use super::field::{Field, FieldDoc, Reading};
use super::stores::{self, ArchiveConfig, RawArchive, STORE_URLS, StoreConfig, StoreKinds};
use super::{Address, ConfigError, ConfigErrors, Overrides, Secret};
use crate::credentials::Credentials;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The settings of `node.toml`.
pub const NODE_FIELDS: &[FieldDoc] = &[
    doc(
        "node_id",
        "an integer from 1, unique in the cluster",
        "",
        "Id of the node, never used again once the node is removed.",
    ),
    doc("region", "a name of letters, digits and dashes", "", "Region of the node."),
    doc(
        "zone",
        "a name of letters, digits and dashes",
        "`\"a\"`",
        "Failure domain within the region; replicas are spread over zones.",
    ),
    doc("listen_client", "an `ip:port`", "", "Where clients (DynamoDB API) are served."),
    doc("listen_admin", "an `ip:port`", "", "Where `/health`, `/metrics` and `/admin` are served."),
    doc("listen_peer", "an `ip:port`", "", "Where other nodes connect."),
    doc(
        "advertise_client",
        "a `host:port`",
        "`listen_client`",
        "The client address that others are told; required when `listen_client` is a wildcard.",
    ),
    doc(
        "advertise_admin",
        "a `host:port`",
        "`listen_admin`",
        "The admin address that others are told.",
    ),
    doc(
        "advertise_peer",
        "a `host:port`",
        "`listen_peer`",
        "The peer address that other nodes connect to.",
    ),
    doc(
        "seeds",
        "an array of `host:port` (peer addresses)",
        "`[]`",
        "Nodes to ask for all the others; any few of the cluster, itself included or not.",
    ),
    doc("data_dir", "a path", "", "Where the node keeps its data; belongs to this node for ever."),
    doc("engine", "`\"fjall\"` or `\"sled\"`", "`\"fjall\"`", "Storage engine."),
    doc("partitions", "an integer from 1 to 256", "`4`", "Partitions of a new table."),
    doc(
        "cluster_secret_file",
        "a path to a file of one line, 16 bytes or more",
        "none",
        "Secret that peers and admin calls must know. Required unless every listen and seed address is a loopback address.",
    ),
    doc(
        "credentials_file",
        "a path to a TOML file of `[[credential]]` tables",
        "none",
        "Access keys whose signatures clients must bring; any credentials are accepted without it.",
    ),
    doc(
        "latency_ms",
        "an integer from 0 to 10000",
        "`0`",
        "For tests: round trip added between regions, half of it each way.",
    ),
    doc(
        "disk_free_bytes_min",
        "an integer from 0",
        "`268435456`",
        "Below this much free disk the node refuses writes and hands over its leaders.",
    ),
    doc(
        "region_failure_policy",
        "`\"manual\"` or `\"auto\"`",
        "`\"manual\"`",
        "Whether a silent region is marked Lost by the others without an operator.",
    ),
    doc(
        "silence_ms",
        "an integer from 500 to 3600000",
        "`3000`",
        "With `auto`: how long a region must be silent.",
    ),
    doc(
        "archive_dir",
        "a path",
        "none",
        "Where the nodes of the region keep the point-in-time archive, all of them the same; there is none without it or `archive_url`.",
    ),
    doc(
        "archive_url",
        STORE_URLS,
        "none",
        "The same in an object store, instead of `archive_dir`; the bucket must be there.",
    ),
    doc(
        "archive_options",
        "a table of `option = \"value\"`",
        "none",
        "[Options of that store](#object-stores).",
    ),
    doc(
        "archive_key_file",
        "a path to a file of 64 hexadecimal digits, or 32 bytes in base64",
        "none",
        "The key without which the archive cannot be read; it or `archive_key_command` is required with `archive_dir` or `archive_url`, and kept elsewhere.",
    ),
    doc(
        "archive_key_command",
        "a command for `sh -c`",
        "none",
        "Prints that key, in the same forms, instead of `archive_key_file`; run at each start of the node.",
    ),
    doc(
        "archive_old_key_files",
        "a list of paths",
        "none",
        "Keys before this one: what they wrapped is still opened.",
    ),
    doc(
        "restore_bytes_per_s_max",
        "an integer from 0",
        "`0`",
        "How many bytes a second restores write at most on this node; 0 for no limit.",
    ),
    doc(
        "bucket_dir",
        "a path",
        "none",
        "A folder whose folders are the buckets of exports and imports; the first export to a bucket makes its folder. All nodes of the region share it.",
    ),
    doc(
        "buckets",
        "a table of `name = \"path or URL\"`, URLs as of `archive_url`",
        "none",
        "Buckets that are elsewhere; a folder that is not there is no bucket. The same on all nodes of the region.",
    ),
    doc(
        "bucket_options",
        "a table of `option = \"value\"`",
        "none",
        "[Options of the stores](#object-stores) of all buckets that are URLs; each takes those that it knows.",
    ),
    doc("log_format", "`\"text\"` or `\"json\"`", "`\"text\"`", "Form of the log lines on stderr."),
    doc(
        "log_level",
        "a level or filter such as `info` or `info,meridian_raft=debug`",
        "`\"info\"`",
        "What is logged.",
    ),
];

const fn doc(
    name: &'static str,
    allowed: &'static str,
    default: &'static str,
    doc: &'static str,
) -> FieldDoc {
    FieldDoc { name, allowed, default, doc }
}

/// `node.toml` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeConfig {
    node_id: Field<u64>,
    region: Field<String>,
    zone: Field<String>,
    listen_client: Field<String>,
    listen_admin: Field<String>,
    listen_peer: Field<String>,
    advertise_client: Field<String>,
    advertise_admin: Field<String>,
    advertise_peer: Field<String>,
    seeds: Field<Vec<String>>,
    data_dir: Field<PathBuf>,
    engine: Field<String>,
    partitions: Field<u32>,
    cluster_secret_file: Field<PathBuf>,
    credentials_file: Field<PathBuf>,
    latency_ms: Field<u64>,
    disk_free_bytes_min: Field<u64>,
    region_failure_policy: Field<String>,
    silence_ms: Field<u64>,
    archive_dir: Field<PathBuf>,
    archive_url: Field<String>,
    archive_options: Field<BTreeMap<String, String>>,
    archive_key_file: Field<PathBuf>,
    archive_key_command: Field<String>,
    archive_old_key_files: Field<Vec<PathBuf>>,
    restore_bytes_per_s_max: Field<u64>,
    bucket_dir: Field<PathBuf>,
    buckets: Field<BTreeMap<String, String>>,
    bucket_options: Field<BTreeMap<String, String>>,
    log_format: Field<String>,
    log_level: Field<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

/// A storage engine that a node can keep its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineChoice {
    /// fjall on disk.
    Fjall,
    /// sled on disk.
    Sled,
    /// Nothing on disk; `dev --in-memory` only.
    Memory,
}

impl EngineChoice {
    /// The name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            EngineChoice::Fjall => "fjall",
            EngineChoice::Sled => "sled",
            EngineChoice::Memory => "memory",
        }
    }
}

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fjall" => Ok(EngineChoice::Fjall),
            "sled" => Ok(EngineChoice::Sled),
            _ => Err("must be fjall or sled".to_owned()),
        }
    }
}

/// Who marks a silent region Lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    /// An operator.
    Manual,
    /// A majority of the other regions, after the silence.
    Auto,
}

impl FromStr for FailurePolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "manual" => Ok(FailurePolicy::Manual),
            "auto" => Ok(FailurePolicy::Auto),
            _ => Err(()),
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(()),
        }
    }
}

/// What a node runs with; every value is within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Id of the node.
    pub node_id: u64,
    /// Name of its region.
    pub region: String,
    /// Name of its zone.
    pub zone: String,
    /// Client listener.
    pub listen_client: SocketAddr,
    /// Admin listener.
    pub listen_admin: SocketAddr,
    /// Peer listener.
    pub listen_peer: SocketAddr,
    /// Client address that others are told.
    pub advertise_client: Address,
    /// Admin address that others are told.
    pub advertise_admin: Address,
    /// Peer address that others are told.
    pub advertise_peer: Address,
    /// Peer addresses of nodes to ask for the others.
    pub seeds: Vec<Address>,
    /// Where the data is.
    pub data_dir: PathBuf,
    /// What keeps the data.
    pub engine: EngineChoice,
    /// Partitions of a new table.
    pub partitions: u32,
    /// The file of the cluster secret.
    pub cluster_secret_file: Option<PathBuf>,
    /// The cluster secret.
    pub cluster_secret: Option<Secret>,
    /// The file of the access keys of clients.
    pub credentials_file: Option<PathBuf>,
    /// The access keys; none when any credentials are accepted.
    pub credentials: Option<Credentials>,
    /// Round trip added between regions.
    pub latency: Duration,
    /// Free disk below which writes are refused.
    pub disk_free_bytes_min: u64,
    /// Who marks a silent region Lost.
    pub region_failure_policy: FailurePolicy,
    /// How long a region must be silent.
    pub silence: Duration,
    /// Where the point-in-time archive is; none where none is kept.
    pub archive: Option<ArchiveConfig>,
    /// Bytes a second that restores write at most; 0 for no limit.
    pub restore_bytes_per_s_max: u64,
    /// The folder whose folders are buckets.
    pub bucket_dir: Option<PathBuf>,
    /// Buckets that are elsewhere.
    pub buckets: BTreeMap<String, StoreConfig>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

impl NodeConfig {
    /// Reads a file, lays `overrides` over it, and validates the result; `kinds` knows the object
    /// stores.
    pub fn load(
        path: &Path,
        overrides: &Overrides,
        kinds: &dyn StoreKinds,
    ) -> Result<Self, ConfigError> {
        let table = super::read_table(path, overrides)?;
        Self::from_table(table, kinds)
            .map_err(|errors| ConfigError::Wrong { path: path.display().to_string(), errors })
    }

    /// Validates what a file holds.
    pub fn from_table(table: toml::Table, kinds: &dyn StoreKinds) -> Result<Self, ConfigErrors> {
        validate(super::raw(table)?, kinds)
    }

    /// The configuration as a file that reads back as the same one. Secrets stay in their files;
    /// those that stand among the options of a store are in it.
    pub fn to_toml(&self) -> String {
        self.text(str::to_owned)
    }

    /// The configuration, with the secrets among the options of stores as `secret` shows them.
    fn text(&self, secret: fn(&str) -> String) -> String {
        let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
        let path = |p: &Path| quoted(&p.display().to_string());
        let seeds: Vec<String> = self.seeds.iter().map(|s| quoted(s.as_str())).collect();
        let policy = match self.region_failure_policy {
            FailurePolicy::Manual => "manual",
            FailurePolicy::Auto => "auto",
        };
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut lines = vec![
            format!("node_id = {}", self.node_id),
            format!("region = {}", quoted(&self.region)),
            format!("zone = {}", quoted(&self.zone)),
            format!("listen_client = \"{}\"", self.listen_client),
            format!("listen_admin = \"{}\"", self.listen_admin),
            format!("listen_peer = \"{}\"", self.listen_peer),
            format!("advertise_client = \"{}\"", self.advertise_client),
            format!("advertise_admin = \"{}\"", self.advertise_admin),
            format!("advertise_peer = \"{}\"", self.advertise_peer),
            format!("seeds = [{}]", seeds.join(", ")),
            format!("data_dir = {}", path(&self.data_dir)),
            format!("engine = \"{}\"", self.engine.name()),
            format!("partitions = {}", self.partitions),
            format!("latency_ms = {}", self.latency.as_millis()),
            format!("disk_free_bytes_min = {}", self.disk_free_bytes_min),
            format!("region_failure_policy = \"{policy}\""),
            format!("silence_ms = {}", self.silence.as_millis()),
            format!("restore_bytes_per_s_max = {}", self.restore_bytes_per_s_max),
            format!("log_format = \"{format}\""),
            format!("log_level = {}", quoted(&self.log_level)),
        ];
        if let Some(file) = &self.cluster_secret_file {
            lines.push(format!("cluster_secret_file = {}", path(file)));
        }
        if let Some(archive) = &self.archive {
            lines.push(match &archive.store {
                StoreConfig::Folder(folder) => format!("archive_dir = {}", path(folder)),
                StoreConfig::Url(store) => format!("archive_url = {}", quoted(&store.url)),
            });
            lines.extend(archive_key::lines(&archive.keys, quoted));
        }
        if let Some(file) = &self.credentials_file {
            lines.push(format!("credentials_file = {}", path(file)));
        }
        if let Some(folder) = &self.bucket_dir {
            lines.push(format!("bucket_dir = {}", path(folder)));
        }
        // Tables come after all settings.
        lines.extend(stores::tables(self.archive.as_ref(), &self.buckets, secret));
        lines.push(String::new());
        lines.join("\n")
    }

    /// The configuration for a person to read: [`NodeConfig::to_toml`] with `<hidden>` for secrets.
    pub fn printed(&self) -> String {
        let secret = self.cluster_secret.as_ref().map(|s| format!("# cluster_secret = {s:?}\n"));
        // Before the tables, so that it is not taken for a part of one.
        secret.unwrap_or_default() + &self.text(|_| "<hidden>".to_owned())
    }
}

fn validate(raw: RawNodeConfig, kinds: &dyn StoreKinds) -> Result<NodeConfig, ConfigErrors> {
    let mut r = Reading::new(NODE_FIELDS);
    r.unknown(raw.unknown.keys());
    let node_id = r.must("node_id", raw.node_id);
    if r.is_clean("node_id") {
        r.within("node_id", node_id, 1..=u64::MAX);
    }
    let region = name(&mut r, "region", raw.region);
    let zone = match raw.zone {
        Field::Absent => "a".to_owned(),
        given => name(&mut r, "zone", given),
    };
    let client = listener(
        &mut r,
        ("listen_client", raw.listen_client),
        ("advertise_client", raw.advertise_client),
    );
    let admin = listener(
        &mut r,
        ("listen_admin", raw.listen_admin),
        ("advertise_admin", raw.advertise_admin),
    );
    let peer =
        listener(&mut r, ("listen_peer", raw.listen_peer), ("advertise_peer", raw.advertise_peer));
    let seeds: Vec<Address> = r
        .or("seeds", raw.seeds, Vec::new())
        .iter()
        .filter_map(|seed| r.parse("seeds", seed))
        .collect();
    let data_dir = r.must("data_dir", raw.data_dir);
    let engine = match raw.engine {
        Field::Absent => Some(EngineChoice::Fjall),
        given => r.parsed("engine", given),
    };
    let partitions = r.or("partitions", raw.partitions, PARTITIONS_DEFAULT);
    let latency_ms = r.or("latency_ms", raw.latency_ms, 0);
    let disk_free_bytes_min =
        r.or("disk_free_bytes_min", raw.disk_free_bytes_min, DISK_FREE_BYTES_MIN_DEFAULT);
    let policy = match raw.region_failure_policy {
        Field::Absent => Some(FailurePolicy::Manual),
        given => r.parsed("region_failure_policy", given),
    };
    let silence_ms = r.or("silence_ms", raw.silence_ms, SILENCE_MS_DEFAULT);
    let log_format = match raw.log_format {
        Field::Absent => Some(LogFormat::Text),
        given => r.parsed("log_format", given),
    };
    let log_level = super::log_level(&mut r, raw.log_level);
    r.within("partitions", partitions, 1..=256);
    r.within("latency_ms", latency_ms, 0..=10_000);
    r.within("silence_ms", silence_ms, 500..=3_600_000);

    let listens = [&client, &admin, &peer].into_iter().flatten().map(|l| l.listen);
    let exposed = listens.filter(|l| !l.ip().is_loopback()).map(|l| l.to_string());
    let remote = seeds.iter().filter(|s| !s.is_loopback()).map(Address::to_string);
    let exposed: Vec<String> = exposed.chain(remote).collect();
    let (cluster_secret_file, cluster_secret) =
        super::secret(&mut r, raw.cluster_secret_file, &exposed);
    let written = RawArchive {
        dir: raw.archive_dir,
        url: raw.archive_url,
        options: raw.archive_options,
        keys: RawKeys {
            file: raw.archive_key_file,
            command: raw.archive_key_command,
            old_files: raw.archive_old_key_files,
        },
    };
    let archive = stores::archive(&mut r, written, kinds);
    let restore_bytes_per_s_max = r.or("restore_bytes_per_s_max", raw.restore_bytes_per_s_max, 0);
    let bucket_dir = r.maybe("bucket_dir", raw.bucket_dir);
    let buckets = stores::buckets(&mut r, raw.buckets, raw.bucket_options, kinds);
    let (credentials_file, credentials) = credentials(&mut r, raw.credentials_file);
    let complete = client.zip(admin).zip(peer).zip(engine).zip(policy.zip(log_format));
    let config =
        complete.map(|((((client, admin), peer), engine), (policy, log_format))| NodeConfig {
            node_id,
            region,
            zone,
            listen_client: client.listen,
            listen_admin: admin.listen,
            listen_peer: peer.listen,
            advertise_client: client.advertise,
            advertise_admin: admin.advertise,
            advertise_peer: peer.advertise,
            seeds,
            data_dir,
            engine,
            partitions,
            cluster_secret_file,
            cluster_secret,
            credentials_file,
            credentials,
            latency: Duration::from_millis(latency_ms),
            disk_free_bytes_min,
            region_failure_policy: policy,
            silence: Duration::from_millis(silence_ms),
            archive,
            restore_bytes_per_s_max,
            bucket_dir,
            buckets,
            log_format,
            log_level,
        });
    r.finish(config)
}

/// Partitions of a new table unless set (architecture, section 3).
pub const PARTITIONS_DEFAULT: u32 = 4;
/// Free disk below which writes are refused, unless set.
pub const DISK_FREE_BYTES_MIN_DEFAULT: u64 = 256 * 1024 * 1024;
/// Silence after which `auto` marks a region Lost, unless set.
pub const SILENCE_MS_DEFAULT: u64 = 3_000;

/// Reads the access keys of clients, where a file is named.
fn credentials(r: &mut Reading, field: Field<PathBuf>) -> (Option<PathBuf>, Option<Credentials>) {
    const NAME: &str = "credentials_file";
    let file = r.maybe(NAME, field);
    let known = file.as_deref().map(|path| {
        Credentials::read(path)
            .map_err(|text| r.problem(NAME, format!("{} {text}", path.display())))
    });
    (file, known.and_then(Result::ok))
}

struct Listener {
    listen: SocketAddr,
    advertise: Address,
}

fn listener(
    r: &mut Reading,
    (listen_name, listen): (&str, Field<String>),
    (advertise_name, advertise): (&str, Field<String>),
) -> Option<Listener> {
    let text = r.must(listen_name, listen);
    let listen = if text.is_empty() { None } else { r.parse::<SocketAddr>(listen_name, &text) };
    let absent = matches!(advertise, Field::Absent);
    let advertised = r.parsed::<Address>(advertise_name, advertise);
    let listen = listen?;
    if absent && listen.ip().is_unspecified() {
        r.problem(advertise_name, format!("is required, because {listen_name} is a wildcard"));
    }
    Some(Listener { listen, advertise: advertised.unwrap_or_else(|| Address::from(listen)) })
}

/// Reads the name of a region or zone.
fn name(r: &mut Reading, field: &str, value: Field<String>) -> String {
    let name = r.must(field, value);
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !good || name.len() > NAME_BYTES_MAX || (name.is_empty() && r.is_clean(field)) {
        r.refused(field, &format!("\"{name}\""));
    }
    name
}

/// Longest name of a region or zone, bytes.
const NAME_BYTES_MAX: usize = 64;
