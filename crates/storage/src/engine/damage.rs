//! Damage to the files of an engine that was closed or killed.
//!
//! Whatever is overwritten, an open and a full read give an error, or a state that the engine had
//! at or after its last persist.

use super::conformance::{copy, rows};
use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// An engine's directory, and the states that may be found in it.
struct Sample {
    kind: EngineKind,
    dir: TempDir,
    states: BTreeSet<Rows>,
}

impl Sample {
    /// Ten batches that each rewrite five keys and add one, a persist after the sixth, and a kill.
    fn new(kind: EngineKind, value_bytes: usize) -> Self {
        let (live, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let engine = open_engine(kind, live.path()).unwrap();
        let mut states = BTreeSet::new();
        for n in 1..=10u8 {
            let mut changes = Batch::new();
            (0..5u8).for_each(|key| changes.put([key], [vec![n; value_bytes], vec![key]].concat()));
            changes.put([b'n', n], [n]);
            engine.write(changes).unwrap();
            if n == 6 {
                engine.persist().unwrap();
            }
            if n >= 6 {
                states.insert(rows(&*engine).unwrap());
            }
        }
        copy(live.path(), dir.path());
        Sample { kind, dir, states }
    }

    /// The files of a copy that was opened and closed by the library, so that its other files
    /// exist too.
    fn settled(mut self) -> Self {
        let engine = open_engine(self.kind, self.dir.path()).unwrap();
        engine.write(super::conformance::batch(&[("last", "1")])).unwrap();
        engine.persist().unwrap();
        self.states = [rows(&*engine).unwrap()].into();
        drop(engine);
        self
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(self.dir.path(), &mut files);
        files.sort();
        files
    }

    /// Damages one file of a copy, and checks what an open and a read make of it. True when the
    /// damage was noticed.
    fn check(&self, file: &Path, what: &str, damage: impl FnOnce(&Path)) -> bool {
        let image = TempDir::new().unwrap();
        copy(self.dir.path(), image.path());
        let name = file.strip_prefix(self.dir.path()).unwrap();
        damage(&image.path().join(name));
        let read = || open_engine(self.kind, image.path()).and_then(|engine| rows(&*engine));
        match read() {
            Ok(found) => {
                let known = self.states.contains(&found);
                assert!(known, "{:?} {} {what}: {} rows", self.kind, name.display(), found.len());
                false
            }
            Err(StorageError::Corrupt { .. }) => {
                let again = read();
                let remembered = matches!(again, Err(StorageError::Corrupt { .. }));
                assert!(remembered, "{:?} {} {what}: {again:?}", self.kind, name.display());
                true
            }
            Err(e) => panic!("{:?} {} {what}: {e}", self.kind, name.display()),
        }
    }
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

fn used(file: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(file).unwrap();
    bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
    bytes
}

fn overwrite(file: &Path, at: usize, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(bytes, at as u64).unwrap();
}

/// Flips a bit at about `steps` places of each file.
fn flip(sample: &Sample, steps: usize) {
    for file in sample.files() {
        let bytes = used(&file);
        for at in (0..bytes.len()).step_by((bytes.len() / steps).max(1)) {
            let flipped = bytes[at] ^ (1 << (at % 8));
            sample.check(&file, &format!("flip at {at}"), |f| overwrite(f, at, &[flipped]));
        }
    }
}

/// Overwrites blocks of each file.
fn overwrite_blocks(sample: &Sample) {
    for file in sample.files() {
        let bytes = used(&file);
        for fill in [0x00, 0xa5] {
            for at in (0..bytes.len()).step_by((bytes.len() / 5).max(1)) {
                let len = (bytes.len() - at).min(4096);
                let what = format!("{len} of {fill} at {at}");
                sample.check(&file, &what, |f| overwrite(f, at, &vec![fill; len]));
            }
        }
    }
}

#[test]
fn a_damaged_fjall_directory_is_noticed_or_harmless() {
    for sample in [Sample::new(EngineKind::Fjall, 40), Sample::new(EngineKind::Fjall, 40).settled()]
    {
        flip(&sample, 40);
        overwrite_blocks(&sample);
    }
}

#[test]
fn a_damaged_sled_directory_is_noticed_or_harmless() {
    for sample in [Sample::new(EngineKind::Sled, 40), Sample::new(EngineKind::Sled, 40).settled()] {
        flip(&sample, 40);
        overwrite_blocks(&sample);
    }
}
