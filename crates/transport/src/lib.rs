//! Messages between nodes: one long-lived tonic stream per node pair and direction of dialling.
//!
//! Payloads are opaque bytes of a [`Kind`]; the crates that own a kind encode them. [`Peers`]
//! calls other nodes, [`serve`] hands their calls to a [`Handler`]. Snapshots travel on
//! connections of their own ([`Peers::transfer`]).
//!
//! # Invariants
//!
//! - A call that ends as [`CallError::NotSent`] was never written to a socket; one that was, and
//!   has no answer, ends as [`CallError::Unknown`]. Nothing is ever sent twice.
//! - Every queue has a bound in messages and in bytes; what does not fit waits shortly, then fails.
//! - Types generated from the proto stay in this crate.
//! - While the [`Switch`] is on, nothing is read, written, accepted, dialled or closed.
//! - Delay between regions is a delay line: it costs latency, never bandwidth.
//!
//! Tested by `tests/` on loopback sockets.

mod accept;
mod config;
mod delay;
mod delayed_io;
mod dial;
mod ear;
mod greeting;
mod incoming;
mod kind;
mod link;
mod meter;
mod outbound;
mod outbox;
mod peers;
mod pending;
mod poison;
mod proto;
mod secret;
mod serve;
mod service;
mod session;
mod switch;
mod transfer;

#[cfg(test)]
mod tests;

pub use accept::Acceptor;
pub use config::{ClusterId, Delays, Identity, PeerConfig, Timing};
pub use delay::DelayLine;
pub use delayed_io::DelayedIo;
pub use kind::{CallError, Kind};
pub use link::{LinkState, PeerAddress};
pub use peers::Peers;
pub use secret::{Secret, SecretError};
pub use serve::{Handler, PeerServer, serve};
pub use switch::{Switch, SwitchedIo};
pub use transfer::{Chunks, TransferError};
