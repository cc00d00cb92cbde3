//! Random histories, failures and crashes over the simulated disk, against a model.
//!
//! The model is the list of records appended since the last open. After a crash, what is recovered
//! must be the state after a front part of that list which holds everything that was synced.

use super::tests::options;
use super::*;
use crate::sim_disk::SimDisk;
use proptest::prelude::*;

/// A group as the model knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    entries: BTreeMap<u64, Vec<u8>>,
    vote: Option<Vec<u8>>,
    committed: Option<Vec<u8>>,
    purged: Option<(u64, Vec<u8>)>,
}

type State = BTreeMap<u64, Group>;

fn apply(state: &mut State, record: &LogRecord) {
    let mut group = |id: &u64| std::mem::take(state.entry(*id).or_default());
    let (id, changed) = match record {
        LogRecord::Entry { group: id, index, payload, .. } => {
            let mut g = group(id);
            g.entries.split_off(index);
            g.entries.insert(*index, payload.clone());
            (id, g)
        }
        LogRecord::Vote { group: id, bytes } => {
            (id, Group { vote: Some(bytes.clone()), ..group(id) })
        }
        LogRecord::Committed { group: id, bytes } => {
            (id, Group { committed: Some(bytes.clone()), ..group(id) })
        }
        LogRecord::Truncate { group: id, from } => {
            let mut g = group(id);
            g.entries.split_off(from);
            (id, g)
        }
        LogRecord::Purge { group: id, upto, bytes } => {
            let mut g = group(id);
            if g.purged.as_ref().is_none_or(|(old, _)| old <= upto) {
                g.entries = g.entries.split_off(&(upto + 1));
                g.purged = Some((*upto, bytes.clone()));
            }
            (id, g)
        }
        LogRecord::Forget { group: id } => {
            state.remove(id);
            return;
        }
    };
    state.insert(*id, changed);
}

/// A record that fits the state: what a correct caller may append.
fn fitting(state: &State, group: u64, what: u8, size: usize, stamp: u64) -> LogRecord {
    let empty = Group::default();
    let g = state.get(&group).unwrap_or(&empty);
    let purged = g.purged.as_ref().map(|(upto, _)| *upto);
    let next = g.entries.last_key_value().map(|(last, _)| *last).or(purged).map_or(1, |l| l + 1);
    let first = purged.map_or(1, |upto| upto + 1);
    let within = first + u64::try_from(size).unwrap() % (next - first + 1);
    let mut payload = stamp.to_be_bytes().to_vec();
    payload.resize(8 + size, if what.is_multiple_of(2) { 0 } else { 0xaa });
    match what {
        0..=9 => LogRecord::Entry { group, index: next, term: stamp, payload },
        10 => LogRecord::Entry { group, index: within, term: stamp, payload },
        11 => LogRecord::Truncate { group, from: within },
        12 | 13 => LogRecord::Purge { group, upto: within.saturating_sub(1), bytes: payload },
        14 => LogRecord::Purge { group, upto: next + 3, bytes: payload },
        15 | 16 => LogRecord::Vote { group, bytes: payload },
        17 | 18 => LogRecord::Committed { group, bytes: payload },
        _ => LogRecord::Forget { group },
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u64, u8, usize)>),
    Sync,
    Trim,
    Capacity(Option<u64>),
    FailSyncs(u64),
    FailWrites,
    Kill,
    Crash(u64),
    CrashBySector(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (1u64..4, 0u8..20, 0usize..300);
    let step = prop_oneof![
        20 => proptest::collection::vec(record, 1..6).prop_map(Step::Append),
        6 => Just(Step::Sync),
        3 => Just(Step::Trim),
        1 => (1000u64..6000).prop_map(|c| Step::Capacity(Some(c))),
        2 => Just(Step::Capacity(None)),
        2 => (0u64..5).prop_map(Step::FailSyncs),
        1 => Just(Step::FailWrites),
        2 => Just(Step::Kill),
        3 => any::<u64>().prop_map(Step::Crash),
        3 => any::<u64>().prop_map(Step::CrashBySector),
    ];
    proptest::collection::vec(step, 1..60)
}

struct Run {
    disk: SimDisk,
    log: SegmentedLog,
    options: LogOptions,
    /// The state at the last open, and the records since, of which the first `synced` are durable.
    base: State,
    since: Vec<LogRecord>,
    synced: usize,
    stamp: u64,
}

impl Run {
    fn new(options: LogOptions) -> Self {
        let disk = SimDisk::default();
        let (log, _) = SegmentedLog::open(Arc::new(disk.clone()), options.clone()).unwrap();
        let (base, since) = (State::new(), Vec::new());
        Run { disk, log, options, base, since, synced: 0, stamp: 0 }
    }

