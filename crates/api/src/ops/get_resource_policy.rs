//! GetResourcePolicy.

use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::resources::Asks;
use crate::{policies, resources};

/// Answers GetResourcePolicy.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let resource = resources::take(backend, &mut fields, Asks::Policy)?;
    let policy = resource.policy().ok_or_else(|| policies::not_found(&resource.arn))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    answer.text("Policy", &policy.text);
    answer.text("RevisionId", &policy.revision.to_string());
    answer.close();
    Ok(out)
}
