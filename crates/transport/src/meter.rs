//! The metrics of transport.
//!
//! The recorder has to be installed before the first [`crate::Peers`] and the first server:
//! handles are looked up once.

use std::sync::Arc;
use std::time::Duration;

use meridian_base::NodeId;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::Kind;
use crate::proto::Message;

/// Counters of a node's messages.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Handles>);

struct Handles {
    sent: PerKind,
    received: PerKind,
    round_trip: [Histogram; Kind::ALL.len()],
}

/// Messages and bytes by kind; answers count under the last place, as `answer`.
struct PerKind {
    messages: [Counter; Kind::ALL.len() + 1],
    bytes: [Counter; Kind::ALL.len() + 1],
}

impl PerKind {
    fn new(direction: &'static str) -> PerKind {
        let label = |place: usize| Kind::ALL.get(place).map_or("answer", |kind| kind.name());
        PerKind {
            messages: std::array::from_fn(
                |place| counter!("meridian_transport_messages_total", "direction" => direction, "kind" => label(place)),
            ),
            bytes: std::array::from_fn(
                |place| counter!("meridian_transport_bytes_total", "direction" => direction, "kind" => label(place)),
            ),
        }
    }

    /// Counts a frame's messages: one step per kind that occurs, not per message.
    fn count(&self, messages: &[Message]) {
        let mut counts = [(0u64, 0u64); Kind::ALL.len() + 1];
        for message in messages {
            let place = Kind::from_wire(message.kind).map_or(Kind::ALL.len(), place);
            counts[place].0 += 1;
            counts[place].1 += message.payload.len() as u64;
        }
        for (place, (messages, bytes)) in counts.into_iter().enumerate() {
            if messages > 0 {
                self.messages[place].increment(messages);
                self.bytes[place].increment(bytes);
            }
        }
    }
}

fn place(kind: Kind) -> usize {
    match kind {
        Kind::Raft => 0,
        Kind::Item => 1,
        Kind::Replicate => 2,
        Kind::Control => 3,
        Kind::Admin => 4,
    }
}

impl Meter {
    /// Looks the handles up.
    pub(crate) fn new() -> Meter {
        Meter(Arc::new(Handles {
            sent: PerKind::new("sent"),
            received: PerKind::new("received"),
            round_trip: Kind::ALL.map(
                |kind| histogram!("meridian_transport_round_trip_seconds", "kind" => kind.name()),
            ),
        }))
    }

    /// Counts messages handed to the connection.
    pub(crate) fn sent(&self, messages: &[Message]) {
        self.0.sent.count(messages);
    }

    /// Counts messages that came in.
    pub(crate) fn received(&self, messages: &[Message]) {
        self.0.received.count(messages);
    }

    /// Records the time from a call to its answer.
    pub(crate) fn round_trip(&self, kind: Kind, took: Duration) {
        self.0.round_trip[place(kind)].record(took.as_secs_f64());
    }

    /// Counts the bytes of a transfer's chunk.
    pub(crate) fn chunk(&self, kind: Kind, direction: Direction, bytes: usize) {
        let per_kind = match direction {
            Direction::Sent => &self.0.sent,
            Direction::Received => &self.0.received,
        };
        per_kind.bytes[place(kind)].increment(bytes as u64);
    }
}

/// Which way bytes went.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// Out.
    Sent,
    /// In.
    Received,
}

/// The metrics of one peer.
pub(crate) struct PeerMeter {
    connected: Gauge,
    reconnects: Counter,
}

impl PeerMeter {
    /// Looks the handles up; a peer without id has none of its own.
    pub(crate) fn new(peer: NodeId) -> PeerMeter {
        let peer = peer.to_string();
        PeerMeter {
            connected: gauge!("meridian_transport_connected", "peer" => peer.clone()),
            reconnects: counter!("meridian_transport_reconnects_total", "peer" => peer),
        }
    }

    /// Says whether the peer is connected.
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(if connected { 1.0 } else { 0.0 });
    }

    /// Counts a connection that was not the first.
    pub(crate) fn reconnected(&self) {
        self.reconnects.increment(1);
    }
}
