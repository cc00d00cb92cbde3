//! Checks written expressions and resolves their names and values.
//!
//! The order of the checks is the service's: first functions and reserved words over the whole
//! expression, then, comparison by comparison, placeholders, operand counts, repeated operands and
//! operand types.
//!
//! # Invariants
//!
//! - A compiled path has at most 32 steps.
//! - What a peer printed is checked for form only: the checks of meaning were made where the
//!   request came in, and the legacy parameters may say what a text of a client may not.
//!
//! Tested by `condition/tests.rs` and `update/tests.rs`.

pub(crate) mod condition;
pub(crate) mod update;

use meridian_base::limits::NESTING_LEVELS_MAX;
use meridian_model::AttributeValue;

use crate::error::{ExpressionError, ExpressionKind, Problem};
use crate::parser::Origin;
use crate::path::{Path, Step};
use crate::placeholders::Placeholders;
use crate::reserved::is_reserved;
use crate::syntax::{WrittenOperand, WrittenPath, WrittenStep};

/// Largest list index (the service keeps it in 31 bits).
const INDEX_MAX: u32 = i32::MAX.unsigned_abs();

/// Puts the name of the expression before a problem.
pub(crate) fn invalid(kind: ExpressionKind) -> impl Fn(Problem) -> ExpressionError {
    move |problem| ExpressionError::Invalid { kind, problem }
}

/// Compiles the paths of a projection.
pub(crate) fn compile_projection(
    paths: &[WrittenPath],
    placeholders: &mut Placeholders,
) -> Result<Vec<Path>, Problem> {
    paths.iter().try_for_each(check_path)?;
    let mut resolver = Resolver { placeholders, origin: Origin::Client };
    paths.iter().map(|path| resolver.path(path)).collect()
}

/// Refuses reserved words and indexes out of range.
fn check_path(path: &WrittenPath) -> Result<(), Problem> {
    for step in path {
        match step {
            WrittenStep::Name(name) if is_reserved(name) => {
                return Err(Problem::Reserved(name.clone()));
            }
            WrittenStep::Index(digits) => {
                index_of(digits)?;
            }
            WrittenStep::Name(_) | WrittenStep::Placeholder(_) => {}
        }
    }
    Ok(())
}

fn index_of(digits: &str) -> Result<u32, Problem> {
    digits
        .parse()
        .ok()
        .filter(|index| *index <= INDEX_MAX)
        .ok_or_else(|| Problem::IndexOutOfRange(digits.to_owned()))
}

/// Resolves placeholders.
struct Resolver<'a> {
    placeholders: &'a mut Placeholders,
    origin: Origin,
}

impl Resolver<'_> {
    /// Refuses undefined placeholders of an operand and of all operands in it.
    fn define(&mut self, operand: &WrittenOperand) -> Result<(), Problem> {
        match operand {
            WrittenOperand::Path(path) => self.path(path).map(|_| ()),
            WrittenOperand::Value(placeholder) => match self.placeholders.value(placeholder) {
                Some(_) => Ok(()),
                None => Err(Problem::UndefinedValue(placeholder.clone())),
            },
            WrittenOperand::Call(call) => call.operands.iter().try_for_each(|o| self.define(o)),
        }
    }

    fn path(&mut self, written: &WrittenPath) -> Result<Path, Problem> {
        let mut steps = written.iter().map(|step| self.step(step));
        let attribute = match steps.next() {
            Some(Ok(Step::Key(attribute))) => attribute,
            Some(Err(problem)) => return Err(problem),
            Some(Ok(Step::Index(_))) | None => unreachable!("the grammar starts a path by a name"),
        };
        let path = Path { attribute, steps: steps.collect::<Result<_, _>>()? };
        if path.depth() > NESTING_LEVELS_MAX {
            return Err(Problem::PathTooDeep(path.depth()));
        }
        Ok(path)
    }

    fn step(&mut self, step: &WrittenStep) -> Result<Step, Problem> {
        match step {
            WrittenStep::Name(name) => Ok(Step::Key(name.clone())),
            WrittenStep::Placeholder(placeholder) => self
                .placeholders
                .name(placeholder)
                .map(|name| Step::Key(name.to_owned()))
                .ok_or_else(|| Problem::UndefinedName(placeholder.clone())),
            WrittenStep::Index(digits) => index_of(digits).map(Step::Index),
        }
    }

    fn value(&mut self, placeholder: &str) -> Result<AttributeValue, Problem> {
        self.placeholders
            .value(placeholder)
            .cloned()
            .ok_or_else(|| Problem::UndefinedValue(placeholder.to_owned()))
    }
}
