//! What the S3 buckets of exports and imports are here: folders that all nodes of a region share, or
//! object stores that whoever starts the node has opened.
//!
//! # Invariants
//!
//! - A name leads nowhere but to its own folder: no part of it is a way out.
//!
//! Tested below and by `cluster_tests/jobs.rs`.

use meridian_api::jobs::is_bucket_name;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// There is none of that name.
    #[error("no such bucket")]
    NoSuchBucket,
    /// Its folder cannot be opened.
    #[error("the bucket's folder: {0}")]
    Store(#[from] object_store::Error),
}

/// The buckets of a region.
#[derive(Clone, Default)]
pub struct Buckets {
    named: BTreeMap<String, Place>,
    others: Others,
}

/// What a listed bucket is.
#[derive(Clone)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A store. That there is no such bucket is seen when it is used.
    Store(Arc<dyn ObjectStore>),
}

/// What a name is that is not listed.
#[derive(Clone, Default)]
enum Others {
    #[default]
    None,
    /// A folder in this one, made by the first export to it.
    In(PathBuf),
    /// In memory, made by the first export to it.
    Memory(Arc<Mutex<BTreeMap<String, Arc<InMemory>>>>),
}

/// Opens a folder as an object store: what is put is on disk when it is acknowledged.
pub fn open_folder(folder: &Path) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let store = LocalFileSystem::new_with_prefix(folder)?;
    Ok(Arc::new(store.with_fsync(true)))
}

impl Buckets {
    /// Buckets by name, and the folder whose folders are buckets as well.
    pub fn new(named: BTreeMap<String, Place>, others: Option<PathBuf>) -> Self {
        Buckets { named, others: others.map_or(Others::None, Others::In) }
    }

    /// Buckets that are gone with the process.
    pub fn in_memory() -> Self {
        Buckets { named: BTreeMap::new(), others: Others::Memory(Arc::default()) }
    }

    fn place(&self, bucket: &str) -> Option<Place> {
        match (self.named.get(bucket), &self.others) {
            (Some(place), _) => Some(place.clone()),
            (None, Others::In(all)) if is_bucket_name(bucket) => {
                Some(Place::Folder(all.join(bucket)))
            }
            (None, Others::In(_) | Others::None | Others::Memory(_)) => None,
        }
    }

    /// Opens a bucket to read from it.
    pub fn to_read(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        if let Others::Memory(all) = &self.others {
            let found = all.lock().expect("no holder panics").get(bucket).cloned();
            return Ok(found.ok_or(BucketError::NoSuchBucket)?);
        }
        match self.place(bucket) {
            Some(Place::Store(store)) => Ok(store),
            Some(Place::Folder(folder)) if folder.is_dir() => Ok(open_folder(&folder)?),
            Some(Place::Folder(_)) | None => Err(BucketError::NoSuchBucket),
        }
    }

    /// Opens a bucket to write to it. A listed one must be there: a folder that is missing may be a
    /// mount that is.
    pub fn to_write(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        if let Others::Memory(all) = &self.others {
            let mut all = all.lock().expect("no holder panics");
            return Ok(Arc::clone(all.entry(bucket.to_owned()).or_default()) as _);
        }
        let place = self.place(bucket).ok_or(BucketError::NoSuchBucket)?;
        if let Place::Folder(folder) = &place
            && !self.named.contains_key(bucket)
        {
            std::fs::create_dir_all(folder).map_err(|error| object_store::Error::Generic {
                store: "LocalFileSystem",
                source: Box::new(error),
            })?;
        }
        self.to_read(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_folders_only() {
        let folder = tempfile::tempdir().unwrap();
        let listed = folder.path().join("listed");
        let named = BTreeMap::from([("a-b".to_owned(), Place::Folder(listed.clone()))]);
        let buckets = Buckets::new(named, Some(folder.path().join("all")));
        let missing =
            |opened: Result<_, BucketError>| matches!(opened, Err(BucketError::NoSuchBucket));
        assert!(missing(buckets.to_write("a-b")), "a listed folder is not made");
        std::fs::create_dir(&listed).unwrap();
        assert!(buckets.to_write("a-b").is_ok() && buckets.to_read("a-b").is_ok());
        assert!(missing(buckets.to_read("other")));
        assert!(buckets.to_write("other").is_ok() && buckets.to_read("other").is_ok());
        assert!(folder.path().join("all/other").is_dir());
        for way_out in ["..", ".", "", "../x", "a/b", "a/", "/etc", "a\0b"] {
            assert!(missing(buckets.to_write(way_out)), "{way_out}");
        }
        assert!(missing(Buckets::default().to_write("other")));
    }

    #[test]
    fn buckets_in_memory_are_made_by_what_is_written() {
        let buckets = Buckets::in_memory();
        assert!(matches!(buckets.to_read("b"), Err(BucketError::NoSuchBucket)));
        assert!(buckets.to_write("b").is_ok() && buckets.to_read("b").is_ok());
    }
}
