//! HTTP, admin, metrics, configuration, router.
//!
//! # Invariants
//!
//! - HTTP ends here: nothing below this crate names a status code, a header or a client socket.
//! - A request that panics is answered 500 and leaves the process standing.
//! - Every wait on a client has a limit.
//!
//! Tested beside the code over real sockets on free ports.

pub mod admin;
mod answers;
pub mod client;
pub mod config;
pub mod credentials;
mod dynamo;
pub mod http;
pub mod listener;
pub mod logging;
pub mod metering;
pub mod process;
pub mod router;

pub use dynamo::ApiHandler;
