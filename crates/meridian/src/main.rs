//! The one program: a node, a playground of nodes, a router, and the tools around them.
//!
//! # Invariants
//!
//! - Logs go to stderr only. With `--output json` stdout holds exactly one line of JSON.
//! - The exit status is 0 only if the thing asked for was done.
//!
//! Tested beside the code; the commands themselves by the integration tests.

mod admin;
mod archive;
mod buckets;
mod cli;
mod cluster_file;
#[cfg(test)]
mod deploy_tests;
mod dev;
mod launch;
mod output;
mod playground;
mod router;
mod run;
mod serve;
mod stores;

use clap::Parser;
use cli::{Cli, Command, Shell};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    meridian_server::process::use_small_pages();
    if let Err(error) = meridian_server::process::end_with_parent() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let output = cli.output;
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::failed(output, &error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shell = Shell { cluster: cli.cluster, output: cli.output };
    let done = runtime.block_on(perform(cli.command, shell));
    // Blocking work that is left over (a disk that hangs) must not hold the process.
    runtime.shutdown_background();
    done
}

async fn perform(command: Command, shell: Shell) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::run(&args).await?,
        Command::Serve(args) => serve::run(&args).await?,
        Command::Router(args) => router::run(&args).await?,
        Command::Playground(args) => playground::run(&args, &shell).await?,
        Command::Admin(args) => admin::run(&args, &shell).await?,
        Command::Drill(args) => return meridian_drill::run(args, shell).await,
        Command::Verify(args) => return meridian_drill::verify::run(args, shell).await,
        Command::Bench(args) => return meridian_drill::bench::run(args, shell).await,
    }
    Ok(ExitCode::SUCCESS)
}
