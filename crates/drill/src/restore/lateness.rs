//! How far the latest restorable time is behind now, as DescribeContinuousBackups and the metric of
//! the nodes tell it.
//!
//! # Invariants
//!
//! - A look counts when its answer is there, so what is told is never too little.
//! - A look without a time is no sample; it is counted.
//!
//! Tested below: the reading of the metric.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backups::latest;
use super::moment::wall;
use super::site::Site;
use crate::admin::{self, Admin};
use crate::client::Client;
use crate::record::{Clock, Nanos};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);
/// The nodes' own measure.
const METRIC: &str = "meridian_archive_lag_seconds_bucket";

/// One look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// When its answer came.
    pub at: Nanos,
    /// Now less the latest restorable time, in milliseconds; none where none was told.
    pub behind_ms: Option<f64>,
}

/// Looks again and again until it is stopped.
pub struct Lateness {
    stop: watch::Sender<bool>,
    looks: JoinHandle<Vec<Look>>,
}

impl Lateness {
    /// Starts to look.
    pub fn watch(site: &Site) -> anyhow::Result<Lateness> {
        let client = Arc::new(Client::new(&site.endpoints()?[0])?);
        let (stop, stopped) = watch::channel(false);
        let looks = tokio::spawn(look(client, site.table.clone(), site.clock, stopped));
        Ok(Lateness { stop, looks })
    }

    /// Ends it; gives the looks.
    pub async fn stop(self) -> anyhow::Result<Vec<Look>> {
        self.stop.send_replace(true);
        Ok(self.looks.await?)
    }
}

async fn look(
    client: Arc<Client>,
    table: String,
    clock: Clock,
    mut stopped: watch::Receiver<bool>,
) -> Vec<Look> {
    let mut looks = Vec::new();
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return looks,
        }
        let latest = latest(&client, &table).await;
        let now = wall().ok();
        let behind_ms = now.zip(latest).map(|(now, latest)| {
            now.saturating_sub(Duration::from_secs(latest)).as_secs_f64() * 1e3
        });
        looks.push(Look { at: clock.now(), behind_ms });
    }
}

/// The bound in seconds below which this share of the nodes' own samples lies, over all nodes; none
/// where there is no sample.
pub async fn metric(site: &Site, percent: f64) -> anyhow::Result<Option<f64>> {
    let mut counts = BTreeMap::new();
    let cluster = site.cluster()?;
    for region in &cluster.regions {
        for node in admin::of_region(&cluster, &region.name)? {
            add_counts(&page(&node).await?, &site.table, &mut counts);
        }
    }
    Ok(bound(&counts, percent))
}

async fn page(node: &Admin) -> anyhow::Result<String> {
    node.text("/metrics").await
}

/// Counts of samples by the bound that they are below, in microseconds; the highest is for all.
type Counts = BTreeMap<u64, u64>;

/// Adds the buckets of a table on one page of metrics.
fn add_counts(page: &str, table: &str, counts: &mut Counts) {
    let table = format!("table=\"{table}\"");
    for line in page.lines().filter(|line| line.starts_with(METRIC) && line.contains(&table)) {
        let Some((labels, count)) = line.rsplit_once(' ') else { continue };
        let bound = labels.split_once(",le=\"").and_then(|(_, rest)| rest.split_once('"'));
        let (Some((bound, _)), Ok(count)) = (bound, count.parse::<u64>()) else { continue };
        let micros = match bound.parse::<f64>() {
            Ok(bound) if bound.is_finite() => (bound * 1e6).round() as u64,
            Ok(_) | Err(_) => u64::MAX,
        };
        *counts.entry(micros).or_default() += count;
    }
}

fn bound(counts: &Counts, percent: f64) -> Option<f64> {
    let all = *counts.get(&u64::MAX).filter(|all| **all > 0)?;
    let wanted = percent / 100.0 * all as f64;
    let (micros, _) = counts.iter().find(|(_, count)| **count as f64 >= wanted)?;
    Some(if *micros == u64::MAX { f64::INFINITY } else { *micros as f64 / 1e6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE meridian_archive_lag_seconds histogram\n\
        meridian_archive_lag_seconds_bucket{table=\"t\",le=\"1\"} 0\n\
        meridian_archive_lag_seconds_bucket{table=\"t\",le=\"2.5\"} 98\n\
        meridian_archive_lag_seconds_bucket{table=\"t\",le=\"5\"} 100\n\
        meridian_archive_lag_seconds_bucket{table=\"t\",le=\"+Inf\"} 100\n\
        meridian_archive_lag_seconds_bucket{table=\"other\",le=\"+Inf\"} 7\n\
        meridian_archive_lag_seconds_count{table=\"t\"} 100\n";

    #[test]
    fn the_metric_tells_the_bound_of_a_share_over_all_nodes() {
        let mut counts = Counts::new();
        assert_eq!(bound(&counts, 99.0), None);
        add_counts(PAGE, "t", &mut counts);
        assert_eq!(bound(&counts, 50.0), Some(2.5));
        assert_eq!(bound(&counts, 99.0), Some(5.0));
        let far = "meridian_archive_lag_seconds_bucket{table=\"t\",le=\"+Inf\"} 50\n";
        add_counts(far, "t", &mut counts);
        assert_eq!(counts[&u64::MAX], 150);
        assert_eq!(bound(&counts, 99.0), Some(f64::INFINITY));
    }
}
