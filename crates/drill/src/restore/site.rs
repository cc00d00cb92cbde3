//! Where the drill of a restore takes place, and what lives on between its trials.
//!
//! # Invariants
//!
//! - No call on an item of the table is left out of the ledger.
//!
//! Tested by running the drill.

use std::sync::Arc;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::args::RestoreArgs;
use super::bulk::{Bulk, Deed};
use super::ledger::Ledger;
use crate::args::Shell;
use crate::cluster::Cluster;
use crate::load::{Load, Mix, Profile, Writers};
use crate::playground::{Ground, Shape};
use crate::progress::Progress;
use crate::record::{Clock, Key, Record};
use crate::table;

/// The region of the playground.
const REGION: &str = "us-east-1";
/// Share of deletes among the writes of the load, in hundredths.
const DELETE_PERCENT: u8 = 10;
/// Batches that the drill has under way at once while it fills the table; the bad program has one, as
/// it is to damage the data and not to overload the nodes.
const FILLING_BATCHES: usize = 8;
/// Steps of the progress bar that a trial, or a pair, has at most.
pub const STEPS_PER_TRIAL: u64 = 8;
/// Steps before the first trial.
pub const STEPS_BEFORE: u64 = 3;

/// Where the drill takes place.
pub struct Site {
    /// The clock of everything that is measured.
    pub clock: Clock,
    /// The cluster's file and, if it was started here, its process.
    pub ground: Ground,
    /// What was asked for.
    pub args: RestoreArgs,
    /// Name of the table.
    pub table: String,
    /// The seed of everything random here.
    pub seed: u64,
    /// Randomness from the seed.
    pub random: StdRng,
    /// What the clients know of every item.
    pub ledger: Ledger,
    /// The bar.
    pub progress: Progress,
    writers: Arc<Writers>,
}

impl Site {
    /// Starts a playground of one region, or uses the cluster that is there.
    pub async fn open(args: &RestoreArgs, shell: &Shell) -> anyhow::Result<Site> {
        let seed = args.seed.unwrap_or_else(|| rand::rng().random());
        let parts = u64::from(args.trials) + u64::from(args.pairs);
        let progress = Progress::new(parts * STEPS_PER_TRIAL + STEPS_BEFORE);
        progress.say(&format!("seed {seed}"));
        progress.step("starting the cluster");
        let shape = Shape {
            regions: vec![REGION.to_owned()],
            nodes_per_region: args.nodes_per_region,
            latency_ms: 0,
            engine: args.engine.clone(),
            data_dir: args.data_dir.clone(),
            partitions: Some(args.partitions),
            restore_bytes_per_s_max: args.restore_bytes_per_s_max,
        };
        let ground = Ground::open(shell.cluster.as_deref(), &shape).await?;
        Ok(Site {
            clock: Clock::start(),
            ground,
            args: args.clone(),
            table: format!("drill-{seed:016x}"),
            seed,
            random: StdRng::seed_from_u64(seed),
            ledger: Ledger::new(args.items),
            progress,
            // The drill itself and the bad program are two clients more.
            writers: Arc::new(Writers::new(args.clients + 2, 0)),
        })
    }

    /// The cluster as its file describes it now.
    pub fn cluster(&self) -> anyhow::Result<Cluster> {
        let secret = self.args.cluster_secret_file.as_deref();
        Cluster::read_with(&self.ground.file, secret)
    }

    /// The client URLs of the nodes of the region.
    pub fn endpoints(&self) -> anyhow::Result<Vec<String>> {
        let region = self.cluster()?.regions.into_iter().next().context("no region")?;
        anyhow::ensure!(!region.endpoints.is_empty(), "a region without endpoint");
        Ok(region.endpoints)
    }

    /// Makes the table and gives every item its first content.
    pub async fn fill(&mut self) -> anyhow::Result<()> {
        let region = self.cluster()?.regions.into_iter().next().context("no region")?.name;
        self.progress.say(&format!("table {} in {region}", self.table));
        table::prepare(&self.cluster()?, &region, &self.table, 0).await?;
        self.progress.step("writing the items");
        self.mend((0..self.args.items).map(Key::Pool)).await
    }

    /// Gives these items contents of the drill's; no other call may be under way.
    pub async fn mend(&mut self, keys: impl Iterator<Item = Key>) -> anyhow::Result<()> {
        let deeds: Vec<(Key, Deed)> = keys.map(|key| (key, Deed::Put)).collect();
        let records =
            self.bulk(self.args.clients)?.parallel(FILLING_BATCHES).perform(deeds).await?;
        self.note(&records);
        self.ledger.settle();
        Ok(())
    }

    /// Does what the bad program does to these items; the calls are not in the ledger yet.
    pub async fn damage(&self, keys: &[Key]) -> anyhow::Result<Vec<Record>> {
        let deeds = keys.iter().zip([Deed::Put, Deed::Delete].into_iter().cycle());
        let deeds = deeds.map(|(key, deed)| (*key, deed)).collect();
        self.bulk(self.args.clients + 1)?.perform(deeds).await
    }

    fn bulk(&self, client: u16) -> anyhow::Result<Bulk> {
        let writers = Arc::clone(&self.writers);
        let (table, item_bytes) = (self.table.clone(), self.args.item_bytes);
        Bulk::new(&self.endpoints()?, table, item_bytes, writers, (client, self.clock))
    }

    /// Notes calls in the ledger.
    pub fn note(&mut self, records: &[Record]) {
        records.iter().for_each(|record| self.ledger.note(record));
    }

    /// Starts the load, of which `number` makes the seed.
    pub fn load(&self, number: u32) -> anyhow::Result<Load> {
        let profile = Profile {
            table: self.table.clone(),
            rate: self.args.rate,
            clients: self.args.clients,
            item_bytes: self.args.item_bytes,
            mix: Mix::Items { keys: self.args.items, delete_percent: DELETE_PERCENT },
        };
        let seed = self.seed.wrapping_add(u64::from(number) << 32);
        Load::start(self.clock, &profile, &self.cluster()?.router, &self.writers, seed)
    }

    /// Ends the drill.
    pub async fn close(self) {
        self.progress.end();
        self.ground.stop().await;
    }
}
