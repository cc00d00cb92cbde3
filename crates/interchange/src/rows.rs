//! What an object of an import is made of: items, or what stands in their place.

use meridian_model::Item;

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The object cannot be read from here on.
    #[error("{0}")]
    Malformed(String),
    /// This row is no item; the next one may be.
    #[error("{0}")]
    Invalid(String),
}

impl RowError {
    /// True when nothing of the object is read after it.
    pub fn ends_object(&self) -> bool {
        match self {
            RowError::Malformed(_) => true,
            RowError::Invalid(_) => false,
        }
    }
}

/// One row of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place among the object's rows, from 0.
    pub index: u64,
    /// The item.
    pub item: Result<Item, RowError>,
}
