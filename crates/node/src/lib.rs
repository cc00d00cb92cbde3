//! The real shell: partition pipelines, routing, background loops.
