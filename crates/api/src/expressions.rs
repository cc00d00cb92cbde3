//! The expression parameters of a request: which may stand together, and their placeholders.
//!
//! # Invariants
//!
//! - Expressions and legacy parameters never meet in one request, but for `KeyConditions`, which may
//!   stand beside any expression other than its own.
//! - Placeholders are taken once; after the last expression is parsed, none may be unused.
//!
//! Tested by the golden transcripts.

use std::collections::BTreeMap;

use meridian_expression::{Condition, ExpressionKind, Placeholders};
use meridian_model::AttributeValue;
use meridian_wire::{ApiError, Fields, Wording};

use crate::errors::{expression, invalid};

/// What of a request belongs to expressions.
#[derive(Debug, Clone, Copy)]
pub struct Parameters {
    /// The parameters that are expressions.
    pub expressions: &'static [&'static str],
    /// The parameters that came before expressions.
    pub legacy: &'static [&'static str],
    /// The layer whose wording the operation answers in.
    pub wording: Wording,
}

impl Parameters {
    /// Checks that the parameters fit together and takes the placeholders.
    pub fn placeholders(&self, fields: &mut Fields) -> Result<Placeholders, ApiError> {
        self.conflicts(fields)?;
        let names = fields.has("ExpressionAttributeNames").then(|| names(fields));
        let values = self.values(fields)?;
        Placeholders::new(names, values).map_err(|error| expression(error.into()))
    }

    fn conflicts(&self, fields: &Fields) -> Result<(), ApiError> {
        let given = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| fields.has(name)).collect()
        };
        let (expressions, mut legacy) = (given(self.expressions), given(self.legacy));
        if !expressions.contains(&"KeyConditionExpression") {
            legacy.retain(|name| *name != "KeyConditions");
        }
        if !expressions.is_empty() && !legacy.is_empty() {
            return Err(invalid(format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                legacy.join(", "),
                expressions.join(", ")
            )));
        }
        if fields.has("ExpressionAttributeNames") && expressions.is_empty() {
            return Err(invalid(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let with_values = || self.expressions.iter().copied().filter(|e| takes_values(e));
        if with_values().next().is_some()
            && fields.has("ExpressionAttributeValues")
            && with_values().all(|name| !fields.has(name))
        {
            let missing: Vec<&str> = with_values().collect();
            let verb = if missing.len() > 1 { "are" } else { "is" };
            let why = match self.wording {
                Wording::Current => String::new(),
                Wording::Older => format!(": {} {verb} null", missing.join(" and ")),
            };
            return Err(invalid(format!(
                "ExpressionAttributeValues can only be specified when using expressions{why}"
            )));
        }
        Ok(())
    }

    fn values(
        &self,
        fields: &mut Fields,
    ) -> Result<Option<BTreeMap<String, AttributeValue>>, ApiError> {
        if self.expressions.iter().all(|name| !takes_values(name)) {
            return Ok(None);
        }
        let Some(values) = fields.take_item("ExpressionAttributeValues") else { return Ok(None) };
        let key = values.faulty_attribute().unwrap_or_default().to_owned();
        let values = values.into_value().map_err(|fault| {
            let text = fault.text(self.wording);
            invalid(match self.wording {
                Wording::Current => text,
                Wording::Older => format!(
                    "ExpressionAttributeValues contains invalid value: {text} for key {key}"
                ),
            })
        })?;
        Ok(Some(values))
    }
}

/// Refuses placeholders that no expression used.
pub fn unused(placeholders: &Placeholders) -> Result<(), ApiError> {
    placeholders.unused().map_err(|error| expression(error.into()))
}

/// Takes and compiles a condition or filter.
pub fn condition(
    fields: &mut Fields,
    kind: ExpressionKind,
    placeholders: &mut Placeholders,
) -> Result<Option<Condition>, ApiError> {
    let text = fields.take_text(kind.name());
    text.map(|text| Condition::parse(kind, &text, placeholders).map_err(expression)).transpose()
}

fn takes_values(expression: &str) -> bool {
    expression != "ProjectionExpression"
}

fn names(fields: &mut Fields) -> BTreeMap<String, String> {
    let names = fields.take_map("ExpressionAttributeNames").unwrap_or_default();
    names.into_iter().map(|(key, name)| (key, name.into_text())).collect()
}
