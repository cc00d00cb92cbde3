//! Document paths: a top-level attribute, then map entries and list elements.

use std::fmt;

use meridian_model::{AttributeValue, Item};

/// One step of a path after the attribute name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// An entry of a map.
    Key(String),
    /// An element of a list.
    Index(u32),
}

/// Where a value stands in an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The top-level attribute.
    pub attribute: String,
    /// The way down from it.
    pub steps: Vec<Step>,
}

impl Path {
    /// Makes the path of a top-level attribute.
    pub fn new(attribute: impl Into<String>) -> Self {
        Path { attribute: attribute.into(), steps: Vec::new() }
    }

    /// Extends the path by a map entry.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.steps.push(Step::Key(key.into()));
        self
    }

    /// Extends the path by a list element.
    pub fn index(mut self, index: u32) -> Self {
        self.steps.push(Step::Index(index));
        self
    }

    /// The number of steps, the attribute included.
    pub fn depth(&self) -> usize {
        1 + self.steps.len()
    }

    /// The value at this path.
    pub fn resolve<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        let mut value = item.get(&self.attribute)?;
        for step in &self.steps {
            value = match (step, value) {
                (Step::Key(key), AttributeValue::M(map)) => map.get(key)?,
                (Step::Index(index), AttributeValue::L(list)) => {
                    list.get(usize::try_from(*index).ok()?)?
                }
                (Step::Key(_) | Step::Index(_), _) => return None,
            };
        }
        Some(value)
    }
}

impl fmt::Display for Path {
    /// Prints the steps as DynamoDB's messages do: `[a, b, [0]]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.attribute)?;
        for step in &self.steps {
            match step {
                Step::Key(key) => write!(f, ", {key}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}
