//! PutResourcePolicy.

use meridian_control::region::OwnChange;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Node};

use crate::backend::Backend;
use crate::resources::Asks;
use crate::{policies, resources};

/// Answers PutResourcePolicy.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let arn = match fields.get("ResourceArn") {
        Some(Node::Text(arn)) => arn.as_str(),
        _ => "",
    };
    let is_of_stream = arn.contains("/stream/");
    let text = fields.take_text("Policy").unwrap_or_default();
    let text = policies::document(&text, is_of_stream)?;
    let expected = policies::expected(&mut fields, true)?;
    let resource = resources::take(backend, &mut fields, Asks::Policy)?;
    let change = match resource.stream.clone() {
        None => OwnChange::SetPolicy { text, expected },
        Some(label) => OwnChange::SetStreamPolicy { label, text, expected },
    };
    let changed = backend.change_own(&resource.table.name, change).await;
    let table = changed.map_err(|error| resource.refused(error, Asks::Policy))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    answer.text("RevisionId", &table.own.last_revision.to_string());
    answer.close();
    Ok(out)
}
