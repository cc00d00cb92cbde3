//! Snapshots in motion: chunks out of a view, and chunks received from a peer.
//!
//! # Invariants
//!
//! - A received snapshot is whole before it is installed: a broken transfer changes nothing.
//! - A spool file is removed when its snapshot is dropped, however that comes.

use crate::types::CommittedLeader;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// The chunks of a snapshot in order.
pub type Chunks = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// A snapshot as openraft hands it around.
pub type GroupSnapshot =
    openraft::storage::Snapshot<CommittedLeader, u64, openraft::impls::EmptyNode, SnapshotData>;

/// Chunks that are read at most once.
pub struct SnapshotData {
    chunks: Mutex<Option<Chunks>>,
}

impl SnapshotData {
    /// Wraps chunks.
    pub fn new(chunks: Chunks) -> Self {
        SnapshotData { chunks: Mutex::new(Some(chunks)) }
    }

    /// Takes the chunks; a second call gets none.
    pub fn take(&self) -> Chunks {
        let chunks = self.chunks.lock().expect("no holder panics").take();
        chunks.unwrap_or_else(|| Box::new(std::iter::empty()))
    }
}

impl std::fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotData")
    }
}

/// Where received chunks wait until all are there.
pub enum Spool {
    /// In memory: for a simulation and for the small control groups.
    Memory(Vec<Bytes>),
    /// In a file that is removed at the end.
    File(SpoolFile),
}

/// A file of chunks, each behind its length (big-endian `u32`).
pub struct SpoolFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Spool {
    /// Opens a file spool, or a memory spool when no path is given.
    pub fn open(path: Option<PathBuf>) -> io::Result<Spool> {
        let Some(path) = path else { return Ok(Spool::Memory(Vec::new())) };
        let file =
            File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        Ok(Spool::File(SpoolFile { path, writer: BufWriter::new(file) }))
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: Bytes) -> io::Result<()> {
        match self {
            Spool::Memory(chunks) => chunks.push(chunk),
            Spool::File(file) => {
                let len = u32::try_from(chunk.len()).map_err(io::Error::other)?;
                file.writer.write_all(&len.to_be_bytes())?;
                file.writer.write_all(&chunk)?;
            }
        }
        Ok(())
    }

    /// Ends writing and reads the chunks back.
    pub fn into_chunks(self) -> io::Result<Chunks> {
        match self {
            Spool::Memory(chunks) => Ok(Box::new(chunks.into_iter().map(Ok))),
            Spool::File(mut file) => {
                file.writer.flush()?;
                let mut reader = BufReader::new(file.writer.get_ref().try_clone()?);
                reader.rewind()?;
                Ok(Box::new(SpoolReader { reader, _file: file }))
            }
        }
    }
}

struct SpoolReader {
    reader: BufReader<File>,
    /// Removes the file when the last chunk was read.
    _file: SpoolFile,
}

impl SpoolReader {
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut len = [0; 4];
        match self.reader.read_exact(&mut len) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let mut chunk = vec![0; u32::from_be_bytes(len) as usize];
        self.reader.read_exact(&mut chunk)?;
        Ok(Some(Bytes::from(chunk)))
    }
}

impl Iterator for SpoolReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_gives_back_its_chunks_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let sent = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 100_000])];
        for path in [None, Some(path.clone())] {
            let mut spool = Spool::open(path).unwrap();
            sent.iter().for_each(|c| spool.push(c.clone()).unwrap());
            let got: Vec<Bytes> = spool.into_chunks().unwrap().map(Result::unwrap).collect();
            assert_eq!(got, sent);
        }
        assert!(!path.exists());
    }
}
