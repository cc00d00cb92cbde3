//! The one kind of pattern that requests are held to: a character class, repeated.

/// A character class with how often it must occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class<'a> {
    set: &'a str,
    exactly: Option<usize>,
}

impl<'a> Class<'a> {
    /// Parses `[set]+` or `[set]{n}`.
    pub fn parse(pattern: &'a str) -> Option<Self> {
        let (set, times) = pattern.strip_prefix('[')?.split_once(']')?;
        let exactly = match times {
            "+" => None,
            _ => Some(times.strip_prefix('{')?.strip_suffix('}')?.parse().ok()?),
        };
        Some(Class { set, exactly })
    }

    /// Tells whether the whole text is made of this class.
    pub fn matches(&self, text: &str) -> bool {
        let count = text.chars().count();
        let enough = self.exactly.map_or(count > 0, |exactly| count == exactly);
        enough && text.chars().all(|c| self.has(c))
    }

    fn has(&self, wanted: char) -> bool {
        let mut rest = self.set.chars();
        while let Some(low) = rest.next() {
            let mut ahead = rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('-'), Some(high)) => {
                    if (low..=high).contains(&wanted) {
                        return true;
                    }
                    rest = ahead;
                }
                _ if low == wanted => return true,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        let name = Class::parse("[a-zA-Z0-9_.-]+").unwrap();
        for good in ["a", "Z9", "a-b.c_d", "-"] {
            assert!(name.matches(good), "{good}");
        }
        for bad in ["", "a b", "é", "a/b", "a!"] {
            assert!(!name.matches(bad), "{bad}");
        }
        let owner = Class::parse("[0-9]{12}").unwrap();
        assert!(owner.matches("123456789012"));
        assert!(!owner.matches("12345678901"));
        assert_eq!(Class::parse("a+"), None);
    }
}
