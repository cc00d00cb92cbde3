//! Who is spoken to.

use bytes::Bytes;
use meridian_base::NodeId;

use super::{PATIENCE, TWO, config, connected, pair, until};
use crate::{CallError, ClusterId, Kind, PeerConfig, Secret};

fn with_secret(node: u64, secret: &str) -> PeerConfig {
    PeerConfig { secret: Some(Secret::new(secret).unwrap()), ..config(node, "a") }
}

const RIGHT: &str = "the right secret of it";
const WRONG: &str = "the wrong secret of it";

/// Node 1 is refused, by either side, with a reason that says this.
async fn refused(one: PeerConfig, two: PeerConfig, says: &str) {
    let pair = pair(one, two).await;
    let addr = pair.server.local_addr().to_string();
    let answer = pair.peers.call_addr(&addr, Kind::Item, Bytes::new(), PATIENCE).await;
    let Err(CallError::Refused(reason)) = answer else { panic!("{answer:?}") };
    assert!(reason.contains(says), "{reason}");
    let problem = || pair.peers.link(TWO).problem.unwrap_or_default();
    until("the link says so", || problem().contains(says)).await;
    let call = pair.peers.call(TWO, Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(call, Err(CallError::NotSent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_the_same_secret_speak() {
    let pair = pair(with_secret(1, RIGHT), with_secret(2, RIGHT)).await;
    let answer = pair.peers.call(TWO, Kind::Item, Bytes::from("hi"), PATIENCE).await;
    assert_eq!(answer.unwrap(), "hi");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_or_missing_secret_is_refused() {
    refused(with_secret(1, WRONG), with_secret(2, RIGHT), "the peer has another one").await;
    refused(with_secret(1, RIGHT), config(2, "a"), "the peer has no cluster secret").await;
    refused(config(1, "a"), with_secret(2, RIGHT), "secret is wrong or missing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_another_cluster_are_refused() {
    let (one, two) = (config(1, "a"), config(2, "a"));
    one.identity.set_cluster(ClusterId(1));
    two.identity.set_cluster(ClusterId(2));
    refused(one, two, "belongs to cluster").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_not_joined_speaks_with_members() {
    let two = config(2, "a");
    two.identity.set_cluster(ClusterId(2));
    let pair = pair(config(1, "a"), two).await;
    connected(&pair.peers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_at_the_address_is_not_taken_for_the_peer() {
    let pair = pair(config(1, "a"), config(3, "a")).await;
    let problem = || pair.peers.link(TWO).problem.unwrap_or_default();
    until("the link says so", || problem().contains("node 3 answers here, not node 2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_id_of_this_one_is_refused() {
    let pair = pair(config(3, "a"), config(3, "a")).await;
    let addr = pair.server.local_addr().to_string();
    let answer = pair.peers.call_addr(&addr, Kind::Item, Bytes::new(), PATIENCE).await;
    let Err(CallError::Refused(reason)) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("another one uses its id"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_learns_its_id_speaks_under_it() {
    let one = config(0, "a");
    let identity = one.identity.clone();
    let pair = pair(one, config(2, "a")).await;
    let who = || pair.peers.call(TWO, Kind::Control, Bytes::new(), PATIENCE);
    assert_eq!(who().await.unwrap(), "0");
    identity.set_node(NodeId(1));
    identity.set_node(NodeId(7));
    assert_eq!(identity.node(), NodeId(1), "an id is set once");
    let mut said = String::new();
    for _ in 0..1000 {
        if let Ok(answer) = who().await {
            said = String::from_utf8(answer.to_vec()).unwrap();
        }
        if said == "1" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it speaks as {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_only_loopback_is_dialled() {
    let peers = crate::Peers::new(config(1, "a"));
    // An address of a network for documentation: nothing is sent, because it is not tried.
    let answer = peers.call_addr("192.0.2.1:9", Kind::Item, Bytes::new(), PATIENCE).await;
    let Err(CallError::Refused(reason)) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("without a cluster secret"), "{reason}");
}
