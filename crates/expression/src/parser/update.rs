//! The grammar of updates: sections of actions.

use super::{Parenthesized, Parser};
use crate::error::Problem;
use crate::lexer::TokenKind;
use crate::syntax::{WrittenAction, WrittenOperand, WrittenSection, WrittenSet};

type Read<'a> = fn(&mut Parser<'a>) -> Result<WrittenAction, Problem>;

impl<'a> Parser<'a> {
    pub(super) fn sections(&mut self) -> Result<Vec<WrittenSection>, Problem> {
        let mut sections = vec![self.section()?];
        while self.end().is_err() {
            sections.push(self.section()?);
        }
        Ok(sections)
    }

    fn section(&mut self) -> Result<WrittenSection, Problem> {
        let keyword = ["SET", "REMOVE", "ADD", "DELETE"].into_iter().find(|k| self.take(k));
        let (keyword, read): (_, Read<'a>) = match keyword {
            Some(keyword @ "SET") => (keyword, Self::set),
            Some(keyword @ "REMOVE") => (keyword, Self::remove),
            Some(keyword @ "ADD") => (keyword, Self::add),
            Some(keyword) => (keyword, Self::delete),
            None => return self.fail(),
        };
        let mut actions = vec![read(self)?];
        while self.take(",") {
            actions.push(read(self)?);
        }
        Ok(WrittenSection { keyword, actions })
    }

    fn set(&mut self) -> Result<WrittenAction, Problem> {
        let path = self.path()?;
        self.expect("=")?;
        Ok(WrittenAction::Set(path, self.set_value()?.inner))
    }

    fn remove(&mut self) -> Result<WrittenAction, Problem> {
        Ok(WrittenAction::Remove(self.path()?))
    }

    fn add(&mut self) -> Result<WrittenAction, Problem> {
        Ok(WrittenAction::Add(self.path()?, self.token(TokenKind::Value)?))
    }

    fn delete(&mut self) -> Result<WrittenAction, Problem> {
        Ok(WrittenAction::Delete(self.path()?, self.token(TokenKind::Value)?))
    }

    /// Reads `operand`, `operand + operand` or `operand - operand`, in parentheses or not.
    fn set_value(&mut self) -> Result<Parenthesized<WrittenSet>, Problem> {
        let left = if self.take("(") {
            let inner = self.deeper(Self::set_value)?;
            match inner.inner {
                WrittenSet::Operand(operand) => {
                    self.close(Parenthesized { inner: operand, parentheses: inner.parentheses })?
                }
                arithmetic @ (WrittenSet::Plus(..) | WrittenSet::Minus(..)) => {
                    self.expect(")")?;
                    if inner.parentheses {
                        return Err(Problem::RedundantParentheses);
                    }
                    return Ok(Parenthesized { inner: arithmetic, parentheses: true });
                }
            }
        } else {
            self.operand()?
        };
        let join: fn(WrittenOperand, WrittenOperand) -> WrittenSet = if self.take("+") {
            WrittenSet::Plus
        } else if self.take("-") {
            WrittenSet::Minus
        } else {
            let parentheses = left.parentheses;
            return Ok(Parenthesized { inner: WrittenSet::Operand(left.inner), parentheses });
        };
        let right = self.operand()?.inner;
        Ok(Parenthesized { inner: join(left.inner, right), parentheses: false })
    }
}
