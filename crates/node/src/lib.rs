//! The real shell: partition pipelines, routing, background loops.

pub mod barrier;
pub mod partition_machine;
pub mod pipeline;
