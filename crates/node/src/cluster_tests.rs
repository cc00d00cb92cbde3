//! Whole regions against each other: real nodes, groups and sockets, one node a region.

mod archive;
mod backups;
mod catalogue;
mod damage;
mod expiry;
mod faulty_store;
mod full_disk;
mod indexes;
mod jobs;
mod meters;
mod old_log;
mod reads;
mod region;
mod store_faults;
mod streams;
mod testing;
mod transact;

use crate::node::Node;
use meridian_api::admin::{AdminBackend, AdminCall, AdminError};
use meridian_api::backend::{Backend, ReplicaChange};
use serde_json::Value;
use std::time::Duration;
use testing::{Cluster, eventually, options};

fn list<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_region_writes_all_regions_show() {
    let cluster = Cluster::global_table(3).await;
    for region in 1..=3 {
        for n in 0..8 {
            cluster.put(region, &format!("k{region}-{n}"), &format!("from {region}")).await;
        }
    }
    for reader in 1..=3 {
        for region in 1..=3 {
            for n in 0..8 {
                cluster.shows(reader, &format!("k{region}-{n}"), &format!("from {region}")).await;
            }
        }
    }
    let lag = cluster.node(2).call(AdminCall::Lag).await.unwrap();
    assert_eq!(list(&lag, "lag").len(), 2, "{lag}");
    assert!(list(&lag, "lag").iter().all(|one| one["lag_ms"].as_u64().is_some()), "{lag}");
    // A replica goes, and the two others go on without it.
    let gone = vec![ReplicaChange::Delete("region-3".into())];
    cluster.node(1).update_replicas("t", gone).await.unwrap();
    eventually("the table is gone", async || cluster.node(3).table("t").is_none()).await;
    cluster.put(2, "after", "w").await;
    cluster.shows(1, "after", "w").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_added_late_gets_what_was_there() {
    let cluster = Cluster::start(2).await;
    cluster.make_table().await;
    for n in 0..50 {
        cluster.put(1, &format!("old-{n}"), "kept").await;
    }
    cluster.add_replica(2).await;
    for n in 0..50 {
        assert_eq!(cluster.get(2, &format!("old-{n}")).await.as_deref(), Some("kept"));
    }
    cluster.put(2, "new", "x").await;
    cluster.shows(1, "new", "x").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_region_comes_back_with_its_writes_and_its_conflicts() {
    let cluster = Cluster::global_table(3).await;
    cluster.put(1, "both", "before").await;
    cluster.shows(3, "both", "before").await;
    cluster.node(1).options.switch.set(true);
    eventually("the others notice", async || {
        !cluster.node(2).peers.link(cluster.node(1).id()).connected
    })
    .await;
    // It still takes writes of its own, as do the others.
    cluster.put(1, "stranded", "only here").await;
    cluster.put(1, "both", "in 1").await;
    // Within one millisecond the counter decides, and region 1 has written twice.
    tokio::time::sleep(Duration::from_millis(2)).await;
    cluster.put(2, "both", "in 2").await;
    cluster.shows(3, "both", "in 2").await;
    let region = || "region-1".to_owned();
    let fail = AdminCall::RegionFail { region: region(), override_epoch: None };
    let failed = cluster.node(2).call(fail).await.unwrap();
    assert_eq!(failed["state"], "Lost");
    let early = cluster.node(2).call(AdminCall::RegionRestore { region: region() }).await;
    assert!(matches!(early, Err(AdminError::Unavailable(_))), "{early:?}");

    cluster.node(1).options.switch.set(false);
    let mut restored = Value::Null;
    eventually("it is restored", async || {
        match cluster.node(3).call(AdminCall::RegionRestore { region: region() }).await {
            Ok(answer) => restored = answer,
            Err(_) => return false,
        }
        true
    })
    .await;
    let stranded = list(&restored, "stranded");
    let outcome = |key: &str| {
        let found = stranded.iter().find(|one| one["key"]["pk"]["S"] == key);
        found.map(|one| one["outcome"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(outcome("stranded").as_deref(), Some("merged"), "{restored}");
    assert_eq!(outcome("both").as_deref(), Some("overwritten"), "{restored}");
    assert_eq!(stranded.len(), 2, "{restored}");
    for reader in 1..=3 {
        cluster.shows(reader, "stranded", "only here").await;
        cluster.shows(reader, "both", "in 2").await;
        let call = AdminCall::Conflicts { table: "t".into() };
        let conflicts = cluster.node(reader).call(call).await.unwrap();
        assert_eq!(list(&conflicts, "conflicts").len(), 1, "{conflicts}");
    }
    let regions = cluster.node(3).call(AdminCall::Regions).await.unwrap();
    assert_eq!(list(&regions, "regions")[0]["state"], "Active", "{regions}");
    assert_eq!(list(&regions, "regions")[0]["epoch"], 4, "{regions}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evacuated_region_hands_every_write_over() {
    let cluster = Cluster::global_table(2).await;
    for n in 0..20 {
        cluster.put(1, &format!("k{n}"), "before").await;
    }
    let evacuate =
        |abort| AdminCall::RegionEvacuate { region: "region-1".into(), target: None, abort };
    let writing = async {
        for n in 0..40 {
            cluster.put(1, &format!("during-{n}"), "w").await;
        }
    };
    let (answer, ()) =
        futures_util::future::join(cluster.node(2).call(evacuate(false)), writing).await;
    let answer = answer.unwrap();
    assert_eq!(answer["state"], "Evacuated", "{answer}");
    assert_eq!(list(&answer, "proof").len(), 2, "{answer}");
    // What was acknowledged is there at once, and what comes now is done there.
    for n in 0..20 {
        assert_eq!(cluster.get(2, &format!("k{n}")).await.as_deref(), Some("before"));
    }
    for n in 0..40 {
        assert_eq!(cluster.get(2, &format!("during-{n}")).await.as_deref(), Some("w"));
    }
    cluster.put(1, "after", "forwarded").await;
    assert_eq!(cluster.get(2, "after").await.as_deref(), Some("forwarded"));
    let late = cluster.node(2).call(evacuate(true)).await;
    assert!(matches!(late, Err(AdminError::Refused(_))), "{late:?}");

    let back = AdminCall::RegionRestore { region: "region-1".into() };
    let back = cluster.node(1).call(back).await.unwrap();
    assert_eq!(back["state"], "Active", "{back}");
    assert_eq!(list(&back, "stranded").len(), 0, "{back}");
    eventually("it takes writes again", async || {
        let hosted = cluster.node(1).hosting.partitions();
        hosted.iter().all(|hosted| hosted.replica.marks().freeze.is_none())
    })
    .await;
    cluster.put(1, "again", "here").await;
    assert_eq!(cluster.get(1, "again").await.as_deref(), Some("here"));
    cluster.shows(2, "again", "here").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_have_one_seed_in_common_found_a_cluster() {
    let mut nodes = Vec::new();
    let mut seeds = Vec::new();
    for id in 1..=4 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        let mut options = options(id, peer.clone());
        seeds.push(peer);
        options.seeds = seeds[..1].to_vec();
        nodes.push(Node::start(options, listener).await.unwrap());
    }
    // By one that knows the seed alone; the seed knows who has called it.
    eventually("the cluster is founded", async || nodes[2].cluster_init(Some(4)).await.is_ok())
        .await;
    for node in &nodes {
        eventually("a node is ready", async || node.ready().is_ok()).await;
    }
    let again = nodes[1].cluster_init(None).await;
    assert!(matches!(again, Err(AdminError::Refused(_))), "{again:?}");
    futures_util::future::join_all(nodes.iter().map(|node| node.stop())).await;
}
