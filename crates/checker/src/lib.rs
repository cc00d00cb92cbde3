//! Histories in, verdict out.
//!
//! A history is what clients saw of one key: when each call began, when it ended, and how. Two
//! questions are asked of it: is there an order of the calls, within their intervals, that one
//! register could have answered so ([`linear`]); and is every acknowledged write still visible or
//! superseded by one that may have come after it ([`durable`]). Of transactions over several keys a third
//! one: is there a serial order that explains what was read ([`append`]).
//!
//! # Invariants
//!
//! - A call whose outcome is unknown may have taken effect at any time after it began, or never.
//! - Nothing here reads a clock: times are nanoseconds on whatever one clock the caller used.
//! - No verdict is guessed: a search that exceeds its budget says [`Verdict::Undecided`].
//!
//! Tested by known good and bad histories and by properties over generated ones.

pub mod append;
pub mod durable;
pub mod history;
pub mod linear;

pub use append::{Anomaly, Deed, Ending, Transaction, check_append};
pub use durable::{Durability, check_durable};
pub use history::{Call, Operation, Reply, State, Value};
pub use linear::{SEARCH_STEPS_MAX, Verdict, Violation, check_keys, check_register};
