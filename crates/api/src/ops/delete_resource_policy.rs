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
    let (arn, table) = resources::take(backend, &mut fields, Asks::Policy)?;
    let revision = table.own.policy.as_ref().map(|policy| policy.revision);
    let changed = backend.change_own(&table.name, OwnChange::DropPolicy(expected)).await;
    changed.map_err(|error| resources::refused(error, &arn, Asks::Policy))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some(revision) = revision {
        answer.text("RevisionId", &revision.to_string());
    }
    answer.close();
    Ok(out)
}
