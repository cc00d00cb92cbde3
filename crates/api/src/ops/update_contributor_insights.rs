//! UpdateContributorInsights.

use meridian_control::region::{InsightsMode, OwnChange};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::change;
use crate::{insights, tables};

/// Answers UpdateContributorInsights: the switch is kept and shown; nothing is counted.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let on = fields.take_text("ContributorInsightsAction").as_deref() == Some("ENABLE");
    let mode = match fields.take_text("ContributorInsightsMode").as_deref() {
        Some("THROTTLED_KEYS") => InsightsMode::ThrottledKeys,
        Some(_) | None => InsightsMode::AccessedAndThrottledKeys,
    };
    let index = fields.take_text("IndexName");
    let name = tables::take_name(&mut fields);
    insights::table(backend, &name, index.as_deref())?;
    let changed = backend.change_own(&name, OwnChange::Insights(on.then_some(mode))).await;
    changed.map_err(|error| change(error, &name))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if on {
        answer.text("ContributorInsightsMode", insights::mode_name(mode));
    }
    answer.text("ContributorInsightsStatus", if on { "ENABLING" } else { "DISABLING" });
    answer.text("TableName", &name);
    answer.close();
    Ok(out)
}
