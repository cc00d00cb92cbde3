//! Reads payloads of the log from any thread.

use super::Location;
use super::record::{FRAME_BYTES, Header};
use super::segment::file_name;
use crate::{Disk, DiskFile, StorageError};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// How many segment files are kept open for reading.
const OPEN_FILES_MAX: usize = 64;

/// The open segment files, shared by the owner of the log and its readers.
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    open: Mutex<BTreeMap<u64, Arc<dyn DiskFile>>>,
}

impl Files {
    pub fn new(disk: Arc<dyn Disk>) -> Arc<Self> {
        Arc::new(Files { disk, open: Mutex::new(BTreeMap::new()) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<dyn DiskFile>>> {
        self.open.lock().expect("no code panics while it holds this lock")
    }

    /// Keeps the handle of a segment; the oldest ones make room.
    pub fn insert(&self, segment: u64, file: Arc<dyn DiskFile>) {
        let mut open = self.lock();
        open.insert(segment, file);
        while open.len() > OPEN_FILES_MAX {
            open.pop_first();
        }
    }

    pub fn remove(&self, segment: u64) {
        self.lock().remove(&segment);
    }

    fn get(&self, segment: u64) -> Result<Arc<dyn DiskFile>, StorageError> {
        if let Some(file) = self.lock().get(&segment) {
            return Ok(Arc::clone(file));
        }
        let name = file_name(segment);
        match self.disk.open(&name) {
            Ok(file) => {
                self.insert(segment, Arc::clone(&file));
                Ok(file)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StorageError::Removed { segment }),
            Err(e) => Err(StorageError::io("open", &self.disk.path().join(name), e)),
        }
    }
}

/// Reads payloads from any thread while the owner appends.
#[derive(Clone)]
pub struct LogReader {
    files: Arc<Files>,
}

impl LogReader {
    pub(crate) fn new(files: Arc<Files>) -> Self {
        LogReader { files }
    }

    /// Reads the payload of a record and verifies its checksums.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] when the bytes are not those written, [`StorageError::Removed`]
    /// when the segment is gone.
    pub fn read(&self, location: Location) -> Result<Vec<u8>, StorageError> {
        let Location { segment, offset, length } = location;
        let file = self.files.get(segment)?;
        let path = self.files.disk.path().join(file_name(segment));
        let bad = |why| StorageError::corrupt(&path, u64::from(offset), why);
        let payload = usize::try_from(length).map_err(|_| bad("a record's length is absurd"))?;
        let mut bytes = vec![0; payload + FRAME_BYTES];
        file.read_at(u64::from(offset), &mut bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => bad("the file ends within a record"),
            io::ErrorKind::NotFound => StorageError::Removed { segment },
            _ => StorageError::io("read", &path, e),
        })?;
        let header = Header::read(segment, offset, &bytes)
            .ok()
            .filter(|header| header.length == length)
            .ok_or_else(|| bad("a record's header does not check"))?;
        header.payload(&bytes).map_err(|_| bad("a record's payload does not check"))?;
        bytes.truncate(bytes.len() - 1);
        Ok(bytes.split_off(super::record::HEADER_BYTES))
    }
}
