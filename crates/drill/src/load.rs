//! Open-loop load through one endpoint, recorded call by call.
//!
//! Each client begins its calls at fixed times, whatever became of the earlier ones, and writes and
//! reads in turn. Latency counts from the intended start.
//!
//! # Invariants
//!
//! - Every write has a value of its own for ever, also over the trials of a drill.
//! - No call is repeated.
//!
//! Tested below against a scripted endpoint; the bookkeeping by `rpo_rto/tests.rs`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::items::{self, Call};
use crate::record::{Asked, Clock, Fate, Key, Nanos, Record, Seen, Write};

/// Hot keys of each client.
const HOT_SLOTS: u16 = 4;
/// Keys that a client remembers to read again.
const RECENT_KEYS_MAX: usize = 64;

/// Which keys the load touches.
#[derive(Debug, Clone, Copy)]
pub enum Mix {
    /// Each client writes keys of its own: new ones, and this share of hot ones again and again.
    Own {
        /// Share of hot writes, in hundredths.
        hot_percent: u8,
    },
    /// All clients write and read the same keys.
    Pool {
        /// How many keys.
        keys: u32,
        /// Share of conditional writes, in hundredths.
        conditional_percent: u8,
    },
    /// All clients write, delete and read the same keys, without conditions.
    Items {
        /// How many keys.
        keys: u32,
        /// Share of deletes among the writes, in hundredths.
        delete_percent: u8,
    },
}

/// What the load does.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The table.
    pub table: String,
    /// Writes a second and reads a second, each.
    pub rate: f64,
    /// Clients that share the rate.
    pub clients: u16,
    /// Padding of each item, in bytes.
    pub item_bytes: usize,
    /// Which keys.
    pub mix: Mix,
}

/// What lives on from one trial to the next: the sequences, and what is known of the pool.
pub struct Writers {
    next: Vec<AtomicU32>,
    pool: Vec<Mutex<Option<Write>>>,
}

