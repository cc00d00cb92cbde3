//! Reads JSON text token by token, without building a tree.
//!
//! The caller knows what it expects and asks for it; so types are checked while reading, and a
//! request is walked once.
//!
//! # Invariants
//!
//! - Never recurses: `skip` keeps its own stack, so depth is the caller's to limit.
//! - Never indexes past the text; anything that is not JSON is `Malformed`.
//!
//! Tested below, and against `serde_json` on generated documents.

use std::borrow::Cow;

/// Says that the text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON")]
pub struct Malformed;

/// Names the kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// A string.
    String,
    /// A number without fraction or exponent.
    Number,
    /// A number with a fraction or an exponent.
    Decimal,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// Holds the place in a JSON text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`, which must be UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        Ok(Reader { text, at: 0 })
    }

    /// Returns the kind of the next value without consuming it.
    pub fn kind(&mut self) -> Result<Kind, Malformed> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.clone().number()?;
                let decimal = number.contains(['.', 'e', 'E']);
                Ok(if decimal { Kind::Decimal } else { Kind::Number })
            }
            Some(_) | None => Err(Malformed),
        }
    }

    /// Consumes `{`; the members follow with `next_key`.
    pub fn enter_object(&mut self) -> Result<(), Malformed> {
        self.expect(b'{')
    }

    /// Consumes `[`; the elements follow with `next_element`.
    pub fn enter_array(&mut self) -> Result<(), Malformed> {
        self.expect(b'[')
    }

    /// Returns the next member's name, with its `:` consumed, or `None` after consuming `}`.
    /// `first` is true before the first member and is set to false here.
    pub fn next_key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.next_of(b'}', first)? {
            return Ok(None);
        }
        self.space();
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Says whether another element follows; consumes `]` when none does.
    pub fn next_element(&mut self, first: &mut bool) -> Result<bool, Malformed> {
        self.next_of(b']', first)
    }

    /// Consumes a string and returns it unescaped.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let text = self.text.get(start..self.at).ok_or(Malformed)?;
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0x00..=0x1f) | None => return Err(Malformed),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Consumes a number and returns its text.
    pub fn number(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(Malformed);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(Malformed);
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(Malformed);
            }
        }
        self.text.get(start..self.at).ok_or(Malformed)
    }

    /// Consumes `true`, `false` or `null`.
    pub fn literal(&mut self) -> Result<Option<bool>, Malformed> {
        self.space();
        let rest = self.text.get(self.at..).ok_or(Malformed)?;
        for (word, value) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Consumes one whole value of any kind and depth.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let mut open: Vec<(Kind, bool)> = Vec::new();
        loop {
            match self.kind()? {
                Kind::Object => {
                    self.enter_object()?;
                    open.push((Kind::Object, true));
                }
                Kind::Array => {
                    self.enter_array()?;
                    open.push((Kind::Array, true));
                }
                Kind::String => drop(self.string()?),
                Kind::Number | Kind::Decimal => drop(self.number()?),
                Kind::True | Kind::False | Kind::Null => drop(self.literal()?),
            }
            loop {
                let Some((kind, first)) = open.last_mut() else { return Ok(()) };
                let more = match kind {
                    Kind::Object => self.next_key(first)?.is_some(),
                    _ => self.next_element(first)?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    /// Requires that only white space is left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        self.space();
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        self.at - start
    }

    fn next_of(&mut self, close: u8, first: &mut bool) -> Result<bool, Malformed> {
        self.space();
        if self.take(close) {
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn escaped(&mut self, start: usize) -> Result<String, Malformed> {
        let mut out = String::from(self.text.get(start..self.at).ok_or(Malformed)?);
        let mut plain = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    out.push_str(self.text.get(plain..self.at).ok_or(Malformed)?);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(self.text.get(plain..self.at).ok_or(Malformed)?);
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                Some(0x00..=0x1f) | None => return Err(Malformed),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let byte = self.byte().ok_or(Malformed)?;
        self.at += 1;
        match byte {
            b'"' => Ok('"'),
            b'\\' => Ok('\\'),
            b'/' => Ok('/'),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => self.unicode(),
            _ => Err(Malformed),
        }
    }

    fn unicode(&mut self) -> Result<char, Malformed> {
        let high = self.hex4()?;
        if !(0xd800..0xe000).contains(&high) {
            return char::from_u32(high).ok_or(Malformed);
        }
        if !(self.take(b'\\') && self.take(b'u')) {
            return Err(Malformed);
        }
        let low = self.hex4()?;
        if high >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
            return Err(Malformed);
        }
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(Malformed)
    }

    fn hex4(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Malformed);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(text: &str) -> Result<Vec<String>, Malformed> {
        let mut reader = Reader::new(text.as_bytes())?;
        let (mut out, mut first) = (Vec::new(), true);
        reader.enter_array()?;
        while reader.next_element(&mut first)? {
            out.push(reader.string()?.into_owned());
        }
        reader.end()?;
        Ok(out)
    }

    #[test]
    fn strings_are_unescaped() {
        let read = strings(r#" [ "plain" , "a\"\\\/\b\f\n\r\t" , "\u00e9\ud83d\ude00x" ] "#);
        let want = ["plain", "a\"\\/\u{8}\u{c}\n\r\t", "é😀x"].map(String::from).to_vec();
        assert_eq!(read, Ok(want));
        for bad in [r#"["a]"#, r#"["\x"]"#, r#"["\ud800"]"#, r#"["\udc00\ud800"]"#, "[\"\n\"]"] {
            assert_eq!(strings(bad), Err(Malformed), "{bad}");
        }
        for bad in [r#"["a" "b"]"#, r#"["a",]"#, r#"["a"] x"#, r#"["\u+123"]"#, "[\"\\u12é\"]"] {
            assert_eq!(strings(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn skip_goes_any_depth() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let mut reader = Reader::new(deep.as_bytes()).unwrap();
        assert_eq!(reader.skip(), Ok(()));
        assert_eq!(reader.end(), Ok(()));
    }

    fn accepts(text: &str) -> bool {
        let read = |text: &str| {
            let mut reader = Reader::new(text.as_bytes())?;
            reader.skip()?;
            reader.end()
        };
        read(text).is_ok()
    }

    proptest! {
        #[test]
        fn accepts_what_serde_accepts(text in r#"[\[\]{}":,0-9.eE+\-a-u\\ ]{0,16}"#) {
            // A lone surrogate and a number out of the range of f64 are serde's own refusals.
            let serde = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            if serde { prop_assert!(accepts(&text), "{}", text); }
            if accepts(&text) && !text.contains(['e', 'E', 'u']) { prop_assert!(serde, "{}", text); }
        }

        #[test]
        fn strings_round_trip(text in any::<String>()) {
            let json = serde_json::to_string(&[&text]).unwrap();
            prop_assert_eq!(strings(&json), Ok(vec![text]));
        }
    }
}
