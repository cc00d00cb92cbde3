//! One run: a cluster comes up, faults run while clients call, everything heals, and then it must
//! serve again.

use crate::bug::Bug;
use crate::clients::{Audience, Client};
use crate::cluster::{Cluster, NODES};
use crate::disk;
use crate::faults::Faults;
use crate::history::Histories;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::properties;
use meridian_raft::rt::{self, Panicked, Process};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a cluster may take to have its first leader.
const BOOT_LIMIT: Duration = Duration::from_secs(20);
/// How long a client insists once everything is healed: the bound of the liveness property.
const HEALED_PATIENCE: Duration = Duration::from_secs(10);
/// How long the replicas may take to be equal once everything is healed.
const CONVERGE_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a condition that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Runs one seed.
pub fn run(seed: u64, bug: Option<Bug>) -> Outcome {
    let plan = Plan::of(seed, bug);
    disk::set_sync_ms_max(plan.sync_ms_max);
    rt::simulate(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets can be made");
    let cluster = runtime.block_on(async {
        let cluster = Cluster::new(seed, &plan, bug);
        tokio::spawn(rt::conduct());
        let world = rt::spawn_in(Process::default(), world(Arc::clone(&cluster), plan, seed));
        // A panic of the world itself is among the panics.
        let _ = world.await;
        cluster
    });
    drop(runtime);
    let panics = rt::stop_simulation();
    let mut record = std::mem::take(&mut *cluster.recorder.lock());
    for Panicked { process, message } in panics {
        let detail = format!("process {}: {message}", process.0);
        record.violation("no-panic", detail);
    }
    properties::check(&mut record);
    Outcome::of(seed, bug, record)
}

async fn world(cluster: Arc<Cluster>, plan: Plan, seed: u64) {
    let audience = Arc::new(Audience {
        cluster: Arc::clone(&cluster),
        plan,
        started: rt::now(),
        seen: Mutex::new(vec![None; usize::try_from(plan.keys).unwrap_or(0)]),
        stop: AtomicBool::new(false),
    });
    cluster.recorder.lock().histories = Histories::of(plan.keys);
    if !boot(&cluster).await {
        return cluster.recorder.violation("liveness", "no leader after the first start".into());
    }
    let patience = Duration::from_millis(plan.patience_ms);
    let mut clients = Vec::new();
    for number in 1..=plan.clients {
        let client = Client::new(Arc::clone(&audience), seed, number, patience);
        clients.push(rt::spawn(client.run()));
    }
    let mut faults = Faults::new(Arc::clone(&cluster), plan, seed);
    faults.run().await;
    faults.heal();
    audience.stop.store(true, Ordering::Relaxed);
    for client in clients {
        // A client that panicked is among the panics.
        let _ = client.await;
    }
    aftermath(&audience, seed).await;
}

/// Starts every node and gives the group its voters.
async fn boot(cluster: &Arc<Cluster>) -> bool {
    for node in NODES {
        cluster.start(node);
    }
    let all = || cluster.serving().len() == NODES.len();
    if !until(BOOT_LIMIT, all).await {
        return false;
    }
    let Some(first) = cluster.net.endpoint(NODES[0]) else { return false };
    let group = first.hosted.group.clone();
    rt::spawn_in(first.life.process(), async move { group.initialize(&NODES).await });
    until(BOOT_LIMIT, || cluster.leader().is_some()).await
}

/// Waits until something holds; false when it does not in time.
async fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = rt::now() + limit;
    while !holds() {
        if rt::now() >= deadline {
            return false;
        }
        rt::sleep(LOOK).await;
    }
    true
}

/// After healing: every key takes a write and a read in time, and the replicas become equal.
async fn aftermath(audience: &Arc<Audience>, seed: u64) {
    let cluster = &audience.cluster;
    let mut client = Client::new(Arc::clone(audience), seed, 900, HEALED_PATIENCE);
    for key in 0..audience.plan.keys {
        client.get(key).await;
        properties::live::note_final(&mut cluster.recorder.lock(), key);
        client.write(key, false).await;
        properties::live::note_write(&mut cluster.recorder.lock(), key);
        client.get(key).await;
        properties::live::note_final(&mut cluster.recorder.lock(), key);
    }
    let equal = until(CONVERGE_LIMIT, || {
        let applied = NODES.map(|node| match cluster.net.endpoint(node) {
            Some(endpoint) => endpoint.hosted.replica.lock().applied(),
            None => None,
        });
        applied[0].is_some() && applied.iter().all(|at| *at == applied[0])
    });
    if !equal.await {
        let states = NODES.map(|node| {
            let endpoint = cluster.net.endpoint(node);
            endpoint.map(|e| (e.hosted.group.status(), e.hosted.replica.lock().applied()))
        });
        let detail = format!("the replicas do not become equal: {states:?}");
        cluster.recorder.violation("liveness", detail);
    }
    for node in NODES {
        if let Some(endpoint) = cluster.net.endpoint(node)
            && !endpoint.hosted.group.status().running
        {
            let detail = format!("the replica of node {node} stopped, its process did not");
            cluster.recorder.violation("liveness", detail);
        }
    }
}
