//! The configuration of a router (`router.toml`).

use super::field::{Field, FieldDoc, Reading};
use super::{Address, ConfigError, ConfigErrors, LogFormat, Overrides, Secret};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings of `router.toml`.
pub const ROUTER_FIELDS: &[FieldDoc] = &[
    doc("listen", "an `ip:port`", "", "Where clients (DynamoDB API) are served."),
    doc(
        "listen_admin",
        "an `ip:port`",
        "",
        "Where `/health`, `/metrics` and `/admin/router` are served.",
    ),
    doc(
        "regions",
        "an array of tables with `name`, `endpoints` and `admin_endpoints` (arrays of `host:port`)",
        "",
        "The regions in order of preference, each with its nodes.",
    ),
    doc("preferred", "the name of one of `regions`", "the first region", "The nearest region."),
    doc(
        "probe_interval_ms",
        "an integer from 10 to 10000",
        "`100`",
        "Time between probes of a node.",
    ),
    doc(
        "leave_after_ms",
        "an integer from 100 to 600000",
        "`1000`",
        "A region all of whose nodes fail their probes for so long is left.",
    ),
    doc(
        "request_timeout_ms",
        "an integer from 10 to 600000",
        "`5000`",
        "Longest time a request may take; then its outcome is unknown.",
    ),
    doc(
        "latency_ms",
        "an integer from 0 to 10000",
        "`0`",
        "For tests: round trip added to regions other than the preferred one, half of it each way.",
    ),
    doc(
        "state_file",
        "a path",
        "none",
        "Where the regions that were left are remembered across restarts.",
    ),
    doc(
        "cluster_secret_file",
        "a path to a file of one line, 16 bytes or more",
        "none",
        "Secret for the admin calls that the router makes and takes. Required unless every address is a loopback address.",
    ),
    doc("log_format", "`\"text\"` or `\"json\"`", "`\"text\"`", "Form of the log lines on stderr."),
    doc("log_level", "a level or filter such as `info`", "`\"info\"`", "What is logged."),
];

const fn doc(
    name: &'static str,
    allowed: &'static str,
    default: &'static str,
    doc: &'static str,
) -> FieldDoc {
    FieldDoc { name, allowed, default, doc }
}

/// `router.toml` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRouterConfig {
    listen: Field<String>,
    listen_admin: Field<String>,
    regions: Field<Vec<RawRegion>>,
    preferred: Field<String>,
    probe_interval_ms: Field<u64>,
    leave_after_ms: Field<u64>,
    request_timeout_ms: Field<u64>,
    latency_ms: Field<u64>,
    state_file: Field<PathBuf>,
    cluster_secret_file: Field<PathBuf>,
    log_format: Field<String>,
    log_level: Field<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    name: String,
    endpoints: Vec<String>,
    admin_endpoints: Vec<String>,
}

/// A region as a router knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterRegion {
    /// Name of the region.
    pub name: String,
    /// Client addresses of its nodes.
    pub endpoints: Vec<Address>,
    /// Admin addresses of its nodes.
    pub admin_endpoints: Vec<Address>,
}

/// What a router runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// Client listener.
    pub listen: SocketAddr,
    /// Admin listener.
    pub listen_admin: SocketAddr,
    /// Regions in order of preference, the preferred one first.
    pub regions: Vec<RouterRegion>,
    /// Time between probes of a node.
    pub probe_interval: Duration,
    /// How long all nodes of a region must fail before it is left.
    pub leave_after: Duration,
    /// Longest time that a request may take.
    pub request_timeout: Duration,
    /// Round trip added to regions other than the preferred one.
    pub latency: Duration,
    /// Where the regions that were left are remembered.
    pub state_file: Option<PathBuf>,
    /// The file of the cluster secret.
    pub cluster_secret_file: Option<PathBuf>,
    /// The cluster secret.
    pub cluster_secret: Option<Secret>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

