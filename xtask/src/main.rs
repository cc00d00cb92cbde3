//! The project's one door for checks: `cargo xtask ci | tidy | golden | sim`.
//!
//! Tested by running it: `cargo xtask ci` is what continuous integration calls.

mod ci;
mod golden;
mod sim;
mod tidy;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Checks of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format, lints, tests, tidy and 200 simulation seeds.
    Ci(ci::Arguments),
    /// The rules of the house: layers, sizes, names, documents.
    Tidy,
    /// The golden transcripts, in process or against a URL.
    Golden(golden::Arguments),
    /// Simulation seeds.
    Sim(sim::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Ci(arguments) => ci::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Golden(arguments) => golden::run(&arguments),
        Task::Sim(arguments) => sim::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> Result<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(PathBuf::from).context("the workspace is the parent of xtask")
}

/// The cargo that runs this.
fn cargo() -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()?);
    Ok(command)
}
