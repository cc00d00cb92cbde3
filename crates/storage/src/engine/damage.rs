//! Damage to the files of an engine that was closed or killed.
//!
//! Whatever is overwritten, an open and a full read give an error, or a state that the engine had
//! at or after its last persist.

use super::conformance::{rows, temp_dir};
use super::ledger::Ledger;
use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The files of an engine, and the states that may be found in them.
struct Sample {
    kind: EngineKind,
    files: Vec<Stored>,
    states: BTreeSet<Rows>,
}

struct Stored {
    name: PathBuf,
    /// Its bytes up to the last that is not zero.
    bytes: Vec<u8>,
    len: u64,
}

impl Stored {
    fn write(&self, dir: &Path, bytes: &[u8]) {
        let path = dir.join(&self.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(self.len.max(bytes.len() as u64)).unwrap();
    }
}

impl Sample {
    /// Ten batches that each rewrite five keys and add one, a persist after the sixth, and a kill.
    fn killed(kind: EngineKind) -> Self {
        let dir = temp_dir();
        let engine = open_engine(kind, dir.path()).unwrap();
        let mut states = BTreeSet::new();
        for n in 1..=10u8 {
            let mut changes = Batch::new();
            (0..5u8).for_each(|key| changes.put([key], [vec![n; 700], vec![key]].concat()));
            changes.put([b'n', n], [n]);
            engine.write(changes).unwrap();
            if n == 6 {
                engine.persist().unwrap();
            }
            if n >= 6 {
                states.insert(rows(&*engine).unwrap());
            }
        }
        Sample::read(kind, dir.path(), states)
    }

    /// The same batches, persisted, the engine closed and opened again.
    fn closed(kind: EngineKind) -> Self {
        let dir = Sample::killed(kind).restore();
        let engine = open_engine(kind, dir.path()).unwrap();
        engine.write(super::conformance::batch(&[("last", "1")])).unwrap();
        engine.persist().unwrap();
        let states = [rows(&*engine).unwrap()].into();
        drop(engine);
        Sample::read(kind, dir.path(), states)
    }

    /// As [`Sample::closed`], with fjall's memtables written to files of keys and files of values.
    fn flushed() -> Self {
        let Sample { kind, states, .. } = Sample::closed(EngineKind::Fjall);
        let dir = Sample::closed(EngineKind::Fjall).restore();
        let db = ::fjall::Database::builder(dir.path().join("fjall")).open().unwrap();
        let data = db.keyspace("data", Default::default).unwrap();
        data.rotate_memtable_and_wait().unwrap();
        assert_eq!(data.table_count(), 1);
        drop((db, data));
        let sample = Sample::read(kind, dir.path(), states);
        assert!(sample.files.iter().any(|file| file.name.ends_with("blobs/0")));
        sample
    }

    fn read(kind: EngineKind, dir: &Path, states: BTreeSet<Rows>) -> Self {
        let mut files = Vec::new();
        walk(dir, dir, &mut files);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Sample { kind, files, states }
    }

    fn restore(&self) -> TempDir {
        let dir = temp_dir();
        self.files.iter().for_each(|file| file.write(dir.path(), &file.bytes));
        dir
    }

    /// Replaces the bytes of one file, and checks what an open and a read make of it. True when
    /// the damage was noticed.
    fn check(&self, file: &Stored, what: &str, bytes: &[u8]) -> bool {
        let dir = self.restore();
        file.write(dir.path(), bytes);
        let read = || open_engine(self.kind, dir.path()).and_then(|engine| rows(&*engine));
        let name = file.name.display();
        match read() {
            Ok(found) => {
                let known = self.states.contains(&found);
                assert!(known, "{:?} {name} {what}: {} rows", self.kind, found.len());
                false
            }
            Err(StorageError::Corrupt { .. }) => {
                let again = read();
                let remembered = matches!(again, Err(StorageError::Corrupt { .. }));
                assert!(remembered, "{:?} {name} {what}: {again:?}", self.kind);
                true
            }
            Err(e) => panic!("{:?} {name} {what}: {e}", self.kind),
        }
    }
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<Stored>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, files);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let len = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
            files.push(Stored { name: path.strip_prefix(root).unwrap().into(), bytes, len });
        }
    }
}

