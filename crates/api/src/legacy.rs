//! The parameters that came before expressions, translated into the same trees.
//!
//! # Invariants
//!
//! - Nothing here evaluates: what a legacy parameter means is said by a predicate, by update actions
//!   or by key terms, and travels to the leader as those of an expression do.
//!
//! Tested by `tests/golden/legacy_*.txt`.

mod conditions;
mod updates;

pub use conditions::{expected, filter, key_in_filter, key_terms};
pub use updates::{reworded, updates};
