//! What a `SELECT` shows of an item.
//!
//! A column is named by the last name of its path, as PartiQL has it: `a.b` is shown as `b`. One
//! that ends in a list index is named by its place in the list of columns: `_1`, `_2`.
//!
//! Tested by `tests/golden/partiql_select.txt`.

use meridian_expression::{Path, Step};
use meridian_model::{Item, KeyNames};
use meridian_wire::ApiError;

use crate::errors::invalid;

/// The columns; all attributes when there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<(String, Path)>);

impl Columns {
    /// Names the columns; refuses two of one name and paths into key attributes.
    pub fn new(paths: Vec<Path>, keys: &dyn KeyNames) -> Result<Self, ApiError> {
        let mut columns: Vec<(String, Path)> = Vec::with_capacity(paths.len());
        for (path, place) in paths.into_iter().zip(1..) {
            if !path.steps.is_empty() && keys.contains(&path.attribute) {
                return Err(invalid(format!(
                    "Key attributes must be scalars; list random access '[]' and map lookup '.' \
                     are not allowed: Key: {}",
                    path.attribute
                )));
            }
            let name = name(&path, place);
            if columns.iter().any(|(known, _)| *known == name) {
                return Err(invalid(format!("Two columns of the statement are named {name}")));
            }
            columns.push((name, path));
        }
        Ok(Columns(columns))
    }

    /// The attributes of which all or a part is shown; none when all of an item is.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, path)| path.attribute.as_str())
    }

    /// Takes what is shown out of an item.
    pub fn of(&self, item: Item) -> Item {
        if self.0.is_empty() {
            return item;
        }
        let shown = self.0.iter().filter_map(|(name, path)| {
            path.resolve(&item).map(|value| (name.clone(), value.clone()))
        });
        shown.collect()
    }
}

fn name(path: &Path, place: usize) -> String {
    match path.steps.last() {
        None => path.attribute.clone(),
        Some(Step::Key(key)) => key.clone(),
        Some(Step::Index(_)) => format!("_{place}"),
    }
}
