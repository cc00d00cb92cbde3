//! `cargo xtask sim`: simulation seeds, on all cores; a failing seed is printed with its replay.
//!
//! # Invariants
//!
//! - The outcome of a seed does not depend on how many others run, or where.

use anyhow::{Result, bail};
use meridian_sim::{Activity, Bug, Outcome};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Failing seeds that are printed in full.
const SHOWN_MAX: usize = 3;
/// Violations of a seed that are printed.
const VIOLATIONS_SHOWN_MAX: usize = 8;

/// What `sim` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only this one, twice: it must replay.
    #[arg(long)]
    seed: Option<u64>,
    /// Plants a bug that must be found: ack-before-quorum, ack-before-fsync, fence-by-term,
    /// answers-at-once.
    #[arg(long)]
    bug: Option<String>,
    /// Prints what the program logs, such as `debug` or `meridian_node=trace`; for one seed.
    #[arg(long)]
    log: Option<String>,
}

impl Arguments {
    /// So many seeds from the first.
    pub fn many(seeds: u64) -> Arguments {
        Arguments { seeds, from: 1, seed: None, bug: None, log: None }
    }
}

/// Runs seeds; false when one fails.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let bug = match &arguments.bug {
        None => None,
        Some(name) => match Bug::from_name(name) {
            Some(bug) => Some(bug),
            None => {
                bail!("there is no bug {name}; there are {}", Bug::ALL.map(Bug::name).join(", "))
            }
        },
    };
    match arguments.seed {
        Some(seed) => Ok(one(seed, bug, arguments.log.as_deref())),
        None => Ok(many(arguments.from..arguments.from + arguments.seeds, bug)),
    }
}

fn one(seed: u64, bug: Option<Bug>, log: Option<&str>) -> bool {
    if let Some(filter) = log {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let outcome = meridian_sim::run(seed, bug);
    show(&outcome);
    println!("{}", outcome.activity);
    println!("history {:016x}", outcome.history_hash);
    if log.is_some() {
        return outcome.is_good();
    }
    let again = meridian_sim::run(seed, bug);
    if again.history_hash != outcome.history_hash {
        println!("seed {seed} does not replay: {:016x} the second time", again.history_hash);
    }
    outcome.is_good() && again == outcome
}

fn many(seeds: std::ops::Range<u64>, bug: Option<Bug>) -> bool {
    let started = Instant::now();
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let found = Mutex::new((Activity::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = meridian_sim::run(seed, bug);
                    let mut found = found.lock().expect("no holder panics");
                    found.0.add(&outcome.activity);
                    if !outcome.is_good() {
                        found.1.push(outcome);
                    }
                }
            });
        }
    });
    let (activity, mut failed) = found.into_inner().expect("no holder panics");
    failed.sort_by_key(|outcome| outcome.seed);
    failed.iter().take(SHOWN_MAX).for_each(show);
    let (count, took) = (end - seeds.start, started.elapsed().as_secs_f64());
    println!("{activity}");
    println!("{count} seeds from {} in {took:.1} s, {} failed", seeds.start, failed.len());
    if !failed.is_empty() {
        let list: Vec<String> = failed.iter().map(|outcome| outcome.seed.to_string()).collect();
        println!("failed: {}", list.join(" "));
    }
    failed.is_empty()
}

fn show(outcome: &Outcome) {
    if outcome.is_good() {
        return;
    }
    let bug = outcome.bug.map(|bug| format!(" --bug {}", bug.name())).unwrap_or_default();
    println!("seed {} FAILED; replay: cargo xtask sim --seed {}{bug}", outcome.seed, outcome.seed);
    for violation in outcome.violations.iter().take(VIOLATIONS_SHOWN_MAX) {
        println!("  {}: {}", violation.property, violation.detail);
    }
    let more = outcome.violations.len().saturating_sub(VIOLATIONS_SHOWN_MAX);
    if more > 0 {
        println!("  and {more} more");
    }
}
