//! What one of three nodes keeps is damaged.

use super::region::{Region, closed};
use super::testing::{eventually, get, make_table, options, put};
use crate::identity::IdentityFile;
use crate::node::{Node, StartError};
use crate::options::DataDir;
use meridian_base::NodeId;
use meridian_storage::{EngineKind, StorageError};
use std::path::Path;
use std::sync::Arc;

/// Overwrites the second and third quarter of what every file below a directory holds. A log's file
/// ends in zeros, which are no content.
fn overwrite(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in bytes.iter_mut().skip(length / 4).take(length / 2) {
            *byte ^= 0x5a;
        }
        std::fs::write(&path, bytes).unwrap();
    }
}

fn set_aside(data: &Path, what: &str) -> bool {
    let prefix = format!("{what}.damaged-");
    let mut names = std::fs::read_dir(data).unwrap();
    names.any(|name| name.unwrap().file_name().to_string_lossy().starts_with(&prefix))
}

async fn fill(node: &Node, name: &str, count: u32) {
    for n in 0..count {
        put(node, &format!("{name}-{n}"), "kept").await;
    }
}

async fn is_filled(node: &Node, name: &str, count: u32) {
    for n in 0..count {
        let key = format!("{name}-{n}");
        let what = format!("node {} shows {key}", node.id());
        eventually(&what, async || get(node, &key).await.as_deref() == Some("kept")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_engine_is_rebuilt_from_the_peers() {
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        let mut region = Region::start(engine).await;
        fill(region.node(1), "before", 40).await;
        region.release(3).await;
        region.stop_node(3).await;
        overwrite(&region.data(3).join("engine"));
        fill(region.node(1), "meanwhile", 20).await;
        region.start_node(3).await;
        region.is_ready().await;
        assert!(set_aside(&region.data(3), "engine"), "{engine:?}");
        assert!(!set_aside(&region.data(3), "log"), "{engine:?}");
        region.is_whole().await;
        is_filled(region.node(3), "before", 40).await;
        is_filled(region.node(3), "meanwhile", 20).await;
        region.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_log_comes_back_as_a_learner() {
    let mut region = Region::start(EngineKind::Fjall).await;
    fill(region.node(1), "before", 40).await;
    region.stop_node(2).await;
    overwrite(&region.data(2).join("log"));
    fill(region.node(1), "meanwhile", 20).await;
    region.start_node(2).await;
    // As long as it counts as a voter anywhere it takes part in nothing.
    let lost = Arc::clone(region.node(2));
    let loss = lost.identity_file.loss().unwrap();
    assert!(lost.ready().unwrap_err().contains("log was lost"), "{:?}", lost.ready());
    eventually("it has returned", async || lost.identity_file.loss().is_none()).await;
    assert!(set_aside(&region.data(2), "log"));
    region.is_ready().await;
    region.is_whole().await;
    is_filled(region.node(2), "before", 40).await;
    is_filled(region.node(2), "meanwhile", 20).await;
    let state = region.node(1).control.region_state();
    assert_eq!(state.nodes()[&NodeId(2)].returned, Some(loss));
    // It counts again: one of the others can be missed.
    drop(lost);
    region.stop_node(3).await;
    fill(region.node(2), "after", 10).await;
    is_filled(region.node(1), "after", 10).await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_gone_is_a_lost_one() {
    let mut region = Region::start(EngineKind::Fjall).await;
    region.stop_node(2).await;
    std::fs::remove_dir_all(region.data(2).join("log")).unwrap();
    region.start_node(2).await;
    assert!(region.node(2).identity_file.loss().is_some());
    // Ended in the middle of it, it goes on where it was.
    region.stop_node(2).await;
    region.start_node(2).await;
    region.is_ready().await;
    region.is_whole().await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_that_was_noted_and_no_more_takes_the_engine_along() {
    let mut region = Region::start(EngineKind::Fjall).await;
    region.stop_node(2).await;
    let data = DataDir::Path(region.data(2));
    std::fs::remove_dir_all(region.data(2).join("log")).unwrap();
    // The process ended right after this.
    IdentityFile::open(&data, NodeId(2), "region-1").unwrap().lose_log(7).unwrap();
    region.start_node(2).await;
    assert!(set_aside(&region.data(2), "engine"));
    region.is_ready().await;
    region.is_whole().await;
    assert_eq!(region.node(1).control.region_state().nodes()[&NodeId(2)].returned, Some(7));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_peers_keeps_its_damaged_log() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = options(1, listener.local_addr().unwrap().to_string());
        options.data = DataDir::Path(folder.path().to_owned());
        options.engine = EngineKind::Fjall;
        options.alone = true;
        Node::start(options, listener).await
    };
    let node = start().await.unwrap();
    eventually("it is ready", async || node.ready().is_ok()).await;
    make_table(&node).await;
    node.stop().await;
    drop(node);
    closed(folder.path()).await;
    overwrite(&folder.path().join("log"));
    let refused = start().await.err().unwrap();
    assert!(matches!(refused, StartError::Storage(StorageError::Corrupt { .. })), "{refused}");
    assert!(!set_aside(folder.path(), "log"));
}
