//! The real shell: partition pipelines, routing, background loops.

pub mod barrier;
pub mod control;
pub mod hosting;
pub mod identity;
pub mod items;
pub mod network;
pub mod options;
pub mod partition_machine;
pub mod pipeline;
