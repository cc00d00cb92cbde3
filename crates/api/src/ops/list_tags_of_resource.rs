//! ListTagsOfResource.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::resources;
use crate::resources::Asks;

/// Answers ListTagsOfResource: all tags on one page, in the order of their keys.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let resource = resources::take(backend, &mut fields, Asks::Tags)?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("Tags"));
    for (key, value) in &resource.table.own.tags {
        let mut one = Object::open(list.element());
        one.text("Key", key).text("Value", value);
        one.close();
    }
    list.close();
    answer.close();
    Ok(out)
}
