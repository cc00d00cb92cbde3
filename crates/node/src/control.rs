//! The control groups on this node.

pub mod client;
pub mod machine;
pub mod message;
