//! `WHERE`: comparisons, functions and `AND`, `OR`, `NOT`, as a predicate.
//!
//! What stands in parentheses is read as an operand or a condition, whichever it turns out to be.
//!
//! # Invariants
//!
//! - A condition passes the checks of a client's ConditionExpression: it is printed as one and
//!   compiled again.
//!
//! Tested by `partiql/tests.rs`.

use meridian_model::AttributeValue;

use super::cursor::{Cursor, is_keyword};
use super::error::{Malformed, StatementError};
use super::lexer::Token;
use crate::ast::{Comparator, Operand, Predicate};
use crate::condition::Condition;
use crate::error::ExpressionKind;
use crate::path::Path;

/// What may stand in parentheses.
enum Part {
    Operand(Operand),
    Condition(Predicate),
}

impl Cursor<'_> {
    /// Reads the condition behind `WHERE`.
    pub(super) fn condition(&mut self) -> Result<Condition, StatementError> {
        let predicate = self.any()?.condition()?;
        let source = Condition::new(predicate).source();
        Ok(Condition::parse(ExpressionKind::Condition, &source.text, &mut source.placeholders())?)
    }

    /// Conditions joined by `OR`, or what is less.
    fn any(&mut self) -> Result<Part, StatementError> {
        let first = self.all()?;
        if !self.is_word(0, "OR") {
            return Ok(first);
        }
        let mut parts = vec![first.condition()?];
        while self.take_word("OR") {
            parts.push(self.all()?.condition()?);
        }
        Ok(Part::Condition(Predicate::Or(parts)))
    }

    /// Conditions joined by `AND`, or what is less.
    fn all(&mut self) -> Result<Part, StatementError> {
        let first = self.one()?;
        if !self.is_word(0, "AND") {
            return Ok(first);
        }
        let mut parts = vec![first.condition()?];
        while self.take_word("AND") {
            parts.push(self.one()?.condition()?);
        }
        Ok(Part::Condition(Predicate::And(parts)))
    }

    /// One condition or operand.
    fn one(&mut self) -> Result<Part, StatementError> {
        if self.take_word("NOT") {
            let inner = self.deeper(Self::one)?.condition()?;
            return Ok(Part::Condition(Predicate::Not(Box::new(inner))));
        }
        let operand = match self.primary()? {
            Part::Operand(operand) => operand,
            condition @ Part::Condition(_) => return Ok(condition),
        };
        if let Some(comparator) = self.comparator() {
            let right = self.operand()?;
            return Ok(Part::Condition(Predicate::Compare { comparator, left: operand, right }));
        }
        if self.take_word("IS") {
            let not = self.take_word("NOT");
            let predicate = self.is_what(operand)?;
            return Ok(Part::Condition(negated(not, predicate)));
        }
        if self.is_word(0, "NOT") && self.is_word(1, "MISSING") {
            self.step();
            self.step();
            return Ok(Part::Condition(Predicate::Exists(path_of(operand)?)));
        }
        let not = (self.is_word(1, "IN") || self.is_word(1, "BETWEEN")) && self.take_word("NOT");
        if self.take_word("BETWEEN") {
            let low = self.operand()?;
            self.expect_word("AND")?;
            let high = self.operand()?;
            let predicate = Predicate::Between { operand, low, high };
            return Ok(Part::Condition(negated(not, predicate)));
        }
        if self.take_word("IN") {
            let list = self.in_list()?;
            return Ok(Part::Condition(negated(not, Predicate::In { operand, list })));
        }
        self.refuse_operators()?;
        Ok(Part::Operand(operand))
    }

    fn comparator(&mut self) -> Option<Comparator> {
        let comparator = match self.peek(0) {
            Token::Sign("!=") => Comparator::NotEqual,
            Token::Sign(sign) => Comparator::ALL.into_iter().find(|one| one.sign() == *sign)?,
            Token::Word(_)
            | Token::Quoted(_)
            | Token::Text(_)
            | Token::Number(_)
            | Token::Parameter
            | Token::End => return None,
        };
        self.step();
        Some(comparator)
    }

    /// Names the operators that statements of DynamoDB lack.
    fn refuse_operators(&self) -> Result<(), StatementError> {
        let refused = |what: &str| Err(StatementError::Unsupported(what.to_owned()));
        match self.peek(0) {
            Token::Sign("+" | "-" | "*") => refused("arithmetic in a condition"),
            Token::Word(word) if word.eq_ignore_ascii_case("LIKE") => refused("LIKE"),
            _ => Ok(()),
        }
    }

    /// Reads what `IS` asks for.
    fn is_what(&mut self, operand: Operand) -> Result<Predicate, StatementError> {
        let Token::Word(word) = self.peek(0).clone() else {
            return Err(Malformed::Expected("a type name").into());
        };
        self.step();
        let types: &[&'static str] = match word.to_ascii_uppercase().as_str() {
            "MISSING" => return Ok(Predicate::NotExists(path_of(operand)?)),
            "NULL" => &["NULL"],
            "BOOL" | "BOOLEAN" => &["BOOL"],
            "STRING" => &["S"],
            "INT" | "INTEGER" | "DECIMAL" | "NUMERIC" | "NUMBER" => &["N"],
            "BLOB" | "BINARY" => &["B"],
            "LIST" => &["L"],
            "STRUCT" | "TUPLE" | "MAP" => &["M"],
            "BAG" | "SET" => &["SS", "NS", "BS"],
            _ => return Err(StatementError::Unsupported(format!("the type {word}"))),
        };
        let tests = types.iter().map(|name| Predicate::HasType(operand.clone(), name)).collect();
        Predicate::any(tests).ok_or(Malformed::Expected("a type name").into())
    }

    /// Reads what `IN` looks through: values in brackets or parentheses, or a list or set that came
    /// as a parameter.
    fn in_list(&mut self) -> Result<Vec<Operand>, StatementError> {
        let close = if self.take_sign("[") {
            "]"
        } else if self.take_sign("(") {
            ")"
        } else {
            return match self.value()? {
                AttributeValue::L(list) if !list.is_empty() => {
                    Ok(list.into_iter().map(Operand::Value).collect())
                }
                AttributeValue::Ss(set) => {
                    Ok(set.into_iter().map(|m| Operand::Value(AttributeValue::S(m))).collect())
                }
                AttributeValue::Ns(set) => {
                    Ok(set.into_iter().map(|m| Operand::Value(AttributeValue::N(m))).collect())
                }
                AttributeValue::Bs(set) => {
                    Ok(set.into_iter().map(|m| Operand::Value(AttributeValue::B(m))).collect())
                }
                _ => Err(Malformed::Expected("a list of values behind IN").into()),
            };
        };
        let mut list = vec![self.operand()?];
        while self.take_sign(",") {
            list.push(self.operand()?);
        }
        self.expect_sign(close)?;
        Ok(list)
    }

    fn operand(&mut self) -> Result<Operand, StatementError> {
        let operand = match self.primary()? {
            Part::Operand(operand) => operand,
            Part::Condition(_) => {
                return Err(StatementError::Unsupported(
                    "a condition where a value is needed".to_owned(),
                ));
            }
        };
        self.refuse_operators()?;
        Ok(operand)
    }

    /// A value, a path, a function, or anything in parentheses.
    fn primary(&mut self) -> Result<Part, StatementError> {
        if self.take_sign("(") {
            let inner = self.deeper(Self::any)?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        if self.is_value() {
            return self.value().map(|value| Part::Operand(Operand::Value(value)));
        }
        match self.peek(0).clone() {
            Token::Word(word) if *self.peek(1) == Token::Sign("(") => {
                self.step();
                self.step();
                self.deeper(|cursor| cursor.call(&word))
            }
            Token::Word(word) if is_keyword(&word) => Err(Malformed::Keyword.into()),
            Token::Word(_) | Token::Quoted(_) => {
                self.path().map(|path| Part::Operand(Operand::Path(path)))
            }
            Token::Text(_) | Token::Number(_) | Token::Sign(_) | Token::Parameter | Token::End => {
                Err(Malformed::Term.into())
            }
        }
    }

    /// Reads the operands of a function behind its parenthesis.
    fn call(&mut self, function: &str) -> Result<Part, StatementError> {
        let part = match function.to_ascii_lowercase().as_str() {
            "size" => Part::Operand(Operand::Size(Box::new(self.operand()?))),
            "begins_with" => {
                let (operand, prefix) = self.pair()?;
                Part::Condition(Predicate::BeginsWith(operand, prefix))
            }
            "contains" => {
                let (operand, part) = self.pair()?;
                Part::Condition(Predicate::Contains(operand, part))
            }
            "attribute_type" => {
                let (operand, name) = self.pair()?;
                Part::Condition(Predicate::HasType(operand, type_named(&name)?))
            }
            "exists" => {
                return Err(StatementError::Unsupported("EXISTS outside a transaction".to_owned()));
            }
            _ => {
                return Err(StatementError::Unsupported(format!(
                    "the function {function} in a condition"
                )));
            }
        };
        self.expect_sign(")")?;
        Ok(part)
    }

    fn pair(&mut self) -> Result<(Operand, Operand), StatementError> {
        let first = self.operand()?;
        self.expect_sign(",")?;
        Ok((first, self.operand()?))
    }
}

impl Part {
    fn condition(self) -> Result<Predicate, StatementError> {
        match self {
            Part::Condition(predicate) => Ok(predicate),
            Part::Operand(_) => {
                Err(StatementError::Unsupported("a value where a condition is needed".to_owned()))
            }
        }
    }
}

fn negated(not: bool, predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::NotExists(path) if not => Predicate::Exists(path),
        predicate if not => Predicate::Not(Box::new(predicate)),
        predicate => predicate,
    }
}

fn path_of(operand: Operand) -> Result<Path, StatementError> {
    match operand {
        Operand::Path(path) => Ok(path),
        Operand::Value(_) | Operand::Size(_) => {
            Err(StatementError::Unsupported("MISSING of anything but a path".to_owned()))
        }
    }
}

fn type_named(operand: &Operand) -> Result<&'static str, StatementError> {
    const NAMES: [&str; 10] = ["S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"];
    let name = match operand {
        Operand::Value(AttributeValue::S(name)) => name.as_str(),
        Operand::Value(_) | Operand::Path(_) | Operand::Size(_) => {
            return Err(Malformed::Expected("the name of a type in single quotes").into());
        }
    };
    NAMES
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| StatementError::Unsupported(format!("the attribute type {name}")))
}
