//! The clauses of `UPDATE`: `SET` and `REMOVE`, as update actions.
//!
//! # Invariants
//!
//! - An update passes the checks of a client's UpdateExpression: it is printed as one and compiled
//!   again.
//!
//! Tested by `partiql/tests.rs`.

use super::cursor::Cursor;
use super::error::{Malformed, StatementError};
use super::lexer::Token;
use crate::ast::{SetOperand, SetValue, UpdateAction};
use crate::path::Path;
use crate::update::Update;

impl Cursor<'_> {
    /// Reads one or more clauses.
    pub(super) fn clauses(&mut self) -> Result<Update, StatementError> {
        let mut actions = Vec::new();
        loop {
            if self.take_word("SET") {
                actions.push(self.assignment()?);
                while self.take_sign(",") {
                    actions.push(self.assignment()?);
                }
            } else if self.take_word("REMOVE") {
                actions.push(UpdateAction::Remove(self.path()?));
                while self.take_sign(",") {
                    actions.push(UpdateAction::Remove(self.path()?));
                }
            } else {
                break;
            }
        }
        if actions.is_empty() {
            return Err(Malformed::Manipulation.into());
        }
        let source = Update::new(actions)?.source();
        Ok(Update::parse(&source.text, &mut source.placeholders())?)
    }

    fn assignment(&mut self) -> Result<UpdateAction, StatementError> {
        let path = self.path()?;
        self.expect_sign("=")?;
        for (function, action) in [
            ("set_add", UpdateAction::Add as fn(Path, _) -> UpdateAction),
            ("set_delete", UpdateAction::Delete),
        ] {
            if self.take_call(function) {
                return self.set_change(function, &path).map(|value| action(path, value));
            }
        }
        let left = self.set_operand()?;
        let value = if self.take_sign("+") {
            SetValue::Plus(left, self.set_operand()?)
        } else if self.take_sign("-") {
            SetValue::Minus(left, self.set_operand()?)
        } else {
            SetValue::Operand(left)
        };
        Ok(UpdateAction::Set(path, value))
    }

    /// Steps over the name of a function and its parenthesis if they stand here.
    fn take_call(&mut self, function: &str) -> bool {
        let is = self.is_word(0, function) && *self.peek(1) == Token::Sign("(");
        if is {
            self.step();
            self.step();
        }
        is
    }

    /// Reads the operands of `set_add` and `set_delete`. The set that they change must be the one
    /// that is assigned: that is what ADD and DELETE of an update do.
    fn set_change(
        &mut self,
        function: &str,
        target: &Path,
    ) -> Result<meridian_model::AttributeValue, StatementError> {
        if self.path()? != *target {
            return Err(StatementError::Unsupported(format!(
                "{function} of another attribute than the one that is set"
            )));
        }
        self.expect_sign(",")?;
        let value = self.value()?;
        if !value.is_set() {
            return Err(Malformed::Expected("a set").into());
        }
        self.expect_sign(")")?;
        Ok(value)
    }

    fn set_operand(&mut self) -> Result<SetOperand, StatementError> {
        if self.is_value() {
            return self.value().map(SetOperand::Value);
        }
        if self.take_call("list_append") {
            return self.deeper(|cursor| {
                let first = Box::new(cursor.set_operand()?);
                cursor.expect_sign(",")?;
                let second = Box::new(cursor.set_operand()?);
                cursor.expect_sign(")")?;
                Ok(SetOperand::ListAppend(first, second))
            });
        }
        match (self.peek(0), self.peek(1)) {
            (Token::Word(function), Token::Sign("(")) => Err(StatementError::Unsupported(format!(
                "the function {function} in an assignment"
            ))),
            (Token::Sign(_) | Token::End, _) => Err(Malformed::Term.into()),
            _ => self.path().map(SetOperand::Path),
        }
    }
}
