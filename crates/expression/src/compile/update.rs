//! Checks and resolves updates.

use meridian_model::AttributeValue;

use super::condition::exactly;
use super::{Resolver, check_path};
use crate::ast::{SetOperand, SetValue, UpdateAction};
use crate::error::Problem;
use crate::parser::Origin;
use crate::path_tree::build_tree;
use crate::placeholders::Placeholders;
use crate::syntax::{Call, WrittenAction, WrittenOperand, WrittenSection, WrittenSet};

/// A function of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    IfNotExists,
    ListAppend,
}

impl Function {
    fn of(call: &Call) -> Result<Self, Problem> {
        match call.function.as_str() {
            "if_not_exists" => Ok(Function::IfNotExists),
            "list_append" => Ok(Function::ListAppend),
            other @ ("attribute_exists"
            | "attribute_not_exists"
            | "attribute_type"
            | "begins_with"
            | "contains"
            | "size") => Err(Problem::NotInUpdate(other.to_owned())),
            other => Err(Problem::UnknownFunction(other.to_owned())),
        }
    }
}

/// Compiles an update; the actions keep their order.
pub(crate) fn compile_update(
    sections: &[WrittenSection],
    placeholders: &mut Placeholders,
    origin: Origin,
) -> Result<Vec<UpdateAction>, Problem> {
    let actions = || sections.iter().flat_map(|section| &section.actions);
    actions().try_for_each(check_form)?;
    check_sections(sections)?;
    let mut resolver = Resolver { placeholders, origin };
    actions().try_for_each(|action| resolver.path(action.path()).map(|_| ()))?;
    actions().try_for_each(|action| resolver.define_values(action))?;
    let paths =
        actions().map(|action| resolver.path(action.path())).collect::<Result<Vec<_>, _>>()?;
    build_tree(&paths.iter().collect::<Vec<_>>())?;
    actions().map(|action| resolver.action(action)).collect()
}

fn check_sections(sections: &[WrittenSection]) -> Result<(), Problem> {
    for (position, section) in sections.iter().enumerate() {
        if sections[..position].iter().any(|before| before.keyword == section.keyword) {
            return Err(Problem::RepeatedSection(section.keyword));
        }
    }
    Ok(())
}

/// The checks that need no placeholder.
fn check_form(action: &WrittenAction) -> Result<(), Problem> {
    check_path(action.path())?;
    match action {
        WrittenAction::Set(_, WrittenSet::Operand(operand)) => check_operand(operand, true),
        WrittenAction::Set(_, WrittenSet::Plus(left, right) | WrittenSet::Minus(left, right)) => {
            check_operand(left, true)?;
            check_operand(right, true)
        }
        WrittenAction::Remove(_) | WrittenAction::Add(..) | WrittenAction::Delete(..) => Ok(()),
    }
}

/// `list_append` stands only where the value of an assignment does, not within a function.
fn check_operand(operand: &WrittenOperand, outermost: bool) -> Result<(), Problem> {
    match operand {
        WrittenOperand::Path(path) => check_path(path),
        WrittenOperand::Value(_) => Ok(()),
        WrittenOperand::Call(call) => {
            if Function::of(call)? == Function::ListAppend && !outermost {
                return Err(Problem::MisusedFunction(call.function.clone()));
            }
            call.operands.iter().try_for_each(|operand| check_operand(operand, false))
        }
    }
}

