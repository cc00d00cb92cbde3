//! Values: literals, question marks, and lists, tuples and sets of them.
//!
//! # Invariants
//!
//! - A value nests no deeper than an attribute may, parameters within it included.

use std::collections::{BTreeMap, BTreeSet};

use meridian_base::limits::NESTING_LEVELS_MAX;
use meridian_model::{AttributeValue, Number, depth};

use super::cursor::{Cursor, is_keyword};
use super::error::{Malformed, StatementError};
use super::lexer::Token;

impl Cursor<'_> {
    /// Tells whether a value begins here, rather than a path or a function.
    pub(super) fn is_value(&self) -> bool {
        match self.peek(0) {
            Token::Text(_) | Token::Number(_) | Token::Parameter => true,
            Token::Sign(sign) => matches!(*sign, "[" | "{" | "<<" | "-" | "+"),
            Token::Word(_) => {
                ["TRUE", "FALSE", "NULL", "MISSING"].iter().any(|word| self.is_word(0, word))
            }
            Token::Quoted(_) | Token::End => false,
        }
    }

    /// Reads a value.
    pub(super) fn value(&mut self) -> Result<AttributeValue, StatementError> {
        let value = self.nested_value()?;
        if depth(&value) + 1 > NESTING_LEVELS_MAX {
            return Err(StatementError::TooDeep);
        }
        Ok(value)
    }

    /// Reads the value of an item as a whole, which may be a level deeper than an attribute.
    pub(super) fn item(&mut self) -> Result<AttributeValue, StatementError> {
        self.nested_value()
    }

    fn nested_value(&mut self) -> Result<AttributeValue, StatementError> {
        let token = self.peek(0).clone();
        self.step();
        match token {
            Token::Text(text) => Ok(AttributeValue::S(text)),
            Token::Number(text) => Ok(AttributeValue::N(Number::parse(&text)?)),
            Token::Parameter => Ok(self.parameter()),
            Token::Sign("[") => self.deeper(Self::list),
            Token::Sign("{") => self.deeper(Self::tuple).map(AttributeValue::M),
            Token::Sign("<<") => self.deeper(Self::set),
            Token::Sign(sign @ ("-" | "+")) => self.signed(sign),
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "TRUE" => Ok(AttributeValue::Bool(true)),
                "FALSE" => Ok(AttributeValue::Bool(false)),
                "NULL" => Ok(AttributeValue::Null),
                "MISSING" => {
                    Err(StatementError::Unsupported("MISSING anywhere but behind IS".to_owned()))
                }
                _ if is_keyword(&word) => Err(Malformed::Keyword.into()),
                _ => Err(Malformed::Term.into()),
            },
            Token::Quoted(_) | Token::Sign(_) | Token::End => Err(Malformed::Term.into()),
        }
    }

    fn signed(&mut self, sign: &str) -> Result<AttributeValue, StatementError> {
        let Token::Number(digits) = self.peek(0).clone() else {
            return Err(Malformed::Term.into());
        };
        self.step();
        Ok(AttributeValue::N(Number::parse(&format!("{sign}{digits}"))?))
    }

    fn list(&mut self) -> Result<AttributeValue, StatementError> {
        let mut list = Vec::new();
        if self.take_sign("]") {
            return Ok(AttributeValue::L(list));
        }
        loop {
            list.push(self.nested_value()?);
            if !self.take_sign(",") {
                break;
            }
        }
        self.expect_sign("]")?;
        Ok(AttributeValue::L(list))
    }

    /// Reads the entries of a tuple behind its brace. Names are strings.
    fn tuple(&mut self) -> Result<BTreeMap<String, AttributeValue>, StatementError> {
        let mut map = BTreeMap::new();
        if self.take_sign("}") {
            return Ok(map);
        }
        loop {
            let name = match self.peek(0).clone() {
                Token::Text(name) => name,
                _ => return Err(Malformed::Expected("a name in single quotes").into()),
            };
            if name.is_empty() {
                return Err(StatementError::EmptyName);
            }
            self.step();
            self.expect_sign(":")?;
            let value = self.nested_value()?;
            if map.insert(name.clone(), value).is_some() {
                return Err(StatementError::DuplicateName(name));
            }
            if !self.take_sign(",") {
                break;
            }
        }
        self.expect_sign("}")?;
        Ok(map)
    }

    fn set(&mut self) -> Result<AttributeValue, StatementError> {
        let mut members = Vec::new();
        if !self.take_sign(">>") {
            loop {
                members.push(self.nested_value()?);
                if !self.take_sign(",") {
                    break;
                }
            }
            self.expect_sign(">>")?;
        }
        set_of(members)
    }
}

/// Makes the set of members of one type.
fn set_of(members: Vec<AttributeValue>) -> Result<AttributeValue, StatementError> {
    match members.first() {
        None => Err(StatementError::EmptySet),
        Some(AttributeValue::S(_)) => collect(members, |member| match member {
            AttributeValue::S(text) => Some(text),
            _ => None,
        })
        .map(AttributeValue::Ss),
        Some(AttributeValue::N(_)) => collect(members, |member| match member {
            AttributeValue::N(number) => Some(number),
            _ => None,
        })
        .map(AttributeValue::Ns),
        Some(AttributeValue::B(_)) => collect(members, |member| match member {
            AttributeValue::B(bytes) => Some(bytes),
            _ => None,
        })
        .map(AttributeValue::Bs),
        Some(_) => Err(StatementError::MemberType),
    }
}

fn collect<T: Ord>(
    members: Vec<AttributeValue>,
    of: fn(AttributeValue) -> Option<T>,
) -> Result<BTreeSet<T>, StatementError> {
    let mut set = BTreeSet::new();
    for member in members {
        if !set.insert(of(member).ok_or(StatementError::MemberType)?) {
            return Err(StatementError::DuplicateMember);
        }
    }
    Ok(set)
}
