//! The wall clock as a seam: real in a process, virtual and offset in a simulation.

/// Reads wall-clock time. One per node, so that a simulation can offset each node's clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May jump in both directions; callers that need order use
    /// [`crate::Hlc`].
    fn now_ms(&self) -> u64;
}
