//! Recursive descent over the tokens of an expression; only conditions keep their own stack.
//!
//! The grammar needs no way back: what stands in parentheses is read as an operand or a condition,
//! whichever it turns out to be.
//!
//! # Invariants
//!
//! - Nothing recurses deeper than [`OPERAND_DEPTH_MAX`] levels, and what is read nests no deeper
//!   than [`DEPTH_MAX`], so no text overflows the stack here or later.
//! - Two pairs of parentheses straight around the same thing are refused, as the service does.
//!
//! Tested by `parser/tests.rs`.

mod condition;
#[cfg(test)]
mod tests;
mod update;

use meridian_base::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_OPERATORS_MAX};

use crate::error::{ExpressionKind, Problem};
use crate::lexer::{TokenKind, Tokens};
use crate::syntax::{
    Call, WrittenCondition, WrittenOperand, WrittenPath, WrittenSection, WrittenStep,
};

/// Deepest nesting of conditions by parentheses and `NOT`, levels: as many as there may be operators.
pub const DEPTH_MAX: usize = EXPRESSION_OPERATORS_MAX;
/// Deepest nesting of functions and parentheses within an operand, levels.
pub const OPERAND_DEPTH_MAX: usize = 64;

/// Where a text comes from, and so which limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From a client: all limits.
    Client,
    /// Printed by a node from a checked expression: depth and grammar only.
    Peer,
}

/// Reads a condition, filter or key condition.
pub(crate) fn parse_condition(text: &str, origin: Origin) -> Result<WrittenCondition, Problem> {
    let mut parser = Parser::new(text, origin, ExpressionKind::Condition)?;
    let condition = parser.whole_condition()?;
    parser.end()?;
    Ok(condition)
}

/// Reads an update.
pub(crate) fn parse_update(text: &str, origin: Origin) -> Result<Vec<WrittenSection>, Problem> {
    let mut parser = Parser::new(text, origin, ExpressionKind::Update)?;
    parser.sections()
}

/// Reads a projection.
pub(crate) fn parse_projection(text: &str, origin: Origin) -> Result<Vec<WrittenPath>, Problem> {
    let mut parser = Parser::new(text, origin, ExpressionKind::Projection)?;
    let mut paths = vec![parser.path()?];
    while parser.take(",") {
        paths.push(parser.path()?);
    }
    parser.end()?;
    Ok(paths)
}

/// A position in the tokens.
struct Parser<'a> {
    tokens: Tokens<'a>,
    at: usize,
    depth: usize,
    keywords: &'static [&'static str],
}

