//! One suite over all engines.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

const KINDS: [EngineKind; 3] = [EngineKind::Fjall, EngineKind::Sled, EngineKind::Memory];
const ON_DISK: [EngineKind; 2] = [EngineKind::Fjall, EngineKind::Sled];

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A directory in memory where there is one: these tests lose no power, and sync very often.
pub(super) fn temp_dir() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

pub(super) fn batch(puts: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::new();
    puts.iter().for_each(|(key, value)| batch.put(*key, *value));
    batch
}

fn collect(
    scan: impl FnOnce(Range, Visit<'_>) -> Result<(), StorageError>,
    range: Range,
) -> Result<Rows, StorageError> {
    let mut rows = Vec::new();
    scan(range, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        Control::Continue(())
    })?;
    Ok(rows)
}

pub(super) fn rows(engine: &dyn Engine) -> Result<Rows, StorageError> {
    collect(|range, visit| engine.scan(range, visit), Range::all())
}

fn view_rows(view: &dyn View, range: Range) -> Rows {
    collect(|range, visit| view.scan(range, visit), range).unwrap()
}

/// Runs `test` over a new engine of each kind.
fn each(test: impl Fn(&dyn Engine)) {
    for kind in KINDS {
        let dir = temp_dir();
        test(&*open_engine(kind, dir.path()).unwrap());
    }
    test(&MemoryEngine::new());
}

/// What a killed process leaves: a copy of the files while the engine is open.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if std::fs::copy(entry.path(), &target).is_err() {
            assert!(!entry.path().exists(), "a file that is there can be copied");
        }
    }
}

#[test]
fn a_batch_lands_whole_and_its_later_change_wins() {
    each(|engine| {
        let mut changes = batch(&[("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")]);
        changes.delete("c");
        changes.delete("missing");
        engine.write(changes).unwrap();
        assert_eq!(engine.get(b"a").unwrap(), Some(b"2".to_vec()));
        assert_eq!(engine.get(b"b").unwrap(), Some(b"1".to_vec()));
        assert_eq!(engine.get(b"c").unwrap(), None);
        engine.write(Batch::new()).unwrap();
        assert_eq!(rows(engine).unwrap().len(), 2);
    });
}

#[test]
fn empty_keys_and_values_and_all_bytes_are_keys_like_others() {
    each(|engine| {
        let mut changes = Batch::new();
        for key in [&[][..], &[0], &[0, b'p'], &[0xff], &[0xff, 0xff]] {
            changes.put(key, Vec::new());
        }
        engine.write(changes).unwrap();
        engine.persist().unwrap();
        let keys: Vec<_> = rows(engine).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [&[][..], &[0], &[0, b'p'], &[0xff], &[0xff, 0xff]]);
        assert_eq!(engine.get(&[0, b'p']).unwrap(), Some(Vec::new()));
    });
}

#[test]
fn scans_keep_their_bounds_in_both_directions_and_stop_when_told() {
    use Bound::{Excluded, Included, Unbounded};
    let key = |n: u8| vec![b'k', n];
    each(|engine| {
        let mut changes = Batch::new();
        (0..10).for_each(|n| changes.put(key(n), [n]));
        engine.write(changes).unwrap();
        let starts = [Unbounded, Included(key(3)), Excluded(key(3)), Included(vec![b'k'])];
        let ends = [Unbounded, Included(key(6)), Excluded(key(6)), Excluded(key(3))];
        for (start, end) in starts.iter().flat_map(|s| ends.iter().map(move |e| (s, e))) {
            let range = Range { start: start.clone(), end: end.clone(), reverse: false };
            let expected: Rows = (0..10)
                .map(|n| (key(n), vec![n]))
                .filter(|(k, _)| std::ops::RangeBounds::contains(&(start.clone(), end.clone()), k))
                .collect();
            let view = engine.view().unwrap();
            assert_eq!(view_rows(&*view, range.clone()), expected);
            let mut backwards = view_rows(&*view, range.clone().reversed());
            backwards.reverse();
            assert_eq!(backwards, expected);
            assert_eq!(collect(|r, v| engine.scan(r, v), range).unwrap(), expected);
        }
        let mut seen = 0;
        engine
            .scan(Range::prefix(b"k").reversed(), &mut |_, _| {
                seen += 1;
                if seen == 3 { Control::Break(()) } else { Control::Continue(()) }
            })
            .unwrap();
        assert_eq!(seen, 3);
    });
}

