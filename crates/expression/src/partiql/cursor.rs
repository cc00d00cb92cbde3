//! A position in the tokens of a statement, and the parameters that are left.
//!
//! # Invariants
//!
//! - Nothing recurses deeper than [`DEPTH_MAX`] levels.

use meridian_model::AttributeValue;

use super::error::{Malformed, StatementError};
use super::lexer::{Token, tokens};

/// Deepest nesting of parentheses, `NOT`s and functions, levels. Ours; DynamoDB's is not published.
pub(super) const DEPTH_MAX: usize = 64;

/// The words that are no names unless they are quoted.
const KEYWORDS: [&str; 33] = [
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "DELETE", "DESC", "DISTINCT", "EXISTS", "FALSE",
    "FROM", "GROUP", "HAVING", "IN", "INSERT", "INTO", "IS", "JOIN", "LIKE", "LIMIT", "MISSING",
    "NOT", "NULL", "OR", "ORDER", "SELECT", "SET", "TRUE", "UPDATE", "VALUE", "VALUES", "WHERE",
];

/// Reads tokens one by one.
pub(super) struct Cursor<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    parameters: &'a [AttributeValue],
    used: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &str, parameters: &'a [AttributeValue]) -> Result<Self, Malformed> {
        Ok(Cursor { tokens: tokens(text)?, at: 0, depth: 0, parameters, used: 0 })
    }

    /// The token `ahead` of the position; beyond the last one, the end.
    pub(super) fn peek(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).unwrap_or(&Token::End)
    }

    /// Steps over a token.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Tells whether a sign stands here.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(0), Token::Sign(here) if *here == sign)
    }

    /// Steps over a sign if it stands here.
    pub(super) fn take_sign(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    /// Steps over a sign that must stand here.
    pub(super) fn expect_sign(&mut self, sign: &'static str) -> Result<(), Malformed> {
        if self.take_sign(sign) { Ok(()) } else { Err(Malformed::Expected(sign)) }
    }

    /// Tells whether a keyword stands `ahead` of the position.
    pub(super) fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek(ahead), Token::Word(here) if here.eq_ignore_ascii_case(word))
    }

    /// Steps over a keyword if it stands here.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(0, word);
        self.at += usize::from(is);
        is
    }

    /// Steps over a keyword that must stand here.
    pub(super) fn expect_word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if self.take_word(word) { Ok(()) } else { Err(Malformed::Expected(word)) }
    }

    /// Takes a name: a word that is no keyword, or anything in double quotes.
    pub(super) fn name(&mut self) -> Result<String, Malformed> {
        let name = match self.peek(0) {
            Token::Quoted(name) => name.clone(),
            Token::Word(word) if !is_keyword(word) => word.clone(),
            Token::Word(_) => return Err(Malformed::Keyword),
            Token::Text(_) | Token::Number(_) | Token::Sign(_) | Token::Parameter | Token::End => {
                return Err(Malformed::Expected("identifier for simple path"));
            }
        };
        self.step();
        Ok(name)
    }

    /// The value of the next question mark. Where there is none left, the count is told at the end,
    /// behind anything that is wrong with the text.
    pub(super) fn parameter(&mut self) -> AttributeValue {
        let value = self.parameters.get(self.used).cloned().unwrap_or(AttributeValue::Null);
        self.used += 1;
        value
    }

    /// Goes one level deeper for as long as `read` runs.
    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, StatementError>,
    ) -> Result<T, StatementError> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed::TooDeep.into());
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Checks that nothing is left, neither of the text nor of the parameters. One semicolon may
    /// stand at the end.
    pub(super) fn end(&mut self) -> Result<(), StatementError> {
        self.take_sign(";");
        if *self.peek(0) != Token::End {
            return Err(Malformed::Trailing.into());
        }
        if self.used != self.parameters.len() {
            return Err(StatementError::ParameterCount);
        }
        Ok(())
    }
}

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}
