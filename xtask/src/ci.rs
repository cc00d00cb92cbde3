//! `cargo xtask ci`: everything that must pass, cheapest first; the first failure ends it.

use crate::{cargo, sim, tidy};
use anyhow::{Context, Result};
use std::time::Instant;

/// Seeds that every run checks.
const SEEDS: u64 = 200;

/// What `ci` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many simulation seeds.
    #[arg(long, default_value_t = SEEDS)]
    seeds: u64,
}

/// Runs all checks; false when one fails.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let seeds = sim::Arguments::many(arguments.seeds);
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    Ok(step("tidy", tidy::run)?
        && step("format", || call(&["fmt", "--all", "--check"]))?
        && step("lints", || call(&clippy))?
        && step("tests", || call(&["test", "--workspace", "--quiet"]))?
        && step("simulation", || sim::run(&seeds))?)
}

fn step(name: &str, check: impl FnOnce() -> Result<bool>) -> Result<bool> {
    eprintln!("-- {name}");
    let started = Instant::now();
    let passed = check()?;
    let verdict = if passed { "passed" } else { "FAILED" };
    eprintln!("-- {name}: {verdict} in {:.1} s", started.elapsed().as_secs_f64());
    Ok(passed)
}

fn call(arguments: &[&str]) -> Result<bool> {
    let status = cargo()?.args(arguments).status();
    let status = status.with_context(|| format!("cargo {} does not start", arguments.join(" ")))?;
    Ok(status.success())
}
