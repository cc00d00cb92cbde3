//! `AttributeUpdates`.

use meridian_expression::{Path, SetOperand, SetValue, Update, UpdateAction, UpdateError};
use meridian_model::AttributeValue;
use meridian_wire::{ApiError, Fields, Wording};

use crate::errors::{expression, invalid, invalid_parameter};

/// Takes `AttributeUpdates`: one action an attribute.
pub fn updates(fields: &mut Fields, wording: Wording) -> Result<Option<Update>, ApiError> {
    let Some(entries) = fields.take_map("AttributeUpdates") else { return Ok(None) };
    let actions = entries.into_iter().map(|(name, entry)| {
        let mut entry = entry.into_fields();
        let value = entry.take_value("Value").map(|value| value.checked(wording)).transpose()?;
        action(Path::new(name), entry.take_text("Action").as_deref(), value)
    });
    let actions = actions.collect::<Result<Vec<_>, ApiError>>()?;
    Update::new(actions).map(Some).map_err(expression)
}

/// Without an action the value is put; only a deletion goes without a value.
fn action(
    path: Path,
    action: Option<&str>,
    value: Option<AttributeValue>,
) -> Result<UpdateAction, ApiError> {
    use AttributeValue as V;
    match (action, value) {
        (Some("DELETE"), None) => Ok(UpdateAction::Remove(path)),
        (_, None) => Err(invalid_parameter(
            "Only DELETE action is allowed when no attribute value is specified",
        )),
        (Some("DELETE"), Some(value)) => match value {
            V::Ss(_) | V::Ns(_) | V::Bs(_) => Ok(UpdateAction::Delete(path, value)),
            V::S(_) | V::N(_) | V::B(_) | V::Bool(_) | V::Null | V::L(_) | V::M(_) => {
                Err(invalid_parameter(format!(
                    "DELETE action with value is not supported for the type {}",
                    value.type_name()
                )))
            }
        },
        (Some("ADD"), Some(value)) => match value {
            V::N(_) | V::Ss(_) | V::Ns(_) | V::Bs(_) | V::L(_) => {
                Ok(UpdateAction::Add(path, value))
            }
            V::S(_) | V::B(_) | V::Bool(_) | V::Null | V::M(_) => Err(invalid_parameter(format!(
                "ADD action is not supported for the type {}",
                value.type_name()
            ))),
        },
        (_, Some(value)) => {
            Ok(UpdateAction::Set(path, SetValue::Operand(SetOperand::Value(value))))
        }
    }
}

/// Says of a value that does not fit the item what the service says where no expression was given.
pub fn reworded(error: ApiError) -> ApiError {
    match error {
        ApiError::Validation(text) if text == UpdateError::OperandType.to_string() => {
            invalid("Type mismatch for attribute to update")
        }
        other => other,
    }
}
