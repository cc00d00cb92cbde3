//! The objects of a table's archive in the operator's object store: sealed on the way in, opened on
//! the way out.
//!
//! # Invariants
//!
//! - Nothing is put that is not sealed; nothing that does not open is given out.
//! - A data key is made once: who finds one there takes it.

use bytes::Bytes;
use futures_util::TryStreamExt;
use meridian_archive::{
    ArchiveError, BaseEnd, DataKey, MasterKey, NONCE_BYTES, ObjectName, Prefix, TableMeta,
    Watermark, open, seal,
};
use meridian_base::{PartitionId, Position};
use meridian_raft::rt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one call of the object store may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// The number of a table's first data key.
const FIRST_KEY: u32 = 1;

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store refuses or fails.
    #[error("the object store: {0}")]
    Store(#[from] object_store::Error),
    /// It does not answer.
    #[error("the object store does not answer within {} s", CALL_LIMIT.as_secs())]
    Silent,
    /// What is there is damaged, or cannot be opened.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The objects of one table, or of one backup.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    master: MasterKey,
    prefix: Prefix,
    keys: Mutex<BTreeMap<u32, DataKey>>,
}

async fn within<T>(
    call: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, ObjectError> {
    match rt::timeout(CALL_LIMIT, call).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ObjectError::Silent),
    }
}

fn nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce);
    nonce
}

fn fill(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&rt::random().to_ne_bytes()[..part.len()]);
    }
}

impl Objects {
    /// The objects under a prefix; nothing is read yet.
    pub fn new(store: Arc<dyn ObjectStore>, master: MasterKey, prefix: Prefix) -> Self {
        Objects { store, master, prefix, keys: Mutex::default() }
    }

    /// What the names of all of them begin with.
    pub fn prefix(&self) -> String {
        self.prefix.to_string()
    }

    /// An object's whole name.
    pub fn name_of(&self, name: &ObjectName) -> String {
        self.prefix.object(name)
    }

    fn path(&self, name: &ObjectName) -> Path {
        Path::from(self.name_of(name))
    }

    fn known(&self, number: u32) -> Option<DataKey> {
        self.keys.lock().expect("no holder panics").get(&number).cloned()
    }

    /// The key that new objects are sealed with; made if there is none.
    async fn current_key(&self) -> Result<DataKey, ObjectError> {
        if let Some((_, key)) = self.keys.lock().expect("no holder panics").last_key_value() {
            return Ok(key.clone());
        }
        if let Some(key) = self.stored_key(FIRST_KEY).await? {
            return Ok(key);
        }
        let mut secret = [0; 32];
        fill(&mut secret);
        let wrapped = self.master.wrap(&DataKey::new(FIRST_KEY, secret), nonce());
        let path = self.path(&ObjectName::Key { number: FIRST_KEY });
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match within(self.store.put_opts(&path, wrapped.into(), options)).await {
            Ok(_) | Err(ObjectError::Store(object_store::Error::AlreadyExists { .. })) => {}
            Err(error) => return Err(error),
        }
        let missing = ArchiveError::UnknownKey { object: path.to_string(), number: FIRST_KEY };
        self.stored_key(FIRST_KEY).await?.ok_or(ObjectError::Archive(missing))
    }

    async fn stored_key(&self, number: u32) -> Result<Option<DataKey>, ObjectError> {
        if let Some(key) = self.known(number) {
            return Ok(Some(key));
        }
        let name = ObjectName::Key { number };
        let Some(wrapped) = self.read(&name).await? else { return Ok(None) };
        let key = self.master.unwrap(&self.name_of(&name), &wrapped)?;
        self.keys.lock().expect("no holder panics").insert(number, key.clone());
        Ok(Some(key))
    }

    /// Wraps every data key that an older master key wrapped with the newest; gives how many there are,
    /// and how many of them were wrapped again.
    pub async fn rewrap(&self) -> Result<(u64, u64), ObjectError> {
        let (mut all, mut again) = (0, 0);
        for name in self.list("keys").await? {
            let whole = self.name_of(&name);
            let Some(wrapped) = self.read(&name).await? else { continue };
            all += 1;
            if MasterKey::wrapper_of(&whole, &wrapped)? == self.master.id() {
                continue;
            }
            let key = self.master.unwrap(&whole, &wrapped)?;
            let wrapped = self.master.wrap(&key, nonce());
            within(self.store.put(&self.path(&name), wrapped.into())).await?;
            again += 1;
        }
        Ok((all, again))
    }

