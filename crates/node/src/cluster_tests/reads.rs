//! Eventually consistent reads of a region of three nodes.

use super::region::Region;
use super::testing::{get, put};
use meridian_storage::EngineKind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_one_node_reads_what_it_wrote() {
    let region = Region::start(EngineKind::Memory).await;
    for round in 0..200 {
        for (id, node) in &region.nodes {
            let (key, value) = (format!("k{}", round % 9), format!("{round} by {id}"));
            put(node, &key, &value).await;
            assert_eq!(get(node, &key).await, Some(value));
        }
    }
    region.stop().await;
}
