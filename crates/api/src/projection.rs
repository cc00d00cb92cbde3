//! Which parts of items a read returns.

use meridian_expression::{Path, Placeholders, Projection};
use meridian_model::{Item, KeyNames};
use meridian_wire::{ApiError, Fields, Node};

use crate::errors::{expression, invalid_parameter};

/// The parts that a request asks for: all, or a projection.
#[derive(Debug, Clone, Default)]
pub struct Wanted(Option<Projection>);

impl Wanted {
    /// Takes `ProjectionExpression` or `AttributesToGet` out of a request.
    pub fn take(fields: &mut Fields, placeholders: &mut Placeholders) -> Result<Self, ApiError> {
        if let Some(text) = fields.take_text("ProjectionExpression") {
            let projection = Projection::parse(&text, placeholders).map_err(expression)?;
            return Ok(Wanted(Some(projection)));
        }
        if !fields.names("AttributesToGet") {
            return Ok(Wanted(None));
        }
        let Some(names) = fields.take_list("AttributesToGet") else { return Ok(Wanted(None)) };
        let names: Vec<String> = names.into_iter().map(Node::into_text).collect();
        let repeated = (0..names.len()).find(|at| names[..*at].contains(&names[*at]));
        if let Some(at) = repeated {
            return Err(invalid_parameter(format!(
                "Duplicate value in attribute name: {}",
                names[at]
            )));
        }
        let paths = names.into_iter().map(Path::new).collect();
        Projection::new(paths).map(|projection| Wanted(Some(projection))).map_err(expression)
    }

    /// Tells whether the request asks for parts only.
    pub fn is_partial(&self) -> bool {
        self.0.is_some()
    }

    /// The attributes of which the request asks for all or a part; none when it asks for all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let paths = self.0.iter().flat_map(Projection::paths);
        paths.map(|path| path.attribute.as_str())
    }

    /// Refuses paths into key attributes.
    pub fn check_keys(&self, schema: &dyn KeyNames) -> Result<(), ApiError> {
        self.0
            .as_ref()
            .map_or(Ok(()), |projection| projection.check_keys(schema).map_err(expression))
    }

    /// Returns the parts of an item.
    pub fn of(&self, item: Item) -> Item {
        match &self.0 {
            None => item,
            Some(projection) => projection.project(&item),
        }
    }
}