    async fn read(&self, name: &ObjectName) -> Result<Option<Bytes>, ObjectError> {
        let path = self.path(name);
        let read = async { self.store.get(&path).await?.bytes().await };
        match within(read).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ObjectError::Store(object_store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Seals and stores an object; gives how many bytes it has.
    pub async fn put(&self, name: &ObjectName, plain: Vec<u8>) -> Result<u64, ObjectError> {
        let key = self.current_key().await?;
        let (whole, nonce) = (self.name_of(name), nonce());
        let sealed = rt::blocking(move || seal(&key, &whole, nonce, &plain)).await;
        let bytes = sealed.len() as u64;
        within(self.store.put(&self.path(name), sealed.into())).await?;
        Ok(bytes)
    }

    /// Reads and opens an object; none when there is no such object.
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ObjectError> {
        let Some(sealed) = self.read(name).await? else { return Ok(None) };
        let whole = self.name_of(name);
        let number = meridian_archive::key_number(&whole, &sealed)?;
        let key = self.stored_key(number).await?;
        let opened = rt::blocking(move || open(|_| key.as_ref(), &whole, &sealed)).await;
        Ok(Some(opened?))
    }

    /// Reads and opens an object that is to be there.
    pub async fn must(&self, name: &ObjectName) -> Result<Vec<u8>, ObjectError> {
        let gone = || ArchiveError::Damaged {
            object: self.name_of(name),
            offset: 0,
            what: "it is not there".to_owned(),
        };
        self.get(name).await?.ok_or_else(|| ObjectError::Archive(gone()))
    }

    /// The names of a table's objects under a part of its prefix, in order.
    pub async fn list(&self, under: &str) -> Result<Vec<ObjectName>, ObjectError> {
        let path = Path::from(format!("{}/{under}", self.prefix));
        let listed = within(self.store.list(Some(&path)).try_collect::<Vec<_>>()).await?;
        let parsed = listed.iter().map(|meta| self.prefix.parse_object(meta.location.as_ref()));
        let mut names: Vec<ObjectName> = parsed.flatten().collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names of a partition's segments that may hold changes after a position, in order.
    pub async fn segments(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Vec<ObjectName>, ObjectError> {
        let mut names =
            self.list(&format!("{}log", ObjectName::partition_prefix(partition))).await?;
        names.retain(|name| matches!(name, ObjectName::Log { last, .. } if *last > after));
        Ok(names)
    }

    /// The objects of a partition's bases, and what the ends of the whole ones hold.
    pub async fn bases(
        &self,
        partition: PartitionId,
    ) -> Result<(Vec<ObjectName>, Vec<BaseEnd>), ObjectError> {
        let names = self.list(&format!("{}base", ObjectName::partition_prefix(partition))).await?;
        let mut ends = Vec::new();
        for name in names.iter().filter(|name| matches!(name, ObjectName::BaseEnd { .. })) {
            ends.push(BaseEnd::decode(&self.name_of(name), &self.must(name).await?)?);
        }
        Ok((names, ends))
    }

    /// How far a partition is archived; none before its first watermark.
    pub async fn watermark(&self, of: PartitionId) -> Result<Option<Watermark>, ObjectError> {
        let name = ObjectName::Watermark { partition: of };
        let plain = self.get(&name).await?;
        let read = plain.map(|plain| Watermark::decode(&self.name_of(&name), &plain)).transpose();
        Ok(read?)
    }

    /// What the table was at a time: the newest description of then or before, or else the first.
    pub async fn meta(&self, at_ms: u64) -> Result<Option<TableMeta>, ObjectError> {
        let names = self.list("meta").await?;
        let before =
            |name: &&ObjectName| matches!(name, ObjectName::Meta { at_ms: at } if *at <= at_ms);
        let Some(name) = names.iter().rfind(before).or(names.first()) else { return Ok(None) };
        Ok(Some(TableMeta::decode(&self.name_of(name), &self.must(name).await?)?))
    }

    /// Deletes everything.
    pub async fn delete_all(&self) -> Result<(), ObjectError> {
        let path = Path::from(self.prefix.to_string());
        let listed = within(self.store.list(Some(&path)).try_collect::<Vec<_>>()).await?;
        for meta in listed {
            self.delete_path(&meta.location).await?;
        }
        Ok(())
    }

    /// Deletes an object; one that is gone is no error.
    pub async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.delete_path(&self.path(name)).await
    }

    async fn delete_path(&self, path: &Path) -> Result<(), ObjectError> {
        match within(self.store.delete(path)).await {
            Ok(()) | Err(ObjectError::Store(object_store::Error::NotFound { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The names of the folders in a folder of the store, in order; none where there is no such folder.
pub async fn folders(store: &Arc<dyn ObjectStore>, at: &str) -> Result<Vec<String>, ObjectError> {
    let listed = within(store.list_with_delimiter(Some(&Path::from(at)))).await?;
    let names = listed.common_prefixes.iter().filter_map(|path| path.filename());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}