#[test]
fn a_view_does_not_see_later_batches() {
    each(|engine| {
        engine.write(batch(&[("a", "1"), ("b", "1")])).unwrap();
        let view = engine.view().unwrap();
        let mut later = batch(&[("a", "2"), ("c", "2")]);
        later.delete("b");
        engine.write(later).unwrap();
        engine.persist().unwrap();
        let middle = engine.view().unwrap();
        engine.write(batch(&[("a", "3"), ("b", "3")])).unwrap();

        let text = |rows: Rows| -> Vec<String> {
            let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
            rows.into_iter().map(|(k, v)| format!("{}={}", text(k), text(v))).collect()
        };
        assert_eq!(text(view_rows(&*view, Range::all())), ["a=1", "b=1"]);
        assert_eq!(text(view_rows(&*view, Range::all().reversed())), ["b=1", "a=1"]);
        assert_eq!(view.get(b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(view.get(b"c").unwrap(), None);
        assert_eq!(text(view_rows(&*middle, Range::all())), ["a=2", "c=2"]);
        drop(view);
        assert_eq!(middle.get(b"b").unwrap(), None);
        assert_eq!(text(rows(engine).unwrap()), ["a=3", "b=3", "c=2"]);
    });
}

#[test]
fn a_view_is_consistent_while_others_write() {
    each(|engine| {
        let total = |rows: Rows| -> u64 {
            let number = |(_, v): (_, Vec<u8>)| u64::from_be_bytes(v.try_into().unwrap());
            rows.into_iter().map(number).sum()
        };
        let account = |n: u64| n.to_be_bytes();
        let mut changes = Batch::new();
        (0..600).for_each(|n| changes.put(account(n), 100u64.to_be_bytes()));
        engine.write(changes).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..2000u64 {
                    let (from, to) = (n % 600, (n * 7 + 1) % 600);
                    if from == to {
                        continue;
                    }
                    let read = |n| engine.get(&account(n)).unwrap().unwrap().try_into().unwrap();
                    let (a, b) = (u64::from_be_bytes(read(from)), u64::from_be_bytes(read(to)));
                    let mut changes = Batch::new();
                    changes.put(account(from), (a - a.min(1)).to_be_bytes());
                    changes.put(account(to), (b + a.min(1)).to_be_bytes());
                    engine.write(changes).unwrap();
                }
            });
            while !writer.is_finished() {
                let view = engine.view().unwrap();
                assert_eq!(total(view_rows(&*view, Range::all())), 60_000);
                assert_eq!(total(view_rows(&*view, Range::all().reversed())), 60_000);
            }
        });
    });
}

#[test]
fn what_was_persisted_is_there_after_a_kill() {
    for kind in ON_DISK {
        let (dir, image) = (temp_dir(), temp_dir());
        let engine = open_engine(kind, dir.path()).unwrap();
        for n in 0..50u64 {
            let mut changes = Batch::new();
            changes.put(n.to_be_bytes(), vec![7; 1000]);
            engine.write(changes).unwrap();
        }
        engine.persist().unwrap();
        engine.persist().unwrap();
        copy(dir.path(), image.path());
        assert!(engine.disk_bytes() > 0);
        assert_eq!(rows(&*open_engine(kind, image.path()).unwrap()).unwrap().len(), 50);
        drop(engine);
        assert_eq!(rows(&*open_engine(kind, dir.path()).unwrap()).unwrap().len(), 50);
    }
}

#[test]
fn a_kill_without_persist_leaves_whole_batches_in_their_order() {
    for kind in ON_DISK {
        let dir = temp_dir();
        let engine = open_engine(kind, dir.path()).unwrap();
        let mut persisted = 0;
        for n in 1..=60u64 {
            let mut changes = Batch::new();
            for part in 0..5u8 {
                changes.put([part], n.to_be_bytes().repeat(100));
            }
            changes.put([&b"n"[..], &n.to_be_bytes()].concat(), [1]);
            engine.write(changes).unwrap();
            if n == 25 {
                engine.persist().unwrap();
                persisted = n;
            }
            if n % 6 == 0 {
                let image = temp_dir();
                copy(dir.path(), image.path());
                let found = rows(&*open_engine(kind, image.path()).unwrap()).unwrap();
                let count = found.iter().filter(|(key, _)| key[0] == b'n').count() as u64;
                assert!((persisted..=n).contains(&count), "{kind:?}: {count} of {n}");
                let parts: Vec<_> = found.iter().filter(|(key, _)| key[0] < 5).collect();
                assert_eq!(parts.len(), if count == 0 { 0 } else { 5 });
                assert!(parts.iter().all(|(_, v)| *v == count.to_be_bytes().repeat(100)));
            }
        }
    }
}