/// Flips a bit at about `places` places of each file.
fn flip(sample: &Sample, places: usize) {
    for file in &sample.files {
        for at in (0..file.bytes.len()).step_by((file.bytes.len() / places).max(1)) {
            let mut bytes = file.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            sample.check(file, &format!("flip at {at}"), &bytes);
        }
    }
}

/// Overwrites blocks of each file.
fn overwrite(sample: &Sample, places: usize) {
    for file in &sample.files {
        for fill in [0x00, 0xa5] {
            for at in (0..file.bytes.len()).step_by((file.bytes.len() / places).max(1)) {
                let mut bytes = file.bytes.clone();
                let end = bytes.len().min(at + 4096);
                bytes[at..end].fill(fill);
                sample.check(file, &format!("{fill} from {at} to {end}"), &bytes);
            }
        }
    }
}

fn places() -> usize {
    std::env::var("MERIDIAN_DAMAGE_PLACES").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

#[test]
fn a_damaged_fjall_directory_is_noticed_or_harmless() {
    let kind = EngineKind::Fjall;
    for sample in [Sample::killed(kind), Sample::closed(kind), Sample::flushed()] {
        flip(&sample, places());
        overwrite(&sample, places().div_ceil(4));
    }
}

#[test]
fn a_damaged_sled_directory_is_noticed_or_harmless() {
    let kind = EngineKind::Sled;
    for sample in [Sample::killed(kind), Sample::closed(kind)] {
        flip(&sample, places() * 4);
        overwrite(&sample, places());
    }
}

#[test]
fn without_peers_only_what_was_persisted_must_be_whole() {
    let sample = Sample::killed(EngineKind::Fjall);
    let journal = sample.files.iter().find(|file| file.name.ends_with("0.jnl")).unwrap();
    let mut dropped = 0;
    for at in (0..journal.bytes.len()).step_by(499) {
        let mut bytes = journal.bytes.clone();
        let end = bytes.len().min(at + 64);
        bytes[at..end].fill(0);
        let noticed = sample.check(journal, &format!("zeros at {at}"), &bytes);
        let dir = sample.restore();
        journal.write(dir.path(), &bytes);
        let found = open_engine_alone(sample.kind, dir.path()).and_then(|e| rows(&*e));
        match found {
            Ok(found) => {
                assert!(sample.states.contains(&found), "zeros at {at}");
                dropped += usize::from(noticed);
            }
            Err(StorageError::Corrupt { .. }) => assert!(noticed, "zeros at {at}"),
            Err(e) => panic!("{e}"),
        }
    }
    assert!(dropped > 0);
}

#[test]
fn a_missing_file_is_noticed_or_harmless() {
    let kinds = [EngineKind::Fjall, EngineKind::Sled];
    for sample in kinds.map(Sample::closed).into_iter().chain([Sample::flushed()]) {
        for file in &sample.files {
            let dir = sample.restore();
            std::fs::remove_file(dir.path().join(&file.name)).unwrap();
            match open_engine(sample.kind, dir.path()).and_then(|engine| rows(&*engine)) {
                Ok(found) => {
                    let (known, name) = (sample.states.contains(&found), file.name.display());
                    assert!(known, "{:?} {name}: {} rows", sample.kind, found.len());
                }
                Err(StorageError::Corrupt { .. }) => {}
                Err(e) => panic!("{}: {e}", file.name.display()),
            }
        }
    }
}

#[test]
fn the_first_damage_that_a_call_finds_is_told_and_remembered() {
    let dir = temp_dir();
    let ledger = Ledger::open(dir.path(), EngineKind::Fjall).unwrap();
    ledger.guard(|| Ok(())).unwrap();
    assert_eq!(ledger.damage(), None);
    for why in ["block 7", "block 9"] {
        ledger.guard::<()>(|| Err(ledger.corrupt(why))).unwrap_err();
    }
    assert!(ledger.damage().unwrap().contains("block 7"));
    drop(ledger);
    let again = Ledger::open(dir.path(), EngineKind::Fjall).unwrap_err().to_string();
    assert!(again.contains("block 7"), "{again}");
}
