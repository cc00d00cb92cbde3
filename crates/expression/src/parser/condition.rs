//! The grammar of conditions: `OR` binds weakest, then `AND`, then `NOT`, then comparisons.
//!
//! Open parentheses stand on a stack of our own, not the thread's: clients do nest conditions as
//! deep as the operator limit allows, each `AND` of a chain in its own parentheses.

use super::{DEPTH_MAX, Parenthesized, Parser};
use crate::ast::Comparator;
use crate::error::Problem;
use crate::syntax::{WrittenCondition, WrittenOperand};

/// What stands between two connectives. An operand becomes a condition by what follows it, or, if
/// it is a function, by itself.
enum Term {
    Condition(Parenthesized<WrittenCondition>),
    Operand(Parenthesized<WrittenOperand>),
}

/// What is read since an opening parenthesis, or since the start.
#[derive(Default)]
struct Open {
    alternatives: Vec<WrittenCondition>,
    conjuncts: Vec<WrittenCondition>,
    /// `NOT`s before the next term.
    negations: usize,
}

impl Open {
    /// Tells whether nothing stands before the next term.
    fn is_fresh(&self) -> bool {
        self.alternatives.is_empty() && self.conjuncts.is_empty() && self.negations == 0
    }

    fn and(&mut self, condition: WrittenCondition) {
        let negations = std::mem::take(&mut self.negations);
        let negated = |inner, _| WrittenCondition::Not(Box::new(inner));
        self.conjuncts.push((0..negations).fold(condition, negated));
    }

    fn or(&mut self, condition: WrittenCondition) {
        self.and(condition);
        let conjuncts = std::mem::take(&mut self.conjuncts);
        self.alternatives.push(joined(conjuncts, WrittenCondition::And));
    }

    fn finish(mut self, condition: WrittenCondition) -> WrittenCondition {
        self.or(condition);
        joined(self.alternatives, WrittenCondition::Or)
    }
}

fn joined(
    mut parts: Vec<WrittenCondition>,
    join: fn(Vec<WrittenCondition>) -> WrittenCondition,
) -> WrittenCondition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

impl Parser<'_> {
    pub(super) fn whole_condition(&mut self) -> Result<WrittenCondition, Problem> {
        let mut outer: Vec<Open> = Vec::new();
        let mut open = Open::default();
        let mut depth = 0;
        loop {
            if self.take("NOT") {
                open.negations += 1;
                deeper(&mut depth)?;
                continue;
            }
            if self.take("(") {
                outer.push(std::mem::take(&mut open));
                deeper(&mut depth)?;
                continue;
            }
            let inner = self.bare_operand()?;
            let mut term = self.comparison(Parenthesized { inner, parentheses: false })?;
            while self.is(")")
                && let Some(outside) = outer.pop()
            {
                depth -= 1 + open.negations;
                term = self.close_term(std::mem::replace(&mut open, outside), term)?;
            }
            depth -= open.negations;
            let condition = self.condition_of(term)?;
            if self.take("AND") {
                open.and(condition);
            } else if self.take("OR") {
                open.or(condition);
            } else if outer.is_empty() {
                return Ok(open.finish(condition));
            } else {
                return self.fail();
            }
        }
    }

    /// Ends a pair of parentheses around what `open` and `term` hold.
    fn close_term(&mut self, open: Open, term: Term) -> Result<Term, Problem> {
        match term {
            Term::Operand(operand) if open.is_fresh() => {
                let operand = self.close(operand)?;
                self.comparison(operand)
            }
            Term::Condition(condition) if open.is_fresh() && condition.parentheses => {
                Err(Problem::RedundantParentheses)
            }
            term => {
                let inner = open.finish(self.condition_of(term)?);
                self.expect(")")?;
                Ok(Term::Condition(Parenthesized { inner, parentheses: true }))
            }
        }
    }

    /// Reads on from the first operand of a comparison.
    fn comparison(&mut self, operand: Parenthesized<WrittenOperand>) -> Result<Term, Problem> {
        let inner = if let Some(comparator) = self.comparator() {
            let right = self.operand()?.inner;
            WrittenCondition::Compare { comparator, left: operand.inner, right }
        } else if self.take("BETWEEN") {
            let low = self.operand()?.inner;
            self.expect("AND")?;
            let high = self.operand()?.inner;
            WrittenCondition::Between { operand: operand.inner, low, high }
        } else if self.take("IN") {
            self.expect("(")?;
            let list = self.operands()?;
            self.expect(")")?;
            WrittenCondition::In { operand: operand.inner, list }
        } else {
            return Ok(Term::Operand(operand));
        };
        Ok(Term::Condition(Parenthesized { inner, parentheses: false }))
    }

    fn comparator(&mut self) -> Option<Comparator> {
        let comparator = Comparator::ALL.into_iter().find(|c| self.is(c.sign()))?;
        self.at += 1;
        Some(comparator)
    }

    /// Takes what was read as a condition; anything but a function is a syntax error here, where
    /// its comparator is missing.
    fn condition_of(&self, term: Term) -> Result<WrittenCondition, Problem> {
        match term {
            Term::Condition(condition) => Ok(condition.inner),
            Term::Operand(operand) => match operand.inner {
                WrittenOperand::Call(call) => Ok(WrittenCondition::Call(call)),
                WrittenOperand::Path(_) | WrittenOperand::Value(_) => self.fail(),
            },
        }
    }
}

fn deeper(depth: &mut usize) -> Result<(), Problem> {
    *depth += 1;
    if *depth > DEPTH_MAX { Err(Problem::TooDeep(*depth)) } else { Ok(()) }
}
