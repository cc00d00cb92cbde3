//! The buckets of exports and imports, as the configuration names them.

use crate::stores;
use anyhow::Context;
use meridian_node::buckets::{Buckets, Place};
use meridian_server::config::{EngineChoice, NodeConfig, StoreConfig};
use std::path::{Path, PathBuf};

/// Where `dev` and the playground keep buckets in their data folder.
pub fn folder_in(folder: &Path) -> PathBuf {
    folder.join("buckets")
}

/// A node's buckets: with the memory engine gone with the process, as all of it.
pub fn of(config: &NodeConfig) -> anyhow::Result<Buckets> {
    if config.engine == EngineChoice::Memory {
        return Ok(Buckets::in_memory());
    }
    let place = |(name, store): (&String, &StoreConfig)| {
        let place = match store {
            StoreConfig::Folder(folder) => Place::Folder(folder.clone()),
            StoreConfig::Url(_) => {
                let opened = stores::open(store).with_context(|| format!("buckets.{name}"))?;
                Place::Store(opened)
            }
        };
        anyhow::Ok((name.clone(), place))
    };
    let named = config.buckets.iter().map(place).collect::<Result<_, _>>()?;
    Ok(Buckets::new(named, config.bucket_dir.clone()))
}
