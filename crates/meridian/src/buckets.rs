//! The buckets of exports and imports, as the configuration names them.

use meridian_node::buckets::Buckets;
use meridian_server::config::{EngineChoice, NodeConfig};
use std::path::{Path, PathBuf};

/// Where `dev` and the playground keep buckets in their data folder.
pub fn folder_in(folder: &Path) -> PathBuf {
    folder.join("buckets")
}

/// A node's buckets: with the memory engine gone with the process, as all of it.
pub fn of(config: &NodeConfig) -> Buckets {
    match config.engine {
        EngineChoice::Memory => Buckets::in_memory(),
        EngineChoice::Fjall | EngineChoice::Sled => {
            Buckets::new(config.buckets.clone(), config.bucket_dir.clone())
        }
    }
}
