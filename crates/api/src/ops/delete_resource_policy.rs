//! DeleteResourcePolicy.

use meridian_control::region::OwnChange;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::resources::Asks;
use crate::{policies, resources};

/// Answers DeleteResourcePolicy with the revision that is gone; a table without policy has none,
/// and that is no error.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let expected = policies::expected(&mut fields, false)?;
    let resource = resources::take(backend, &mut fields, Asks::Policy)?;
    let revision = resource.policy().map(|policy| policy.revision);
    let change = match resource.stream.clone() {
        None => OwnChange::DropPolicy(expected),
        Some(label) => OwnChange::DropStreamPolicy { label, expected },
    };
    let changed = backend.change_own(&resource.table.name, change).await;
    changed.map_err(|error| resource.refused(error, Asks::Policy))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some(revision) = revision {
        answer.text("RevisionId", &revision.to_string());
    }
    answer.close();
    Ok(out)
}
