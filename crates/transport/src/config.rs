//! Who this node is and how it treats its peers.
//!
//! # Invariants
//!
//! - A node's id and cluster are set at most once: from unknown to known.
//!
//! Tested by `tests/`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use meridian_base::NodeId;
use tokio::sync::watch;

use crate::{Secret, Switch};

/// Largest payload of a message, and largest chunk of a transfer.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest frame that is decoded: one payload of the largest size with its envelope.
pub(crate) const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
/// Requests of one session that are handled at the same time.
pub(crate) const IN_FLIGHT_MAX: usize = 4096;
/// HTTP/2 window of a stream: 4 MiB in flight fill 60 ms of 500 Mbit/s.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// HTTP/2 window of a connection. It carries one stream.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Largest HTTP/2 frame.
pub(crate) const H2_FRAME_BYTES: u32 = 256 * 1024;

/// The id of a cluster, chosen when it is initialised; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// 0: not known yet.
    pub(crate) node: NodeId,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) region: String,
}

/// Who this node is, shared by everything that speaks for it.
#[derive(Clone)]
pub struct Identity(Arc<watch::Sender<Who>>);

impl Identity {
    /// A node of a region; `NodeId(0)` when its id is not known yet.
    pub fn new(node: NodeId, region: impl Into<String>) -> Identity {
        Identity(Arc::new(watch::Sender::new(Who { node, cluster: None, region: region.into() })))
    }

    /// Sets the id once it is known; existing sessions are dialled again under it.
    pub fn set_node(&self, node: NodeId) {
        self.0.send_if_modified(|who| {
            let unknown = who.node == NodeId(0) && node != NodeId(0);
            if unknown {
                who.node = node;
            }
            unknown
        });
    }

    /// Sets the cluster once it is known; from then on nodes of other clusters are refused.
    pub fn set_cluster(&self, cluster: ClusterId) {
        self.0.send_if_modified(|who| {
            let unknown = who.cluster.is_none();
            if unknown {
                who.cluster = Some(cluster);
            }
            unknown
        });
    }

    /// This node, 0 while unknown.
    pub fn node(&self) -> NodeId {
        self.0.borrow().node
    }

    /// The cluster, once known.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.0.borrow().cluster
    }

    /// This node's region.
    pub fn region(&self) -> String {
        self.0.borrow().region.clone()
    }

    pub(crate) fn who(&self) -> Who {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Who> {
        self.0.subscribe()
    }
}

/// Delay added to what is sent to other regions, one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delays {
    /// To named regions.
    pub to: BTreeMap<String, Duration>,
    /// To every other region that is not this node's own.
    pub others: Duration,
}

impl Delays {
    /// The same delay to every other region.
    pub fn to_others(one_way: Duration) -> Delays {
        Delays { to: BTreeMap::new(), others: one_way }
    }

    /// The delay from a region to another; none within a region.
    pub fn one_way(&self, own: &str, other: &str) -> Duration {
        if own == other {
            Duration::ZERO
        } else {
            self.to.get(other).copied().unwrap_or(self.others)
        }
    }
}

/// How long transport waits for what. The defaults are for real clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// A session that had nothing to send for so long says that it is alive.
    pub keepalive: Duration,
    /// A session that heard nothing for so long (plus the delay both ways) is given up.
    pub silence_max: Duration,
    /// How long a call waits for a connection, or for room in the queue.
    pub connect_grace: Duration,
    /// How long one attempt to connect may take.
    pub connect_max: Duration,
    /// How long the greeting may take (plus the delay both ways, twice).
    pub greeting_max: Duration,
    /// Pause after the first failed attempt to connect; it doubles with each.
    pub backoff_min: Duration,
    /// Longest pause between attempts.
    pub backoff_max: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            keepalive: Duration::from_millis(500),
            silence_max: Duration::from_secs(2),
            connect_grace: Duration::from_millis(200),
            connect_max: Duration::from_secs(1),
            greeting_max: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_millis(500),
        }
    }
}

/// What [`crate::Peers`] and [`crate::serve`] of one node share.
#[derive(Clone)]
pub struct PeerConfig {
    /// Who this node is.
    pub identity: Identity,
    /// The cluster's secret; without one only loopback peers are spoken to.
    pub secret: Option<Secret>,
    /// Delay added to what is sent to other regions.
    pub delays: Delays,
    /// The black-hole switch of this node.
    pub switch: Switch,
    /// Waiting times.
    pub timing: Timing,
}

impl PeerConfig {
    /// A node without secret, delay or switch of its own.
    pub fn new(identity: Identity) -> PeerConfig {
        PeerConfig {
            identity,
            secret: None,
            delays: Delays::default(),
            switch: Switch::new(),
            timing: Timing::default(),
        }
    }

    /// The delay from this node to a node of another region.
    pub(crate) fn delay_to(&self, region: &str) -> Duration {
        self.delays.one_way(&self.identity.0.borrow().region, region)
    }
}
