//! What the drill asks of recovery and backups, by DynamoDB's own operations.
//!
//! # Invariants
//!
//! - A restore counts from its first request, also where that comes too early and is repeated.
//!
//! Tested by running the drill.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::site::Site;
use crate::client::{Client, Outcome};
use crate::load::eventually;
use crate::record::{Key, Nanos};
use crate::table;

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for the archive to have its first base of every partition, or for a table to go.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(180);
/// Between two requests for a restore that came too early.
const PAUSE: Duration = Duration::from_millis(50);

/// What a table is restored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A second since the Unix epoch.
    Second(u64),
    /// The latest that can be restored.
    Latest,
}

/// When a restore was asked for, when its table was there, and when an item of it was read.
#[derive(Debug, Clone, Copy)]
pub struct Restored {
    /// The command.
    pub asked: Nanos,
    /// ACTIVE.
    pub active: Nanos,
    /// The answer to the first read.
    pub read: Nanos,
}

/// The operations of a table's recovery and backups.
pub struct Backups {
    client: Arc<Client>,
    table: String,
    patience: Duration,
}

impl Backups {
    /// Those of the drill's table, asked of the first node.
    pub fn of(site: &Site) -> anyhow::Result<Backups> {
        let endpoints = site.endpoints()?;
        let client = Client::patient(&endpoints[0], ANSWER_TIMEOUT)?;
        let (table, patience) = (site.table.clone(), site.args.patience);
        Ok(Backups { client: Arc::new(client), table, patience })
    }

    /// Turns recovery on, and waits until there is a moment that can be restored.
    pub async fn turn_on(&self) -> anyhow::Result<()> {
        let update = json!({
            "TableName": self.table,
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
        });
        self.client.must("UpdateContinuousBackups", &update).await?;
        let patience = self.patience.max(CHANGE_TIMEOUT);
        let begun =
            eventually(patience, async || latest(&self.client, &self.table).await.is_some());
        anyhow::ensure!(begun.await, "no moment can be restored after {patience:?}");
        Ok(())
    }

    /// Restores to a new table, and reads this item of it as soon as it is there.
    ///
    /// # Errors
    ///
    /// If the request is refused for another reason than coming too early, or patience ends.
    pub async fn restore(
        &self,
        site: &Site,
        target: &str,
        to: To,
        probe: Key,
    ) -> anyhow::Result<Restored> {
        let mut body = json!({ "SourceTableName": self.table, "TargetTableName": target });
        match to {
            To::Second(epoch_s) => body["RestoreDateTime"] = json!(epoch_s),
            To::Latest => body["UseLatestRestorableTime"] = json!(true),
        }
        let asked = site.clock.now();
        let deadline = Instant::now() + self.patience;
        loop {
            match self.client.call("RestoreTableToPointInTime", &body).await {
                Outcome::Ok(_) => break,
                Outcome::Failed { code, .. }
                    if code == "InvalidRestoreTimeException" && Instant::now() < deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                Outcome::Failed { code, body } => anyhow::bail!("the restore: {code}: {body}"),
                Outcome::Unknown(why) => anyhow::bail!("the restore: {why}"),
            }
        }
        table::await_active(&self.client, target, self.patience).await?;
        let active = site.clock.now();
        let key = json!({ "pk": { "S": probe.to_string() } });
        let get = json!({ "TableName": target, "Key": key, "ConsistentRead": true });
        let served = async || matches!(self.client.call("GetItem", &get).await, Outcome::Ok(_));
        let read = eventually(self.patience, served).await;
        anyhow::ensure!(read, "table {target} is ACTIVE and cannot be read");
        Ok(Restored { asked, active, read: site.clock.now() })
    }

    /// Makes a backup on demand, and returns its ARN when it is AVAILABLE.
    pub async fn back_up(&self, name: &str) -> anyhow::Result<String> {
        let create = json!({ "TableName": self.table, "BackupName": name });
        let answer = self.client.must("CreateBackup", &create).await?;
        let arn = answer["BackupDetails"]["BackupArn"].as_str().context("a backup without ARN")?;
        let describe = json!({ "BackupArn": arn });
        let there = eventually(self.patience, async || {
            match self.client.call("DescribeBackup", &describe).await {
                Outcome::Ok(answer) => {
                    answer["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE"
                }
                Outcome::Failed { .. } | Outcome::Unknown(_) => false,
            }
        });
        anyhow::ensure!(there.await, "backup {arn} was not AVAILABLE in {:?}", self.patience);
        Ok(arn.to_owned())
    }

    /// Deletes a backup.
    pub async fn delete_backup(&self, arn: &str) -> anyhow::Result<()> {
        self.client.must("DeleteBackup", &json!({ "BackupArn": arn })).await.map(drop)
    }

    /// Deletes a restored table, and waits until it is gone.
    pub async fn delete_table(&self, target: &str) -> anyhow::Result<()> {
        let body = json!({ "TableName": target });
        self.client.must("DeleteTable", &body).await?;
        let gone = async || match self.client.call("DescribeTable", &body).await {
            Outcome::Failed { code, .. } => code == "ResourceNotFoundException",
            Outcome::Ok(_) | Outcome::Unknown(_) => false,
        };
        let gone = eventually(CHANGE_TIMEOUT, gone).await;
        anyhow::ensure!(gone, "table {target} was not gone in {CHANGE_TIMEOUT:?}");
        Ok(())
    }
}

/// The latest second of a table that can be restored, since the Unix epoch; none while there is none.
pub async fn latest(client: &Client, table: &str) -> Option<u64> {
    match client.call("DescribeContinuousBackups", &json!({ "TableName": table })).await {
        Outcome::Ok(answer) => latest_of(&answer),
        Outcome::Failed { .. } | Outcome::Unknown(_) => None,
    }
}

fn latest_of(answer: &Value) -> Option<u64> {
    let description = &answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    // Seconds, whole or not, as the service writes them.
    let latest = description["LatestRestorableDateTime"].as_f64().filter(|at| *at >= 0.0)?;
    Some(latest as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_second_is_read_where_there_is_one() {
        let answer = |shown: Value| json!({ "ContinuousBackupsDescription": { "PointInTimeRecoveryDescription": shown } });
        assert_eq!(latest_of(&answer(json!({ "LatestRestorableDateTime": 17 }))), Some(17));
        assert_eq!(latest_of(&answer(json!({ "LatestRestorableDateTime": 17.9 }))), Some(17));
        assert_eq!(latest_of(&answer(json!({ "PointInTimeRecoveryStatus": "ENABLED" }))), None);
    }
}
