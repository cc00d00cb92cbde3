//! What the tests outside the crates share.

pub mod fuzzed;
