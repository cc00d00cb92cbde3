//! Configuration: what was written, and what it means.
//!
//! A file is read into a raw form in which each setting may be absent or wrong, then validated
//! into a [`NodeConfig`] or a [`RouterConfig`].
//!
//! # Invariants
//!
//! - All mistakes of a file are reported together, each with the setting and what is allowed.
//! - Flags override the environment, which overrides the file.
//! - A secret is read from the file that a setting names, and never printed.
//!
//! Tested by `config/tests.rs`, which also keeps `docs/reference/config.md` in step.

mod archive_key;
mod field;
mod node;
mod overrides;
mod router;
mod stores;
#[cfg(test)]
mod tests;

use field::{Field, Reading};

pub use archive_key::{ArchiveKeys, KeySource};
pub use field::{ConfigErrors, FieldDoc, Problem, markdown};
pub use node::{DISK_FREE_BYTES_MIN_DEFAULT, PARTITIONS_DEFAULT, SILENCE_MS_DEFAULT};
pub use node::{EngineChoice, FailurePolicy, LogFormat, NODE_FIELDS, NodeConfig};
pub use overrides::Overrides;
pub use router::{ROUTER_FIELDS, RouterConfig, RouterRegion};
pub use stores::{ArchiveConfig, StoreConfig, StoreKinds, UrlStore};

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {text}")]
    Syntax {
        /// The file.
        path: String,
        /// Where and why.
        text: String,
    },
    /// Settings are wrong.
    #[error("{path}: {errors}")]
    Wrong {
        /// The file.
        path: String,
        /// Each of them.
        errors: ConfigErrors,
    },
}

/// Reads a file and applies overrides to it.
fn read_table(path: &Path, overrides: &Overrides) -> Result<toml::Table, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: name.clone(), source })?;
    let mut table: toml::Table = toml::from_str(&text)
        .map_err(|e| ConfigError::Syntax { path: name, text: e.to_string().trim().to_owned() })?;
    overrides.apply(&mut table);
    Ok(table)
}

/// Reads a raw form out of a table.
///
/// Every field of a raw form takes any value and the rest is gathered under `unknown`, so this
/// fails for no table.
fn raw<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, ConfigErrors> {
    table.try_into().map_err(|e: toml::de::Error| {
        ConfigErrors(vec![Problem { field: "file".into(), text: e.message().to_owned() }])
    })
}

/// Reads what is logged.
fn log_level(r: &mut Reading, field: Field<String>) -> String {
    let level = r.or("log_level", field, "info".to_owned());
    if !crate::logging::filter_is_valid(&level) {
        r.refused("log_level", &format!("\"{level}\""));
    }
    level
}

/// Reads the cluster secret, which must be there when addresses are exposed.
fn secret(
    r: &mut Reading,
    field: Field<PathBuf>,
    exposed: &[String],
) -> (Option<PathBuf>, Option<Secret>) {
    const NAME: &str = "cluster_secret_file";
    let file = r.maybe(NAME, field);
    let Some(path) = file.as_deref() else {
        if r.is_clean(NAME) && !exposed.is_empty() {
            let list = exposed.join(", ");
            r.problem(NAME, format!("is required, because these are not loopback: {list}"));
        }
        return (None, None);
    };
    let secret = Secret::read(path);
    if let Err(text) = &secret {
        r.problem(NAME, format!("{} {text}", path.display()));
    }
    (file, secret.ok())
}

/// A `host:port` that other processes are told to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// The text, as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(host, _)| host)
    }

    /// True when only this machine can reach it. A name other than `localhost` counts as not.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl std::str::FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port: u16 = port.parse().map_err(|_| ())?;
        let named = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
        let literal = !host.contains(':') || text.parse::<SocketAddr>().is_ok();
        if named && literal && port != 0 { Ok(Address(text.to_owned())) } else { Err(()) }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address(address.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Secret(secret)
    }

    /// The secret itself, for comparing and sending.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads a secret from a file, without the line end.
    ///
    /// Fails with what is wrong: unreadable, shorter than 16 bytes, or more than one line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))?;
        let secret = text.trim_end_matches(['\n', '\r']);
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("holds fewer than {SECRET_BYTES_MIN} bytes"));
        }
        if secret.chars().any(|c| !c.is_ascii_graphic()) {
            return Err("must hold one line of printable ASCII without spaces".to_owned());
        }
        Ok(Secret(secret.to_owned()))
    }
}

/// Shortest cluster secret that is accepted, bytes.
const SECRET_BYTES_MIN: usize = 16;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}
