//! The command line of what `meridian admin` does with the archive and with restored tables.

use crate::cli::span;
use clap::{Args, Subcommand};
use std::time::Duration;

/// The region that does it.
#[derive(Debug, Args)]
pub struct In {
    /// Region that does it; needed where the cluster file names several.
    #[arg(long = "in", value_name = "REGION")]
    pub region: Option<String>,
}

/// What is restored.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Name or number of the table, as `archive list` shows it; with --backup, number of the backup.
    pub source: String,
    /// SOURCE is a backup.
    #[arg(long, conflicts_with = "at")]
    pub backup: bool,
    /// As of this time (2026-11-28T07:30:59Z, to the millisecond if wanted); the latest when absent.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<u64>,
    /// From the archive of this cluster, by its id.
    #[arg(long, value_name = "CLUSTER", requires = "from_region")]
    pub from_cluster: Option<String>,
    /// From the archive of this region.
    #[arg(long, value_name = "REGION")]
    pub from_region: Option<String>,
}

/// Arguments of `admin restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub from: SourceArgs,
    /// Name of the new table.
    pub to: String,
    /// With every setting that the source had then: stream, time to live, tags, policy, class,
    /// protection, recovery and the rest.
    #[arg(long)]
    pub all_settings: bool,
    #[command(flatten)]
    pub by: In,
}

/// What the archive's object store holds.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Every table and backup in it, and the times that can be brought back.
    List {
        #[command(flatten)]
        by: In,
    },
    /// Wrap every data key that an older master key wrapped with the newest.
    Rewrap {
        /// In the archive of this cluster, by its id.
        #[arg(long, value_name = "CLUSTER", requires = "from_region")]
        from_cluster: Option<String>,
        /// In the archive of this region.
        #[arg(long, value_name = "REGION")]
        from_region: Option<String>,
        #[command(flatten)]
        by: In,
    },
    /// Make again every table of a region that is gone, with all settings, under its own name.
    Rebuild(RebuildArgs),
}

/// Arguments of `admin archive rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The id of the cluster that is gone.
    #[arg(long, value_name = "CLUSTER")]
    pub from_cluster: String,
    /// The region that is gone.
    #[arg(long, value_name = "REGION")]
    pub from_region: String,
    /// As of this time; the last that all of its tables have when absent.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<u64>,
    /// Only these tables, and also those of which the archive ends earlier than the others'.
    #[arg(long, value_name = "NAME")]
    pub table: Vec<String>,
    #[command(flatten)]
    pub by: In,
}

/// Backups and the archive of tables.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Restore into a scratch table and compare item by item with the archive and the live table.
    Verify(VerifyArgs),
}

/// Arguments of `admin backup verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub from: SourceArgs,
    /// Again and again, so long after each other, until it is ended.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub every: Option<Duration>,
    #[command(flatten)]
    pub by: In,
}

/// Tables.
#[derive(Debug, Subcommand)]
pub enum TableCommand {
    /// Two tables change their names with each other, in one step.
    Swap {
        /// Name of one.
        first: String,
        /// Name of the other.
        second: String,
        #[command(flatten)]
        by: In,
    },
    /// Delete a table that is still being restored, which clients cannot; refuses any other.
    Drop {
        /// Name of the table.
        table: String,
        #[command(flatten)]
        by: In,
    },
}

/// A time as RFC 3339 writes it, in UTC; ms since the Unix epoch.
fn moment(text: &str) -> Result<u64, String> {
    let time = humantime::parse_rfc3339(text);
    let time = time.map_err(|why| format!("{text}: {why}; write 2026-11-28T07:30:59Z"))?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|why| why.to_string())?;
    u64::try_from(since.as_millis()).map_err(|why| why.to_string())
}
