//! The grammar of conditions: `OR` binds weakest, then `AND`, then `NOT`, then comparisons.

use super::{Parenthesized, Parser};
use crate::ast::Comparator;
use crate::error::Problem;
use crate::syntax::{WrittenCondition, WrittenOperand};

/// What parentheses may hold. An operand becomes a condition by what follows it, or, if it is a
/// function, by itself.
enum Either {
    Condition(Parenthesized<WrittenCondition>),
    Operand(Parenthesized<WrittenOperand>),
}

impl Parser<'_> {
    pub(super) fn whole_condition(&mut self) -> Result<WrittenCondition, Problem> {
        let read = self.disjunction()?;
        self.condition_of(read)
    }

    fn disjunction(&mut self) -> Result<Either, Problem> {
        self.joined("OR", Self::conjunction, WrittenCondition::Or)
    }

    fn conjunction(&mut self) -> Result<Either, Problem> {
        self.joined("AND", Self::negation, WrittenCondition::And)
    }

    fn joined(
        &mut self,
        keyword: &str,
        read: fn(&mut Self) -> Result<Either, Problem>,
        join: fn(Vec<WrittenCondition>) -> WrittenCondition,
    ) -> Result<Either, Problem> {
        let first = read(self)?;
        if !self.is(keyword) {
            return Ok(first);
        }
        let mut parts = vec![self.condition_of(first)?];
        while self.take(keyword) {
            let part = read(self)?;
            parts.push(self.condition_of(part)?);
        }
        Ok(Either::bare(join(parts)))
    }

    fn negation(&mut self) -> Result<Either, Problem> {
        if !self.take("NOT") {
            return self.comparison();
        }
        let read = self.deeper(Self::negation)?;
        let inner = self.condition_of(read)?;
        Ok(Either::bare(WrittenCondition::Not(Box::new(inner))))
    }

    fn comparison(&mut self) -> Result<Either, Problem> {
        let operand = match self.opened_or_operand()? {
            Either::Operand(operand) => operand,
            condition @ Either::Condition(_) => return Ok(condition),
        };
        if let Some(comparator) = self.comparator() {
            let right = self.operand()?.inner;
            let left = operand.inner;
            return Ok(Either::bare(WrittenCondition::Compare { comparator, left, right }));
        }
        if self.take("BETWEEN") {
            let low = self.operand()?.inner;
            self.expect("AND")?;
            let high = self.operand()?.inner;
            let operand = operand.inner;
            return Ok(Either::bare(WrittenCondition::Between { operand, low, high }));
        }
        if self.take("IN") {
            self.expect("(")?;
            let list = self.operands()?;
            self.expect(")")?;
            return Ok(Either::bare(WrittenCondition::In { operand: operand.inner, list }));
        }
        Ok(Either::Operand(operand))
    }

    /// Reads what stands in parentheses, or an operand without.
    fn opened_or_operand(&mut self) -> Result<Either, Problem> {
        if !self.take("(") {
            return Ok(Either::Operand(self.operand()?));
        }
        match self.deeper(Self::disjunction)? {
            Either::Operand(operand) => Ok(Either::Operand(self.close(operand)?)),
            Either::Condition(condition) => {
                self.expect(")")?;
                if condition.parentheses {
                    return Err(Problem::RedundantParentheses);
                }
                let inner = condition.inner;
                Ok(Either::Condition(Parenthesized { inner, parentheses: true }))
            }
        }
    }

    fn comparator(&mut self) -> Option<Comparator> {
        let comparator = Comparator::ALL.into_iter().find(|c| self.is(c.sign()))?;
        self.at += 1;
        Some(comparator)
    }

    /// Takes what was read as a condition; anything but a function is a syntax error here, where
    /// its comparator is missing.
    fn condition_of(&self, read: Either) -> Result<WrittenCondition, Problem> {
        match read {
            Either::Condition(condition) => Ok(condition.inner),
            Either::Operand(operand) => match operand.inner {
                WrittenOperand::Call(call) => Ok(WrittenCondition::Call(call)),
                WrittenOperand::Path(_) | WrittenOperand::Value(_) => self.fail(),
            },
        }
    }
}

impl Either {
    fn bare(inner: WrittenCondition) -> Self {
        Either::Condition(Parenthesized { inner, parentheses: false })
    }
}
