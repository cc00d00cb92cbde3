//! ListTagsOfResource.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::Backend;
use crate::errors::invalid;

/// Answers ListTagsOfResource: tags cannot be set yet, so there are none.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("ResourceArn").unwrap_or_default();
    let name = table_name(&arn);
    if name == arn {
        return Err(invalid(format!(
            "Invalid TableArn: Invalid ResourceArn provided as input {arn}"
        )));
    }
    if backend.table(name).is_none() {
        return Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: ResourcArn: {arn} not found"
        )));
    }
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    Array::open(answer.key("Tags")).close();
    answer.close();
    Ok(out)
}
