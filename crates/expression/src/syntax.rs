//! Expressions as they are written: placeholders unresolved, nothing checked but the grammar.
//!
//! The parser makes these; `compile` resolves and checks them and gives the trees of `ast`.

/// One step of a written path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenStep {
    /// A plain name.
    Name(String),
    /// A `#` placeholder.
    Placeholder(String),
    /// A list index, its digits.
    Index(String),
}

/// A written path: first step a name or a placeholder.
pub(crate) type WrittenPath = Vec<WrittenStep>;

/// A written operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenOperand {
    Path(WrittenPath),
    /// A `:` placeholder.
    Value(String),
    Call(Call),
}

/// A function and its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) operands: Vec<WrittenOperand>,
}

/// A written condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenCondition {
    Compare { comparator: crate::ast::Comparator, left: WrittenOperand, right: WrittenOperand },
    Between { operand: WrittenOperand, low: WrittenOperand, high: WrittenOperand },
    In { operand: WrittenOperand, list: Vec<WrittenOperand> },
    Call(Call),
    And(Vec<WrittenCondition>),
    Or(Vec<WrittenCondition>),
    Not(Box<WrittenCondition>),
}

/// The right side of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenSet {
    Operand(WrittenOperand),
    Plus(WrittenOperand, WrittenOperand),
    Minus(WrittenOperand, WrittenOperand),
}

/// One action of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenAction {
    Set(WrittenPath, WrittenSet),
    Remove(WrittenPath),
    /// The value is a `:` placeholder.
    Add(WrittenPath, String),
    /// The value is a `:` placeholder.
    Delete(WrittenPath, String),
}

impl WrittenAction {
    /// The path that the action writes.
    pub(crate) fn path(&self) -> &WrittenPath {
        match self {
            WrittenAction::Set(path, _)
            | WrittenAction::Remove(path)
            | WrittenAction::Add(path, _)
            | WrittenAction::Delete(path, _) => path,
        }
    }
}

/// One section of an update with its keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenSection {
    pub(crate) keyword: &'static str,
    pub(crate) actions: Vec<WrittenAction>,
}