/// Something that may have stood in parentheses.
struct Parenthesized<T> {
    inner: T,
    parentheses: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, origin: Origin, kind: ExpressionKind) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::Empty);
        }
        if origin == Origin::Client && text.len() > EXPRESSION_BYTES_MAX {
            return Err(Problem::TooLong(text.len()));
        }
        let tokens = Tokens::read(text);
        if origin == Origin::Client && operator_count(&tokens, kind) > EXPRESSION_OPERATORS_MAX {
            return Err(Problem::TooManyOperators);
        }
        let keywords: &[&str] = match kind {
            ExpressionKind::Condition | ExpressionKind::Filter | ExpressionKind::KeyCondition => {
                &["AND", "OR", "NOT", "BETWEEN", "IN"]
            }
            ExpressionKind::Update => &["SET", "REMOVE", "ADD", "DELETE"],
            ExpressionKind::Projection => &[],
        };
        Ok(Parser { tokens, at: 0, depth: 0, keywords })
    }

    fn kind(&self) -> TokenKind {
        self.tokens.get(self.at).kind
    }

    fn text(&self) -> &'a str {
        self.tokens.text(self.at)
    }

    fn fail<T>(&self) -> Result<T, Problem> {
        Err(self.tokens.unexpected(self.at))
    }

    /// Tells whether a sign or keyword stands here. Keywords come in any case.
    fn is(&self, what: &str) -> bool {
        match self.kind() {
            TokenKind::Sign => self.text() == what,
            TokenKind::Word => {
                self.keywords.contains(&what) && self.text().eq_ignore_ascii_case(what)
            }
            TokenKind::Name
            | TokenKind::Value
            | TokenKind::Integer
            | TokenKind::Bad
            | TokenKind::End => false,
        }
    }

    /// Steps over a sign or keyword if it stands here.
    fn take(&mut self, what: &str) -> bool {
        let is = self.is(what);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, what: &str) -> Result<(), Problem> {
        if self.take(what) { Ok(()) } else { self.fail() }
    }

    fn end(&self) -> Result<(), Problem> {
        if self.kind() == TokenKind::End { Ok(()) } else { self.fail() }
    }

    /// Steps over a token of `kind` and gives its text.
    fn token(&mut self, kind: TokenKind) -> Result<String, Problem> {
        if self.kind() != kind {
            return self.fail();
        }
        let text = self.text().to_owned();
        self.at += 1;
        Ok(text)
    }

    /// Runs `read` one level deeper.
    fn deeper<T>(&mut self, read: fn(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        self.depth += 1;
        if self.depth > OPERAND_DEPTH_MAX {
            return Err(Problem::TooDeep(self.depth));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads an attribute name, plain or as a placeholder.
    fn name(&mut self) -> Result<WrittenStep, Problem> {
        match self.kind() {
            TokenKind::Name => Ok(WrittenStep::Placeholder(self.token(TokenKind::Name)?)),
            TokenKind::Word if !self.at_keyword() => {
                Ok(WrittenStep::Name(self.token(TokenKind::Word)?))
            }
            TokenKind::Word
            | TokenKind::Value
            | TokenKind::Integer
            | TokenKind::Sign
            | TokenKind::Bad
            | TokenKind::End => self.fail(),
        }
    }

    fn at_keyword(&self) -> bool {
        self.keywords.iter().any(|keyword| self.text().eq_ignore_ascii_case(keyword))
    }

    fn path(&mut self) -> Result<WrittenPath, Problem> {
        let first = self.name()?;
        self.path_after(vec![first])
    }

    /// Reads the steps that follow.
    fn path_after(&mut self, mut path: WrittenPath) -> Result<WrittenPath, Problem> {
        loop {
            if self.take(".") {
                path.push(self.name()?);
            } else if self.take("[") {
                path.push(WrittenStep::Index(self.token(TokenKind::Integer)?));
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    /// Reads an operand, in parentheses or not.
    fn operand(&mut self) -> Result<Parenthesized<WrittenOperand>, Problem> {
        if !self.take("(") {
            let inner = self.bare_operand()?;
            return Ok(Parenthesized { inner, parentheses: false });
        }
        let inner = self.deeper(Self::operand)?;
        self.close(inner)
    }

    /// Ends a pair of parentheses around an operand. A path may go on behind them.
    fn close(
        &mut self,
        operand: Parenthesized<WrittenOperand>,
    ) -> Result<Parenthesized<WrittenOperand>, Problem> {
        self.expect(")")?;
        if operand.parentheses {
            return Err(Problem::RedundantParentheses);
        }
        match operand.inner {
            WrittenOperand::Path(path) if self.is(".") || self.is("[") => {
                let inner = WrittenOperand::Path(self.path_after(path)?);
                Ok(Parenthesized { inner, parentheses: false })
            }
            inner => Ok(Parenthesized { inner, parentheses: true }),
        }
    }

    fn bare_operand(&mut self) -> Result<WrittenOperand, Problem> {
        if self.kind() == TokenKind::Value {
            return Ok(WrittenOperand::Value(self.token(TokenKind::Value)?));
        }
        let opens = self.tokens.get(self.at + 1).kind == TokenKind::Sign
            && self.tokens.text(self.at + 1) == "(";
        if self.kind() == TokenKind::Word && opens && !self.at_keyword() {
            return Ok(WrittenOperand::Call(self.deeper(Self::call)?));
        }
        Ok(WrittenOperand::Path(self.path()?))
    }

    fn call(&mut self) -> Result<Call, Problem> {
        let function = self.token(TokenKind::Word)?;
        self.expect("(")?;
        let operands = self.operands()?;
        self.expect(")")?;
        Ok(Call { function, operands })
    }

    /// Reads one operand or more, with commas between.
    fn operands(&mut self) -> Result<Vec<WrittenOperand>, Problem> {
        let mut operands = vec![self.operand()?.inner];
        while self.take(",") {
            operands.push(self.operand()?.inner);
        }
        Ok(operands)
    }
}

/// Counts operators and functions in the tokens. Counting before parsing bounds the parser's work;
/// the `AND` of a `BETWEEN` counts with it, the `=` of an assignment does not count (AWS:
/// Constraints, "Expression parameters").
fn operator_count(tokens: &Tokens<'_>, kind: ExpressionKind) -> usize {
    let mut betweens = 0usize;
    let mut count = 0usize;
    for position in 0..tokens.len() {
        let text = tokens.text(position);
        let operator = match tokens.get(position).kind {
            TokenKind::Sign if text == "=" => kind != ExpressionKind::Update,
            TokenKind::Sign => matches!(text, "<" | ">" | "<=" | ">=" | "<>" | "+" | "-"),
            TokenKind::Word => {
                let is = |word: &str| text.eq_ignore_ascii_case(word);
                if is("BETWEEN") {
                    betweens += 1;
                }
                let ends_between = is("AND") && betweens > 0;
                betweens -= usize::from(ends_between);
                let opens = tokens.text(position + 1) == "(";
                let known = is("AND") || is("OR") || is("NOT") || is("BETWEEN") || is("IN");
                !ends_between && (known || opens)
            }
            TokenKind::Name
            | TokenKind::Value
            | TokenKind::Integer
            | TokenKind::Bad
            | TokenKind::End => false,
        };
        count += usize::from(operator);
    }
    count
}
