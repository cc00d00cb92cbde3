//! Changes between regions: senders, the receiver, and the replicas of global tables.

use crate::hosting::HostedPartition;
use crate::node::Node;
use bytes::Bytes;
use meridian_control::planner::View;
use std::sync::Arc;

/// Starts what a hosted partition sends while it leads.
pub fn start(_node: &Arc<Node>, _hosted: &Arc<HostedPartition>) {}

/// Takes a batch of another region.
pub async fn receive(_node: &Node, _payload: &[u8]) -> Result<Bytes, String> {
    Err("replication is not taken here".into())
}

/// Makes and takes away replicas of global tables, on the region's leader.
pub async fn plan(_node: &Node, _view: &View<'_>) {}