impl RouterConfig {
    /// Reads a file, lays `overrides` over it, and validates the result.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let table = super::read_table(path, overrides)?;
        Self::from_table(table)
            .map_err(|errors| ConfigError::Wrong { path: path.display().to_string(), errors })
    }

    /// Validates what a file holds.
    pub fn from_table(table: toml::Table) -> Result<Self, ConfigErrors> {
        validate(super::raw(table)?)
    }

    /// The configuration as a file that reads back as the same one. Secrets stay in their files.
    pub fn to_toml(&self) -> String {
        let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
        let path = |p: &Path| quoted(&p.display().to_string());
        let list =
            |a: &[Address]| a.iter().map(|a| quoted(a.as_str())).collect::<Vec<_>>().join(", ");
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut lines = vec![
            format!("listen = \"{}\"", self.listen),
            format!("listen_admin = \"{}\"", self.listen_admin),
            format!("probe_interval_ms = {}", self.probe_interval.as_millis()),
            format!("leave_after_ms = {}", self.leave_after.as_millis()),
            format!("request_timeout_ms = {}", self.request_timeout.as_millis()),
            format!("latency_ms = {}", self.latency.as_millis()),
            format!("log_format = \"{format}\""),
            format!("log_level = {}", quoted(&self.log_level)),
        ];
        lines.extend(self.state_file.iter().map(|f| format!("state_file = {}", path(f))));
        let secret = self.cluster_secret_file.iter();
        lines.extend(secret.map(|f| format!("cluster_secret_file = {}", path(f))));
        for region in &self.regions {
            lines.push("\n[[regions]]".to_owned());
            lines.push(format!("name = {}", quoted(&region.name)));
            lines.push(format!("endpoints = [{}]", list(&region.endpoints)));
            lines.push(format!("admin_endpoints = [{}]", list(&region.admin_endpoints)));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The configuration for a person to read, `<hidden>` in place of the secret.
    pub fn printed(&self) -> String {
        let secret = self.cluster_secret.as_ref().map(|s| format!("# cluster_secret = {s:?}\n"));
        self.to_toml() + &secret.unwrap_or_default()
    }
}

fn validate(raw: RawRouterConfig) -> Result<RouterConfig, ConfigErrors> {
    let mut r = Reading::new(ROUTER_FIELDS);
    r.unknown(raw.unknown.keys());
    let listen = socket(&mut r, "listen", raw.listen);
    let listen_admin = socket(&mut r, "listen_admin", raw.listen_admin);
    let mut regions = regions(&mut r, raw.regions);
    if let Some(preferred) = r.maybe("preferred", raw.preferred) {
        match regions.iter().position(|region| region.name == preferred) {
            Some(at) => regions[..=at].rotate_right(1),
            None => r.refused("preferred", &format!("\"{preferred}\"")),
        }
    }
    let probe_ms = r.or("probe_interval_ms", raw.probe_interval_ms, 100);
    let leave_ms = r.or("leave_after_ms", raw.leave_after_ms, 1_000);
    let timeout_ms = r.or("request_timeout_ms", raw.request_timeout_ms, 5_000);
    let latency_ms = r.or("latency_ms", raw.latency_ms, 0);
    r.within("probe_interval_ms", probe_ms, 10..=10_000);
    r.within("leave_after_ms", leave_ms, 100..=600_000);
    r.within("request_timeout_ms", timeout_ms, 10..=600_000);
    r.within("latency_ms", latency_ms, 0..=10_000);
    let state_file = r.maybe("state_file", raw.state_file);
    let log_format = match raw.log_format {
        Field::Absent => Some(LogFormat::Text),
        given => r.parsed("log_format", given),
    };
    let log_level = super::log_level(&mut r, raw.log_level);
    let addresses = regions.iter().flat_map(|r| r.endpoints.iter().chain(&r.admin_endpoints));
    let exposed = [listen, listen_admin].into_iter().flatten();
    let exposed = exposed.filter(|l| !l.ip().is_loopback()).map(|l| l.to_string());
    let remote = addresses.filter(|a| !a.is_loopback()).map(Address::to_string);
    let exposed: Vec<String> = exposed.chain(remote).collect();
    let (cluster_secret_file, cluster_secret) =
        super::secret(&mut r, raw.cluster_secret_file, &exposed);
    let complete = listen.zip(listen_admin).zip(log_format);
    let config = complete.map(|((listen, listen_admin), log_format)| RouterConfig {
        listen,
        listen_admin,
        regions,
        probe_interval: Duration::from_millis(probe_ms),
        leave_after: Duration::from_millis(leave_ms),
        request_timeout: Duration::from_millis(timeout_ms),
        latency: Duration::from_millis(latency_ms),
        state_file,
        cluster_secret_file,
        cluster_secret,
        log_format,
        log_level,
    });
    r.finish(config)
}

fn socket(r: &mut Reading, name: &str, field: Field<String>) -> Option<SocketAddr> {
    let text = r.must(name, field);
    if text.is_empty() { None } else { r.parse(name, &text) }
}

fn regions(r: &mut Reading, field: Field<Vec<RawRegion>>) -> Vec<RouterRegion> {
    let raw = r.must("regions", field);
    if raw.is_empty() && r.is_clean("regions") {
        r.problem("regions", "must name at least one region");
    }
    let mut names = BTreeSet::new();
    let mut regions = Vec::with_capacity(raw.len());
    for region in raw {
        if !names.insert(region.name.clone()) {
            r.problem("regions", format!("names \"{}\" twice", region.name));
        }
        let endpoints: Vec<Address> =
            region.endpoints.iter().filter_map(|a| r.parse("regions", a)).collect();
        let admin_endpoints: Vec<Address> =
            region.admin_endpoints.iter().filter_map(|a| r.parse("regions", a)).collect();
        if endpoints.is_empty() {
            r.problem("regions", format!("\"{}\" needs at least one endpoint", region.name));
        }
        regions.push(RouterRegion { name: region.name, endpoints, admin_endpoints });
    }
    regions
}
