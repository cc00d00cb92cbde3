//! The control groups on this node.

pub mod machine;
