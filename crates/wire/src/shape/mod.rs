//! Requests by their shapes: read with types, then held to their constraints.
//!
//! One mechanism for all 66 operations, driven by `data/model.txt`.

mod check;
mod model;
mod node;
mod pattern;
mod read;
#[cfg(test)]
mod tests;

pub use check::{check, check_table_name};
pub use model::{Model, Shape, ShapeId};
pub use node::{Checked, Fields, Node};
pub use read::{Place, ReadError, TypeName, mismatch, read_input};
