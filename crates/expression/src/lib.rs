//! DynamoDB expressions: grammar, checks and evaluation.
//!
//! A text goes through the lexer and the parser to a written tree, through `compile` to a tree of
//! `ast` with names and values resolved, and is then evaluated as often as there are items. The
//! trees can also be built directly: the legacy parameters do so, and so do PartiQL statements.
//!
//! # Invariants
//!
//! - No text and no peer's bytes make this crate panic or overflow the stack.
//! - Every refusal prints the service's message; `error` is the one table of them.
//! - Evaluation reads nothing but the item and the compiled expression.
//!
//! Tested beside the code: texts of the service one by one, properties over generated expressions.

pub mod ast;
mod compile;
mod condition;
mod error;
mod key_condition;
mod lexer;
mod parser;
pub mod partiql;
mod path;
mod path_tree;
mod placeholders;
mod projection;
mod reserved;
mod source;
mod syntax;
#[cfg(test)]
mod testing;
mod update;

pub use ast::{Comparator, Operand, Predicate, SetOperand, SetValue, UpdateAction};
pub use condition::Condition;
pub use error::{
    ExpressionError, ExpressionKind, KeyConditionError, KeyUseError, PlaceholderError, Problem,
    UpdateError,
};
pub use key_condition::{KeyCondition, KeyConditionTerms, SortCondition};
pub use path::{Path, Step};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use reserved::is_reserved;
pub use source::ExpressionSource;
pub use update::{Update, Updated};
