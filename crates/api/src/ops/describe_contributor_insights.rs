//! DescribeContributorInsights.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::{insights, tables};

/// Answers DescribeContributorInsights. There are no rules: they are CloudWatch's.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let index = fields.take_text("IndexName");
    let name = tables::take_name(&mut fields);
    let table = insights::table(backend, &name, index.as_deref())?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let insights = insights::of(&table, index.as_deref());
    let mode = insights.and_then(|insights| insights.mode);
    insights::write(&mut answer, &table, index.as_deref(), mode, insights::settled(mode));
    if let Some(insights) = insights {
        Array::open(answer.key("ContributorInsightsRuleList")).close();
        answer.seconds("LastUpdateDateTime", insights.changed_ms);
    }
    answer.close();
    Ok(out)
}
