//! What the API knows of archives: which times of a table can be brought back.

/// Which times of a table the archive can bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restorable {
    /// The earliest, ms since the Unix epoch.
    pub earliest_ms: u64,
    /// The latest, ms since the Unix epoch.
    pub latest_ms: u64,
}