#[test]
fn a_crash_leaves_what_was_persisted() {
    let engine = MemoryEngine::new();
    engine.write(batch(&[("a", "1"), ("b", "1")])).unwrap();
    engine.persist().unwrap();
    let mut lost = batch(&[("a", "2"), ("c", "2")]);
    lost.delete("b");
    engine.write(lost).unwrap();
    let crashed = engine.crash();
    assert_eq!(rows(&crashed).unwrap().len(), 2);
    assert_eq!(crashed.get(b"a").unwrap(), Some(b"1".to_vec()));
    crashed.write(batch(&[("c", "3")])).unwrap();
    assert_eq!(rows(&crashed.crash()).unwrap().len(), 2);
    crashed.persist().unwrap();
    assert_eq!(rows(&crashed.crash()).unwrap().len(), 3);
}

#[test]
fn a_directory_has_one_owner_and_one_engine() {
    for kind in ON_DISK {
        let dir = temp_dir();
        let engine = open_engine(kind, dir.path()).unwrap();
        let second = open_engine(kind, dir.path()).map(drop);
        assert!(matches!(second, Err(StorageError::Locked { .. })), "{second:?}");
        drop(engine);
        let other = if kind == EngineKind::Fjall { EngineKind::Sled } else { EngineKind::Fjall };
        let second = open_engine(other, dir.path()).map(drop);
        assert!(matches!(second, Err(StorageError::OtherEngine { .. })), "{second:?}");
        open_engine(kind, dir.path()).unwrap();
    }
}

#[test]
fn a_key_that_is_too_long_is_refused_on_disk() {
    for kind in ON_DISK {
        let dir = temp_dir();
        let engine = open_engine(kind, dir.path()).unwrap();
        let mut changes = Batch::new();
        changes.put(vec![1; KEY_BYTES_MAX], [1]);
        engine.write(changes.clone()).unwrap();
        changes.put(vec![1; KEY_BYTES_MAX + 1], [1]);
        assert!(matches!(engine.write(changes), Err(StorageError::TooLarge { .. })));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Option<u16>)>),
    View,
    DropView,
    Persist,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0u8..24, proptest::option::of(0u16..2000));
    let step = prop_oneof![
        6 => proptest::collection::vec(change, 0..12).prop_map(Step::Write),
        2 => Just(Step::View),
        1 => Just(Step::DropView),
        1 => Just(Step::Persist),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..30)
}

/// Runs a history and compares every view and the engine with ordered maps.
fn run(kind: EngineKind, steps: &[Step]) {
    let dir = temp_dir();
    let mut engine = open_engine(kind, dir.path()).unwrap();
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut views: Vec<(Box<dyn View>, Rows)> = Vec::new();
    for step in steps {
        match step {
            Step::Write(changes) => {
                let mut batch = Batch::new();
                for (key, len) in changes {
                    match len {
                        Some(len) => {
                            let value = vec![*key; usize::from(*len)];
                            batch.put([*key], value.clone());
                            model.insert(vec![*key], value);
                        }
                        None => {
                            batch.delete([*key]);
                            model.remove(&vec![*key]);
                        }
                    }
                }
                engine.write(batch).unwrap();
            }
            Step::View => {
                views.push((engine.view().unwrap(), model.clone().into_iter().collect()));
            }
            Step::DropView => drop(views.pop()),
            Step::Persist => engine.persist().unwrap(),
            Step::Reopen if kind == EngineKind::Memory => {}
            Step::Reopen => {
                views.clear();
                engine.persist().unwrap();
                drop(engine);
                engine = open_engine(kind, dir.path()).unwrap();
            }
        }
        assert_eq!(rows(&*engine).unwrap(), model.clone().into_iter().collect::<Rows>());
        for (view, expected) in &views {
            assert_eq!(&view_rows(&**view, Range::all()), expected);
            for (key, value) in expected {
                assert_eq!(view.get(key).unwrap().as_ref(), Some(value));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn fjall_behaves_as_a_map(steps in steps()) {
        run(EngineKind::Fjall, &steps);
    }

    #[test]
    fn sled_behaves_as_a_map(steps in steps()) {
        run(EngineKind::Sled, &steps);
    }

    #[test]
    fn memory_behaves_as_a_map(steps in steps()) {
        run(EngineKind::Memory, &steps);
    }
}
