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
    let mode = on.then_some(mode);
    let table = insights::table(backend, &name, index.as_deref())?;
    if on {
        insights::check_made(&table, index.as_deref())?;
    }
    let current = insights::of(&table, index.as_deref()).and_then(|insights| insights.mode);
    let status = match (current == mode, on) {
        // What is so already stays so, and its time too.
        (true, _) => insights::settled(mode),
        (false, true) => "ENABLING",
        (false, false) => "DISABLING",
    };
    if current != mode {
        let asked = match index.clone() {
            None => OwnChange::Insights(mode),
            Some(index) => OwnChange::IndexInsights { index, mode },
        };
        let changed = backend.change_own(&name, asked).await;
        changed.map_err(|error| change(error, &name))?;
    }
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    insights::write(&mut answer, &table, index.as_deref(), mode, status);
    answer.close();
    Ok(out)
}
