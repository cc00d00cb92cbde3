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
    ArchiveError, BaseEnd, DataKey, MasterKey, NONCE_BYTES, ObjectName, Prefix, Subject, TableMeta,
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

/// What there is of a partition's bases.
pub struct Bases {
    /// The names of all of their objects, in order.
    pub names: Vec<ObjectName>,
    /// What their ends hold.
    pub ends: Vec<BaseEnd>,
    /// What is wrong with an end that cannot be read.
    pub damaged: Option<ArchiveError>,
}

/// Tells what is wrong with an object from what is wrong with the store or the key.
pub fn as_put<T>(read: Result<T, ObjectError>) -> Result<Result<T, ArchiveError>, ObjectError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(ObjectError::Archive(error)) if error.is_of_object() => Ok(Err(error)),
        Err(error) => Err(error),
    }
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

    /// What they are of.
    pub fn subject(&self) -> Subject {
        self.prefix.subject
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
        if self.is_empty().await? {
            let mut secret = [0; 32];
            fill(&mut secret);
            self.put_key(&DataKey::new(FIRST_KEY, secret), PutMode::Create).await?;
        }
        // With another key than that of the objects that are there, these could not be read any more.
        let object = self.name_of(&ObjectName::Key { number: FIRST_KEY });
        let missing = ArchiveError::UnknownKey { object, number: FIRST_KEY };
        self.stored_key(FIRST_KEY).await?.ok_or(ObjectError::Archive(missing))
    }

    /// True when there is no object at all.
    async fn is_empty(&self) -> Result<bool, ObjectError> {
        let path = Path::from(self.prefix.to_string());
        let mut listed = self.store.list(Some(&path));
        Ok(within(listed.try_next()).await?.is_none())
    }

    async fn put_key(&self, key: &DataKey, mode: PutMode) -> Result<(), ObjectError> {
        let wrapped = self.master.wrap(key, nonce());
        let path = self.path(&ObjectName::Key { number: key.number() });
        let options = PutOptions { mode, ..PutOptions::default() };
        match within(self.store.put_opts(&path, wrapped.into(), options)).await {
            Ok(_) | Err(ObjectError::Store(object_store::Error::AlreadyExists { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that the store holds the keys that are used here, and puts those anew that are missing
    /// or damaged; tells what was wrong.
    pub async fn keep_keys(&self) -> Result<Option<ArchiveError>, ObjectError> {
        let used: Vec<DataKey> =
            self.keys.lock().expect("no holder panics").values().cloned().collect();
        let mut wrong = None;
        for key in used {
            let name = ObjectName::Key { number: key.number() };
            let object = self.name_of(&name);
            let read = self.read(&name).await?;
            let mode = if read.is_some() { PutMode::Overwrite } else { PutMode::Create };
            let missing =
                || ArchiveError::UnknownKey { object: object.clone(), number: key.number() };
            let opened = match &read {
                Some(wrapped) => self.master.unwrap(&object, wrapped),
                None => Err(missing()),
            };
            match opened {
                Ok(found) if found == key => {}
                Ok(_) => return Err(ArchiveError::Misplaced { object }.into()),
                Err(error) if error.is_of_object() => {
                    self.put_key(&key, mode).await?;
                    wrong = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(wrong)
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
            if (ObjectName::Key { number: key.number() }) != name {
                return Err(ArchiveError::Misplaced { object: whole }.into());
            }
            self.put_key(&key, PutMode::Overwrite).await?;
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

    /// The objects of a partition's bases, and what their ends hold. An end that is damaged makes its
    /// base an unfinished one.
    pub async fn bases(&self, partition: PartitionId) -> Result<Bases, ObjectError> {
        let names = self.list(&format!("{}base", ObjectName::partition_prefix(partition))).await?;
        let (mut ends, mut damaged) = (Vec::new(), None);
        for name in names.iter().filter(|name| matches!(name, ObjectName::BaseEnd { .. })) {
            let decode = |plain: Vec<u8>| Ok(BaseEnd::decode(&self.name_of(name), &plain)?);
            match as_put(self.must(name).await.and_then(decode))? {
                Ok(end) => ends.push(end),
                Err(error) => damaged = Some(error),
            }
        }
        Ok(Bases { names, ends, damaged })
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
