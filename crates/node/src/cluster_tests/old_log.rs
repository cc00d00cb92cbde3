//! The Raft log of a node lets go of what the engine holds.

use super::region::Region;
use super::testing::{eventually, get, put};
use crate::old_log::let_go;
use meridian_storage::EngineKind;

/// Somewhat more than two segments.
const BYTES: u64 = 40 * 1024 * 1024;

/// A value that the log cannot make shorter.
fn noise(seed: usize) -> String {
    let mut state = seed as u64;
    let letters = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 58) as u8)
    });
    letters.take(200_000).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_writes_little_does_not_hold_the_log() {
    let mut region = Region::start(EngineKind::Fjall).await;
    for n in 0..300 {
        put(region.node(1), &format!("k{n}"), &noise(n)).await;
    }
    for id in 1..=3 {
        let node = region.node(id);
        assert!(node.log.held().bytes > BYTES, "{}", node.log.held().bytes);
        eventually("its old segments go", async || {
            // A segment goes with the next write.
            put(node, "last", "v").await;
            let_go(node, BYTES).await <= BYTES
        })
        .await;
    }
    // It starts from what is left, and follows.
    region.stop_node(2).await;
    put(region.node(1), "meanwhile", "v").await;
    region.start_node(2).await;
    region.is_ready().await;
    region.is_whole().await;
    assert_eq!(get(region.node(2), "k0").await, Some(noise(0)));
    assert_eq!(get(region.node(2), "meanwhile").await, Some("v".to_owned()));
    region.stop().await;
}
