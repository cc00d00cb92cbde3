//! Splits the text of a statement into tokens.
//!
//! Names are words, or any text in double quotes; strings stand in single quotes. A quote within a
//! quotation is written twice. Keywords are words: the grammar knows them, in any case.
//!
//! # Invariants
//!
//! - The last token is the end.
//!
//! Tested here and by `partiql/tests.rs`.

use super::error::Malformed;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, or a name without quotes.
    Word(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// A string, without its quotes.
    Text(String),
    /// An unsigned number.
    Number(String),
    /// A sign of the grammar.
    Sign(&'static str),
    /// `?`
    Parameter,
    /// The end of the text.
    End,
}

/// Longer signs stand before those that they begin with.
const SIGNS: [&str; 22] = [
    "<<", ">>", "<>", "<=", ">=", "!=", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":",
    "+", "-", "*", ";",
];

/// Reads all tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, after) = token(rest)?;
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens.push(Token::End);
    Ok(tokens)
}

/// Reads one token off the front of a text that is not empty and does not begin with a space.
fn token(text: &str) -> Result<(Token, &str), Malformed> {
    let first = text.chars().next().ok_or(Malformed::Unclosed)?;
    let rest = &text[first.len_utf8()..];
    match first {
        '\'' => quoted(rest, '\'').map(|(text, rest)| (Token::Text(text), rest)),
        '"' => quoted(rest, '"').map(|(text, rest)| (Token::Quoted(text), rest)),
        '?' => Ok((Token::Parameter, rest)),
        _ if first.is_alphabetic() || matches!(first, '_' | '$') => {
            let (word, rest) = split(text, |c| c.is_alphanumeric() || matches!(c, '_' | '$'));
            Ok((Token::Word(word.to_owned()), rest))
        }
        '.' if rest.starts_with(|c: char| c.is_ascii_digit()) => Ok(number(text)),
        _ if first.is_ascii_digit() => Ok(number(text)),
        _ => match SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
            Some(sign) => Ok((Token::Sign(sign), &text[sign.len()..])),
            None => Err(Malformed::Character(first)),
        },
    }
}

/// Reads up to the closing quote; two quotes stand for one.
fn quoted(mut text: &str, quote: char) -> Result<(String, &str), Malformed> {
    let mut out = String::new();
    loop {
        let (part, rest) = text.split_once(quote).ok_or(Malformed::Unclosed)?;
        out.push_str(part);
        match rest.strip_prefix(quote) {
            None => return Ok((out, rest)),
            Some(rest) => {
                out.push(quote);
                text = rest;
            }
        }
    }
}

/// Reads digits, a fraction and an exponent.
fn number(text: &str) -> (Token, &str) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(text);
    if let Some(fraction) = text[len..].strip_prefix('.').map(digits).filter(|digits| *digits > 0) {
        len += 1 + fraction;
    }
    if let Some(exponent) = text[len..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = digits(&exponent[sign..]);
        if digits > 0 {
            len += 1 + sign + digits;
        }
    }
    (Token::Number(text[..len].to_owned()), &text[len..])
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let len = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(text: &str) -> Vec<Token> {
        tokens(text).expect("well formed")
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(
            signs("'it''s' \"a\"\"b\" ''"),
            [
                Token::Text("it's".to_owned()),
                Token::Quoted("a\"b".to_owned()),
                Token::Text(String::new()),
                Token::End
            ]
        );
        for open in ["'", "'a", "\"a''", "'a''"] {
            assert_eq!(tokens(open), Err(Malformed::Unclosed), "{open}");
        }
    }

    #[test]
    fn numbers_end_where_they_must() {
        let number = |text: &str| Token::Number(text.to_owned());
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(signs("1.5e-3"), [number("1.5e-3"), Token::End]);
        assert_eq!(signs(".5 1e"), [number(".5"), number("1"), word("e"), Token::End]);
        assert_eq!(signs("1.b"), [number("1"), Token::Sign("."), word("b"), Token::End]);
    }

    #[test]
    fn the_longest_sign_wins() {
        let sign = Token::Sign;
        assert_eq!(signs("<<<>!=>>"), [sign("<<"), sign("<>"), sign("!="), sign(">>"), Token::End]);
        assert_eq!(tokens("a # b"), Err(Malformed::Character('#')));
        assert_eq!(tokens("a ! b"), Err(Malformed::Character('!')));
    }
}