    fn state_after(&self, records: usize) -> State {
        let mut state = self.base.clone();
        self.since[..records].iter().for_each(|record| apply(&mut state, record));
        // Whether a group that holds nothing is known is left open.
        state.retain(|_, group| *group != Group::default());
        state
    }

    fn append(&mut self, wanted: &[(u64, u8, usize)]) {
        let mut state = self.state_after(self.since.len());
        let mut records = Vec::new();
        for (group, what, size) in wanted {
            self.stamp += 1;
            let record = fitting(&state, *group, *what, *size, self.stamp);
            apply(&mut state, &record);
            records.push(record);
        }
        match self.log.append(&records) {
            Ok(places) => {
                for (record, place) in records.iter().zip(places) {
                    if let LogRecord::Entry { payload, .. } = record {
                        assert_eq!(&self.log.reader().read(place).unwrap(), payload);
                    }
                }
                self.since.extend(records);
            }
            Err(StorageError::Full { .. }) => {}
            Err(StorageError::Io { .. } | StorageError::Poisoned) => {
                // A failed write may have left a part of itself.
                self.since.extend(records);
                self.kill();
            }
            Err(e) => panic!("{e}"),
        }
    }

    fn settle(&mut self, done: Result<(), StorageError>) {
        match done {
            Ok(()) => self.synced = self.since.len(),
            Err(StorageError::Full { .. }) => {}
            Err(StorageError::Io { .. } | StorageError::Poisoned) => self.reopen(self.disk.kill()),
            Err(e) => panic!("{e}"),
        }
    }

    /// Ends the process and starts it again; later it may lose power, without a sync between.
    fn kill(&mut self) {
        self.reopen(self.disk.kill());
    }

    fn reopen(&mut self, disk: SimDisk) {
        disk.set_fail_syncs(false);
        disk.set_fail_writes(false);
        disk.set_capacity(None);
        let (log, groups) = SegmentedLog::open(Arc::new(disk.clone()), self.options.clone())
            .unwrap_or_else(|e| panic!("{e}"));
        let reader = log.reader();
        let found: State = groups
            .into_iter()
            .map(|(id, g)| {
                let read =
                    |(index, e): (u64, RecoveredEntry)| (index, reader.read(e.location).unwrap());
                let entries = g.entries.into_iter().map(read).collect();
                let purged = g.purged.map(|p| (p.upto, p.bytes));
                (id, Group { entries, vote: g.vote, committed: g.committed, purged })
            })
            .filter(|(_, group)| *group != Group::default())
            .collect();
        let fits = (self.synced..=self.since.len()).any(|n| self.state_after(n) == found);
        let (synced, total) = (self.synced, self.since.len());
        assert!(fits, "no state after {synced} to {total} records was found");
        self.base = found;
        self.since.clear();
        self.synced = 0;
        (self.disk, self.log) = (disk, log);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(wanted) => self.append(wanted),
            Step::Sync => {
                let done = self.log.sync();
                self.settle(done);
            }
            Step::Trim => {
                let before = self.log.segments();
                let done = self.log.trim();
                let trimmed = matches!(done, Ok(n) if n > 0);
                if trimmed {
                    self.synced = self.since.len();
                } else if let Err(e) = done {
                    self.settle(Err(e));
                }
                assert!(!trimmed || self.log.segments() <= before);
            }
            Step::Capacity(bytes) => self.disk.set_capacity(*bytes),
            Step::FailSyncs(after) => self.disk.fail_syncs_after(*after),
            Step::FailWrites => self.disk.set_fail_writes(true),
            Step::Kill => self.kill(),
            Step::Crash(seed) => {
                let mut random = random(*seed);
                self.reopen(self.disk.crash(|n| random() % (n + 1)));
            }
            Step::CrashBySector(seed) => {
                let mut random = random(*seed);
                self.reopen(self.disk.crash_by_sector(|n| random() % (n + 1)));
            }
        }
    }
}

fn random(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_was_synced_survives_and_nothing_is_invented(
        steps in steps(),
        segment_bytes in prop_oneof![Just(600u32), Just(2000), Just(100_000)],
        preallocate_bytes in prop_oneof![Just(0u32), Just(128), Just(4096)],
    ) {
        let mut run = Run::new(options(segment_bytes, preallocate_bytes));
        steps.iter().for_each(|step| run.step(step));
        run.reopen(run.disk.crash(|_| 0));
    }
}
