//! Splits the text of an expression into tokens.
//!
//! Attribute names start with a letter; `#` and `:` placeholders go on with letters, digits and
//! underscores; a list index has no leading zero. A character outside the grammar is a token of its
//! own, so that the syntax error can name it.
//!
//! # Invariants
//!
//! - Any text gives tokens; the last one is the end.
//! - Spans lie on character boundaries and grow.
//!
//! Tested here and through the parser.

use std::ops::Range;

use crate::error::Problem;

/// What a token is. Keywords are words: each grammar knows its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A letter, then letters, digits and underscores.
    Word,
    /// A `#` placeholder.
    Name,
    /// A `:` placeholder.
    Value,
    /// A list index.
    Integer,
    /// A comparator, bracket or other sign of the grammar.
    Sign,
    /// A character that no expression has.
    Bad,
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// The tokens of a text.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

impl<'a> Tokens<'a> {
    /// Reads all tokens.
    pub(crate) fn read(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let (kind, len) = match read_one(rest) {
                Some(token) => token,
                None => {
                    at += 1;
                    continue;
                }
            };
            tokens.push(Token { kind, span: at..at + len });
            at += len;
        }
        tokens.push(Token { kind: TokenKind::End, span: text.len()..text.len() });
        Tokens { text, tokens }
    }

    /// The token at `position`; beyond the last one, the end.
    pub(crate) fn get(&self, position: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[position.min(last)]
    }

    /// The number of tokens with the end.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The text of the token at `position`.
    pub(crate) fn text(&self, position: usize) -> &'a str {
        &self.text[self.get(position).span.clone()]
    }

    /// The syntax error of a token that the grammar does not have at `position`.
    pub(crate) fn unexpected(&self, position: usize) -> Problem {
        let position = position.min(self.tokens.len() - 1);
        let start = self.get(position.saturating_sub(1)).span.start;
        let end = self.get(position + 1).span.end;
        let token = match self.get(position).kind {
            TokenKind::End => "<EOF>",
            TokenKind::Word
            | TokenKind::Name
            | TokenKind::Value
            | TokenKind::Integer
            | TokenKind::Sign
            | TokenKind::Bad => self.text(position),
        };
        Problem::Syntax { token: token.to_owned(), near: self.text[start..end].to_owned() }
    }
}

/// Reads one token off the front; none for white space.
fn read_one(rest: &str) -> Option<(TokenKind, usize)> {
    let bytes = rest.as_bytes();
    let first = *bytes.first()?;
    let word = |from: usize| {
        bytes[from..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
    };
    Some(match first {
        b' ' | b'\t' | b'\r' | b'\n' => return None,
        b'a'..=b'z' | b'A'..=b'Z' => (TokenKind::Word, word(0)),
        b'#' | b':' => match word(1) {
            0 => (TokenKind::Bad, 1),
            len if first == b'#' => (TokenKind::Name, 1 + len),
            len => (TokenKind::Value, 1 + len),
        },
        b'0' => (TokenKind::Integer, 1),
        b'1'..=b'9' => {
            (TokenKind::Integer, bytes.iter().take_while(|b| b.is_ascii_digit()).count())
        }
        b'<' if matches!(bytes.get(1), Some(b'>' | b'=')) => (TokenKind::Sign, 2),
        b'>' if bytes.get(1) == Some(&b'=') => (TokenKind::Sign, 2),
        b'<' | b'>' | b'=' | b'(' | b')' | b'[' | b']' | b',' | b'.' | b'+' | b'-' => {
            (TokenKind::Sign, 1)
        }
        _ => (TokenKind::Bad, rest.chars().next().map_or(1, char::len_utf8)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        let tokens = Tokens::read(text);
        (0..tokens.len()).map(|position| tokens.text(position)).collect()
    }

    #[test]
    fn texts_split() {
        assert_eq!(
            split("a1_.#b [10]<>:c>=d"),
            ["a1_", ".", "#b", "[", "10", "]", "<>", ":c", ">=", "d", ""]
        );
        assert_eq!(split("_x 007 #! é"), ["_", "x", "0", "0", "7", "#", "!", "é", ""]);
    }

    #[test]
    fn errors_show_the_neighbours() {
        let near = |text: &str, position| Tokens::read(text).unexpected(position).to_string();
        assert_eq!(near("ADD hits : incr", 2), "Syntax error; token: \":\", near: \"hits : incr\"");
        assert_eq!(
            near("INVALID SYNTAX HERE", 0),
            "Syntax error; token: \"INVALID\", near: \"INVALID SYNTAX\""
        );
        assert_eq!(near("a = :v1", 3), "Syntax error; token: \"<EOF>\", near: \":v1\"");
        assert_eq!(near("", 0), "Syntax error; token: \"<EOF>\", near: \"\"");
    }

    proptest! {
        #[test]
        fn any_text_splits(text: String) {
            let tokens = Tokens::read(&text);
            for position in 0..tokens.len() + 2 {
                prop_assert!(!tokens.unexpected(position).to_string().is_empty());
            }
        }
    }
}