impl Resolver<'_> {
    fn define_values(&mut self, action: &WrittenAction) -> Result<(), Problem> {
        match action {
            WrittenAction::Set(_, WrittenSet::Operand(operand)) => self.define(operand),
            WrittenAction::Set(_, WrittenSet::Plus(l, r) | WrittenSet::Minus(l, r)) => {
                self.define(l)?;
                self.define(r)
            }
            WrittenAction::Remove(_) => Ok(()),
            WrittenAction::Add(_, value) | WrittenAction::Delete(_, value) => {
                self.value(value).map(|_| ())
            }
        }
    }

    fn action(&mut self, action: &WrittenAction) -> Result<UpdateAction, Problem> {
        let path = self.path(action.path())?;
        match action {
            WrittenAction::Set(_, value) => Ok(UpdateAction::Set(path, self.set_value(value)?)),
            WrittenAction::Remove(_) => Ok(UpdateAction::Remove(path)),
            WrittenAction::Add(_, value) => {
                let value = self.value(value)?;
                let fits = value.is_set() || matches!(value, AttributeValue::N(_));
                self.check_section("ADD", fits, &value)?;
                Ok(UpdateAction::Add(path, value))
            }
            WrittenAction::Delete(_, value) => {
                let value = self.value(value)?;
                self.check_section("DELETE", value.is_set(), &value)?;
                Ok(UpdateAction::Delete(path, value))
            }
        }
    }

    fn check_section(
        &self,
        operator: &'static str,
        fits: bool,
        value: &AttributeValue,
    ) -> Result<(), Problem> {
        if fits || self.origin == Origin::Peer {
            return Ok(());
        }
        Err(Problem::SectionOperandType { operator, operand: type_in_words(value) })
    }

    fn set_value(&mut self, value: &WrittenSet) -> Result<SetValue, Problem> {
        match value {
            WrittenSet::Operand(operand) => self.set_operand(operand).map(SetValue::Operand),
            WrittenSet::Plus(left, right) => {
                Ok(SetValue::Plus(self.number("+", left)?, self.number("+", right)?))
            }
            WrittenSet::Minus(left, right) => {
                Ok(SetValue::Minus(self.number("-", left)?, self.number("-", right)?))
            }
        }
    }

    fn number(
        &mut self,
        operator: &'static str,
        written: &WrittenOperand,
    ) -> Result<SetOperand, Problem> {
        let operand = self.set_operand(written)?;
        self.check_set_type(operator, &operand, "N")?;
        Ok(operand)
    }

    fn set_operand(&mut self, written: &WrittenOperand) -> Result<SetOperand, Problem> {
        let call = match written {
            WrittenOperand::Path(path) => return self.path(path).map(SetOperand::Path),
            WrittenOperand::Value(value) => return self.value(value).map(SetOperand::Value),
            WrittenOperand::Call(call) => call,
        };
        let [first, second] = exactly(call)?;
        let (first, second) = (self.set_operand(first)?, Box::new(self.set_operand(second)?));
        match (Function::of(call)?, first) {
            (Function::IfNotExists, SetOperand::Path(path)) => {
                Ok(SetOperand::IfNotExists(path, second))
            }
            (Function::IfNotExists, _) => Err(Problem::PathRequired("if_not_exists")),
            (Function::ListAppend, first) => {
                self.check_set_type("list_append", &first, "L")?;
                self.check_set_type("list_append", &second, "L")?;
                Ok(SetOperand::ListAppend(Box::new(first), second))
            }
        }
    }

    /// Refuses an operand whose type is known and is another.
    fn check_set_type(
        &self,
        operator: &'static str,
        operand: &SetOperand,
        wanted: &str,
    ) -> Result<(), Problem> {
        let known = match operand {
            SetOperand::Value(value) => value.type_name(),
            SetOperand::ListAppend(..) => "L",
            SetOperand::Path(_) | SetOperand::IfNotExists(..) => return Ok(()),
        };
        if known == wanted || self.origin == Origin::Peer {
            return Ok(());
        }
        Err(Problem::OperandType { operator, operand: known })
    }
}

/// The type of a value as messages about `ADD` and `DELETE` name it.
fn type_in_words(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "STRING",
        AttributeValue::N(_) => "NUMBER",
        AttributeValue::B(_) => "BINARY",
        AttributeValue::Ss(_) => "STRING_SET",
        AttributeValue::Ns(_) => "NUMBER_SET",
        AttributeValue::Bs(_) => "BINARY_SET",
        AttributeValue::L(_) => "LIST",
        AttributeValue::M(_) => "MAP",
        AttributeValue::Bool(_) => "BOOLEAN",
        AttributeValue::Null => "NULL",
    }
}
