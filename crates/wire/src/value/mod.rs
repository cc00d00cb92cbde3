//! Attribute values as DynamoDB JSON.

mod fault;
pub(crate) mod read;
#[cfg(test)]
mod tests;
mod write;

pub use fault::{ValueFault, Wording};
pub use read::{read_item, read_value};
pub use write::{write_item, write_value};
