//! Compiled expressions as trees: names and values resolved, ready to evaluate.
//!
//! The trees can be built without a text: the legacy parameters are translated into them. They
//! print as expressions in which every name and value is a placeholder (see `source`).

use meridian_model::AttributeValue;

use crate::path::Path;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparator {
    /// All comparators.
    pub const ALL: [Comparator; 6] = [
        Comparator::Equal,
        Comparator::NotEqual,
        Comparator::Less,
        Comparator::LessOrEqual,
        Comparator::Greater,
        Comparator::GreaterOrEqual,
    ];

    /// The comparator as it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Comparator::Equal => "=",
            Comparator::NotEqual => "<>",
            Comparator::Less => "<",
            Comparator::LessOrEqual => "<=",
            Comparator::Greater => ">",
            Comparator::GreaterOrEqual => ">=",
        }
    }

    /// The comparator with its operands exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            Comparator::Equal => Comparator::Equal,
            Comparator::NotEqual => Comparator::NotEqual,
            Comparator::Less => Comparator::Greater,
            Comparator::LessOrEqual => Comparator::GreaterOrEqual,
            Comparator::Greater => Comparator::Less,
            Comparator::GreaterOrEqual => Comparator::LessOrEqual,
        }
    }
}

/// What a condition compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// The value at a path of the item.
    Path(Path),
    /// A value of the request.
    Value(AttributeValue),
    /// `size(operand)`
    Size(Box<Operand>),
}

/// A condition on an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// `left comparator right`
    Compare {
        /// How.
        comparator: Comparator,
        /// The left operand.
        left: Operand,
        /// The right operand.
        right: Operand,
    },
    /// `operand BETWEEN low AND high`, both bounds included.
    Between {
        /// The operand.
        operand: Operand,
        /// The lower bound.
        low: Operand,
        /// The upper bound.
        high: Operand,
    },
    /// `operand IN (list)`
    In {
        /// The operand.
        operand: Operand,
        /// What it may equal; not empty.
        list: Vec<Operand>,
    },
    /// `attribute_exists(path)`
    Exists(Path),
    /// `attribute_not_exists(path)`
    NotExists(Path),
    /// `attribute_type(operand, type)`; the type is named as [`AttributeValue::type_name`] does.
    HasType(Operand, &'static str),
    /// `begins_with(operand, prefix)`
    BeginsWith(Operand, Operand),
    /// `contains(operand, part)`
    Contains(Operand, Operand),
    /// All of them; two or more.
    And(Vec<Predicate>),
    /// Any of them; two or more.
    Or(Vec<Predicate>),
    /// Not so.
    Not(Box<Predicate>),
}

impl Predicate {
    /// Joins predicates by `AND`; one alone stays as it is.
    pub fn all(mut parts: Vec<Predicate>) -> Option<Predicate> {
        if parts.len() < 2 { parts.pop() } else { Some(Predicate::And(parts)) }
    }

    /// Joins predicates by `OR`; one alone stays as it is.
    pub fn any(mut parts: Vec<Predicate>) -> Option<Predicate> {
        if parts.len() < 2 { parts.pop() } else { Some(Predicate::Or(parts)) }
    }

    /// Calls `visit` with every path that the predicate reads.
    pub fn for_each_path<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        match self {
            Predicate::Compare { left, right, comparator: _ } => {
                left.for_each_path(visit);
                right.for_each_path(visit);
            }
            Predicate::Between { operand, low, high } => {
                [operand, low, high].into_iter().for_each(|o| o.for_each_path(visit));
            }
            Predicate::In { operand, list } => {
                operand.for_each_path(visit);
                list.iter().for_each(|o| o.for_each_path(visit));
            }
            Predicate::Exists(path) | Predicate::NotExists(path) => visit(path),
            Predicate::HasType(operand, _) => operand.for_each_path(visit),
            Predicate::BeginsWith(operand, other) | Predicate::Contains(operand, other) => {
                operand.for_each_path(visit);
                other.for_each_path(visit);
            }
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().for_each(|part| part.for_each_path(visit));
            }
            Predicate::Not(inner) => inner.for_each_path(visit),
        }
    }
}

impl Operand {
    fn for_each_path<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        match self {
            Operand::Path(path) => visit(path),
            Operand::Value(_) => {}
            Operand::Size(inner) => inner.for_each_path(visit),
        }
    }
}

/// What an assignment writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// An operand as it is.
    Operand(SetOperand),
    /// A sum of two numbers.
    Plus(SetOperand, SetOperand),
    /// A difference of two numbers.
    Minus(SetOperand, SetOperand),
}

/// An operand of an assignment. All reads see the item as it was before the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOperand {
    /// The value at a path of the item.
    Path(Path),
    /// A value of the request.
    Value(AttributeValue),
    /// `if_not_exists(path, otherwise)`
    IfNotExists(Path, Box<SetOperand>),
    /// `list_append(first, second)`
    ListAppend(Box<SetOperand>, Box<SetOperand>),
}

/// One action of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateAction {
    /// `SET path = value`
    Set(Path, SetValue),
    /// `REMOVE path`
    Remove(Path),
    /// `ADD path value`: to a number, to a set, or (legacy parameters only) to a list.
    Add(Path, AttributeValue),
    /// `DELETE path value`: from a set.
    Delete(Path, AttributeValue),
}

impl UpdateAction {
    /// The path that the action writes.
    pub fn path(&self) -> &Path {
        match self {
            UpdateAction::Set(path, _)
            | UpdateAction::Remove(path)
            | UpdateAction::Add(path, _)
            | UpdateAction::Delete(path, _) => path,
        }
    }
}
