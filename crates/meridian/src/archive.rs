//! Opens the object store of the point-in-time archive, and makes the key of one that nobody set up.

use crate::run::Kind;
use crate::stores;
use anyhow::Context;
use meridian_archive::MasterKey;
use meridian_node::archive::{ArchiveOptions, CHECK_EVERY};
use meridian_server::config::{
    ArchiveConfig, ArchiveKeys, EngineChoice, KeySource, NodeConfig, StoreConfig,
};
use object_store::memory::InMemory;
use rand::Rng;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Where `dev` and the playground keep the archive in their data folder.
pub fn config_in(folder: &Path) -> ArchiveConfig {
    let store = StoreConfig::Folder(folder.join("archive"));
    ArchiveConfig { store, keys: ArchiveKeys::in_file(folder.join("archive.key")) }
}

/// Makes the key of an archive, where it is to be in a file and there is none.
pub fn make_key(archive: &ArchiveConfig) -> anyhow::Result<()> {
    match &archive.keys.current {
        KeySource::File(file) => make_key_file(file),
        KeySource::Command(_) => Ok(()),
    }
}

/// Makes a key file, for its owner only, where there is none.
fn make_key_file(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut key = match made {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let mut text = String::new();
    for byte in random() {
        write!(text, "{byte:02x}")?;
    }
    writeln!(key, "{text}").and_then(|()| key.sync_all()).context("the key is not written")
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// What a node archives to; none where its configuration names nothing. `dev` gets a key of its own.
pub fn options(config: &NodeConfig, kind: Kind) -> anyhow::Result<Option<ArchiveOptions>> {
    let restore_bytes_per_s_max = Some(config.restore_bytes_per_s_max).filter(|limit| *limit > 0);
    if config.engine == EngineChoice::Memory {
        // Gone with the process, as all of it.
        let (store, key) = (Arc::new(InMemory::new()), MasterKey::new(random()));
        let check_every = CHECK_EVERY;
        return Ok(Some(ArchiveOptions { store, key, restore_bytes_per_s_max, check_every }));
    }
    let Some(archive) = &config.archive else { return Ok(None) };
    match kind {
        Kind::Dev => make_key(archive)?,
        Kind::Cluster => {}
    }
    let key = archive.keys.read().map_err(anyhow::Error::msg)?;
    let field = match archive.store {
        StoreConfig::Folder(_) => "archive_dir",
        StoreConfig::Url(_) => "archive_url",
    };
    let store = stores::open(&archive.store).context(field)?;
    let check_every = CHECK_EVERY;
    Ok(Some(ArchiveOptions { store, key, restore_bytes_per_s_max, check_every }))
}
