//! Replication lag as a client sees it: a marker is written through the router and looked for in
//! every region.
//!
//! # Invariants
//!
//! - Only acknowledged markers are looked for, and the lag counts from the acknowledgement.
//! - The region that took the write is not distinguished: it shows the marker at once, and a sample
//!   is the longest wait of any region that shows it.
//!
//! Tested by `rehearsal.rs`, the choice of samples below.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::client::{Client, Outcome};
use crate::cluster::Cluster;
use crate::record::{Clock, Nanos};
use crate::report::LagSample;

/// Between two markers.
const MARKER_PERIOD: Duration = Duration::from_millis(200);
/// Between two looks for a marker.
const LOOK_PERIOD: Duration = Duration::from_millis(4);
/// Between two looks at a region that does not answer.
const SILENT_PERIOD: Duration = Duration::from_millis(200);
/// Markers that are looked for at once; older ones are given up.
const MARKERS_MAX: usize = 64;
/// Key of the marker's item; no key of a drill's load.
const MARKER_KEY: &str = "lag";

#[derive(Debug, Clone, Copy)]
struct Marker {
    number: u64,
    written: Nanos,
}

type Waits = Arc<Mutex<BTreeMap<Nanos, Nanos>>>;

/// A running measurement.
pub struct LagProbe {
    /// Longest wait by time of writing.
    waits: Waits,
    _tasks: JoinSet<()>,
}

impl LagProbe {
    /// Starts writing and looking for markers.
    pub fn start(
        clock: Clock,
        cluster: &Cluster,
        table: &str,
        first: u64,
    ) -> anyhow::Result<LagProbe> {
        let waits = Waits::default();
        let mut tasks = JoinSet::new();
        let (markers, _) = broadcast::channel(MARKERS_MAX);
        for region in &cluster.regions {
            let clients =
                region.endpoints.iter().map(|url| Client::new(url)).collect::<Result<_, _>>()?;
            let looker = Looker { clock, clients, table: table.to_owned(), waits: waits.clone() };
            tasks.spawn(looker.run(markers.subscribe()));
        }
        let router = Client::new(&cluster.router)?;
        tasks.spawn(write_markers(clock, router, table.to_owned(), first, markers));
        Ok(LagProbe { waits, _tasks: tasks })
    }

    /// Ends the measurement.
    pub fn finish(self) -> Vec<LagSample> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.iter().map(|(written, lag)| LagSample { written: *written, lag: *lag }).collect()
    }
}

/// The samples of the steady state: written from `from` on, and shown everywhere before `fault`. A
/// marker that the fault overtook is a stranded write; it counts as shown only when the new region's
/// markers are.
pub fn steady(
    samples: &[LagSample],
    (from, fault): (Nanos, Nanos),
) -> impl Iterator<Item = &LagSample> {
    let shown_by = |sample: &LagSample| sample.written.saturating_add(sample.lag);
    samples.iter().filter(move |sample| sample.written >= from && shown_by(sample) <= fault)
}

async fn write_markers(
    clock: Clock,
    router: Client,
    table: String,
    first: u64,
    markers: broadcast::Sender<Marker>,
) {
    let mut ticks = tokio::time::interval(MARKER_PERIOD);
    for number in first.. {
        ticks.tick().await;
        let body = json!({
            "TableName": table,
            "Item": { "pk": { "S": MARKER_KEY }, "n": { "N": number.to_string() } },
        });
        if let Outcome::Ok(_) = router.call("PutItem", &body).await {
            // An error means that no region is looked at, which is as good as an answer.
            let _ = markers.send(Marker { number, written: clock.now() });
        }
    }
}

struct Looker {
    clock: Clock,
    clients: Vec<Client>,
    table: String,
    waits: Waits,
}

impl Looker {
    async fn run(self, mut markers: broadcast::Receiver<Marker>) {
        let mut wanted: VecDeque<Marker> = VecDeque::new();
        let mut node = 0;
        loop {
            if wanted.is_empty() {
                match markers.recv().await {
                    Ok(marker) => wanted.push_back(marker),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
            while let Ok(marker) = markers.try_recv() {
                wanted.push_back(marker);
            }
            if wanted.len() > MARKERS_MAX {
                wanted.pop_front();
            }
            match self.look(&self.clients[node % self.clients.len()]).await {
                Some(shown) => {
                    self.note(&mut wanted, shown);
                    tokio::time::sleep(LOOK_PERIOD).await;
                }
                None => {
                    // What is written while a region is away says nothing about its lag.
                    wanted.clear();
                    node += 1;
                    tokio::time::sleep(SILENT_PERIOD).await;
                }
            }
        }
    }

    /// The number of the marker that the region shows.
    async fn look(&self, client: &Client) -> Option<u64> {
        let body = json!({
            "TableName": self.table,
            "Key": { "pk": { "S": MARKER_KEY } },
        });
        match client.call("GetItem", &body).await {
            Outcome::Ok(answer) => Some(
                answer["Item"]["n"]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
            ),
            Outcome::Failed { .. } | Outcome::Unknown(_) => None,
        }
    }

    fn note(&self, wanted: &mut VecDeque<Marker>, shown: u64) {
        let now = self.clock.now();
        while let Some(marker) = wanted.front().copied().filter(|one| one.number <= shown) {
            wanted.pop_front();
            let lag = now.saturating_sub(marker.written);
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            let longest = waits.entry(marker.written).or_insert(0);
            *longest = (*longest).max(lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_the_fault_overtook_says_nothing_of_the_steady_state() {
        let sample = |written, lag| LagSample { written, lag };
        // A cold start; two of the steady state; a stranded one; one of the new region.
        let samples =
            [sample(1, 9), sample(20, 5), sample(40, 60), sample(98, 1_200), sample(120, 5)];
        let found: Vec<Nanos> = steady(&samples, (10, 100)).map(|one| one.written).collect();
        assert_eq!(found, [20, 40]);
    }
}