impl Writers {
    /// Sequences for so many clients and contents for so many pool keys.
    pub fn new(clients: u16, pool_keys: u32) -> Writers {
        Writers {
            next: (0..clients).map(|_| AtomicU32::new(1)).collect(),
            pool: (0..pool_keys).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// The next write of a client.
    pub fn next(&self, client: u16) -> Write {
        let sequence = self.next[usize::from(client)].fetch_add(1, Ordering::Relaxed);
        Write { client, sequence }
    }

    fn known(&self, key: Key) -> Option<Write> {
        self.slot(key).and_then(|slot| *slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a pool key holds, for conditions to come.
    pub fn note(&self, key: Key, content: Option<Write>) {
        if let Some(slot) = self.slot(key) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = content;
        }
    }

    fn slot(&self, key: Key) -> Option<&Mutex<Option<Write>>> {
        match key {
            Key::Pool(number) => self.pool.get(usize::try_from(number).ok()?),
            Key::Cold(_) | Key::Hot { .. } => None,
        }
    }
}

type Records = Arc<Mutex<Vec<Record>>>;

/// A running load.
pub struct Load {
    records: Vec<Records>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts the clients.
    pub fn start(
        clock: Clock,
        profile: &Profile,
        url: &str,
        writers: &Arc<Writers>,
        seed: u64,
    ) -> anyhow::Result<Load> {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let mut records = Vec::new();
        let began = clock.now();
        // One write and one read in each period of two calls.
        let period = f64::from(profile.clients) / (2.0 * profile.rate) * 1e9;
        for number in 0..profile.clients {
            let mine = Records::default();
            records.push(mine.clone());
            let shift = period * f64::from(number) / f64::from(profile.clients);
            let client = LoadClient {
                number,
                clock,
                profile: profile.clone(),
                dynamo: Arc::new(Client::new(url)?),
                writers: writers.clone(),
                records: mine,
                recent: Arc::default(),
            };
            let random = StdRng::seed_from_u64(seed ^ u64::from(number));
            let schedule = Schedule { began, shift, period };
            clients.spawn(client.run(schedule, random, stopped.clone()));
        }
        Ok(Load { records, stop, clients })
    }

    /// All calls that have ended so far.
    pub fn records(&self) -> Vec<Record> {
        let mut all = Vec::new();
        for records in &self.records {
            all.extend_from_slice(&records.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }

    /// Calls begun at or after `from` that have been served so far.
    pub fn served_since(&self, from: Nanos) -> usize {
        self.records
            .iter()
            .map(|records| {
                let records = records.lock().unwrap_or_else(PoisonError::into_inner);
                let ended_since = records.iter().rev().take_while(|record| record.ended >= from);
                ended_since.filter(|record| record.started >= from && record.served()).count()
            })
            .sum()
    }

    /// Stops beginning calls, waits for those under way, and returns everything.
    pub async fn finish(mut self) -> Vec<Record> {
        self.stop.send_replace(true);
        while self.clients.join_next().await.is_some() {}
        self.records()
    }
}

struct Schedule {
    began: Nanos,
    /// Nanoseconds.
    shift: f64,
    /// Nanoseconds.
    period: f64,
}

impl Schedule {
    fn at(&self, call: u64) -> Nanos {
        self.began + (self.shift + self.period * call as f64) as Nanos
    }
}

#[derive(Clone)]
struct LoadClient {
    number: u16,
    clock: Clock,
    profile: Profile,
    dynamo: Arc<Client>,
    writers: Arc<Writers>,
    records: Records,
    /// Keys that this client wrote lately.
    recent: Arc<Mutex<VecDeque<Key>>>,
}

impl LoadClient {
    async fn run(self, schedule: Schedule, mut random: StdRng, mut stopped: watch::Receiver<bool>) {
        let me = Arc::new(self);
        let mut calls = JoinSet::new();
        for number in 0.. {
            let intended = schedule.at(number);
            let wait = tokio::time::sleep_until(me.clock.instant(intended).into());
            tokio::select! {
                () = wait => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            let (key, asked) = me.next_call(number % 2 == 0, &mut random);
            calls.spawn(me.clone().perform(key, asked, intended));
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    fn next_call(&self, writes: bool, random: &mut StdRng) -> (Key, Asked) {
        match (self.profile.mix, writes) {
            (Mix::Own { hot_percent }, true) => {
                let new = self.writers.next(self.number);
                let hot = random.random_range(0..100) < hot_percent;
                let slot = u16::try_from(new.sequence % u32::from(HOT_SLOTS)).unwrap_or(0);
                let own = Key::Hot { client: self.number, slot };
                (if hot { own } else { Key::Cold(new) }, Asked::Put(new))
            }
            (Mix::Own { .. }, false) => (self.recent_key(random), Asked::Get),
            (Mix::Pool { keys, .. } | Mix::Items { keys, .. }, false) => {
                (Key::Pool(random.random_range(0..keys.max(1))), Asked::Get)
            }
            (Mix::Pool { keys, conditional_percent }, true) => {
                let key = Key::Pool(random.random_range(0..keys.max(1)));
                let new = self.writers.next(self.number);
                if random.random_range(0..100) < conditional_percent {
                    (key, Asked::PutIf { expected: self.writers.known(key), new })
                } else {
                    (key, Asked::Put(new))
                }
            }
            (Mix::Items { keys, delete_percent }, true) => {
                let key = Key::Pool(random.random_range(0..keys.max(1)));
                if random.random_range(0..100) < delete_percent {
                    (key, Asked::Delete)
                } else {
                    (key, Asked::Put(self.writers.next(self.number)))
                }
            }
        }
    }

    fn recent_key(&self, random: &mut StdRng) -> Key {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match recent.len() {
            0 => Key::Hot { client: self.number, slot: 0 },
            count => recent[random.random_range(0..count)],
        }
    }

    async fn perform(self: Arc<Self>, key: Key, asked: Asked, intended: Nanos) {
        let started = self.clock.now();
        let call = Call { table: &self.profile.table, key, item_bytes: self.profile.item_bytes };
        let (fate, seen) = items::perform(&self.dynamo, &call, asked).await;
        let record = Record {
            client: self.number,
            key,
            asked,
            fate,
            seen,
            intended,
            started,
            ended: self.clock.now(),
        };
        self.learn(&record);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    fn learn(&self, record: &Record) {
        match (record.fate, record.asked, record.seen) {
            (Fate::Ok, Asked::Put(new) | Asked::PutIf { new, .. }, _) => {
                self.writers.note(record.key, Some(new));
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.push_back(record.key);
                if recent.len() > RECENT_KEYS_MAX {
                    recent.pop_front();
                }
            }
            (Fate::Ok | Fate::Refused, _, Seen::Content(content)) => {
                self.writers.note(record.key, content);
            }
            (Fate::Ok | Fate::Refused | Fate::Failed | Fate::Unknown, ..) => {}
        }
    }
}

/// Waits until `check` holds, asking every few milliseconds; false at the deadline.
pub async fn eventually(limit: Duration, mut check: impl AsyncFnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if check().await {
            return true;
        }
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, serve};

    fn profile(mix: Mix) -> Profile {
        Profile { table: "t".into(), rate: 200.0, clients: 4, item_bytes: 10, mix }
    }

    async fn records(mix: Mix, script: Script, calls: usize) -> Vec<Record> {
        let url = serve(script).await;
        let writers = Arc::new(Writers::new(4, 8));
        let load = Load::start(Clock::start(), &profile(mix), &url, &writers, 1).unwrap();
        let enough = eventually(Duration::from_secs(20), async || load.records().len() >= calls);
        assert!(enough.await, "{} calls", load.records().len());
        load.finish().await
    }

    #[tokio::test]
    async fn every_write_has_a_value_of_its_own() {
        let records = records(Mix::Own { hot_percent: 30 }, Script::Remembers, 200).await;
        let mut writes: Vec<Write> = records.iter().filter_map(Record::write).collect();
        let all = writes.len();
        assert!(all >= 90);
        writes.sort_unstable();
        writes.dedup();
        assert_eq!(writes.len(), all);
        assert!(records.iter().all(|one| one.fate == Fate::Ok && one.started >= one.intended));
    }

    #[tokio::test]
    async fn a_silent_endpoint_does_not_slow_the_schedule() {
        let records = records(Mix::Own { hot_percent: 0 }, Script::Silent, 100).await;
        assert!(records.iter().all(|one| one.fate == Fate::Unknown));
        let mut intended: Vec<Nanos> = records.iter().map(|one| one.intended).collect();
        intended.sort_unstable();
        // 400 calls a second: a hundred of them span a quarter of a second although none answered.
        assert!(intended[99] - intended[0] < 300_000_000);
    }

    #[tokio::test]
    async fn a_pool_is_read_and_written_with_conditions() {
        let mix = Mix::Pool { keys: 8, conditional_percent: 50 };
        let records = records(mix, Script::Remembers, 300).await;
        let conditional = |one: &&Record| matches!(one.asked, Asked::PutIf { .. });
        assert!(records.iter().filter(conditional).any(|one| one.fate == Fate::Ok));
        let mut keys = std::collections::BTreeMap::new();
        for record in &records {
            keys.entry(record.key).or_insert((None, Vec::new())).1.push(record.operation());
        }
        assert_eq!(meridian_checker::check_keys(&keys), std::collections::BTreeMap::new());
    }
}
