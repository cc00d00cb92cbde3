//! Document paths: names, quoted or not, `.name`, `['name']` and `[index]`.

use meridian_base::limits::NESTING_LEVELS_MAX;

use super::cursor::Cursor;
use super::error::{Malformed, StatementError};
use super::lexer::Token;
use crate::error::{ExpressionError, ExpressionKind, Problem};
use crate::path::Path;

/// Largest list index (the service keeps it in 31 bits).
const INDEX_MAX: u32 = i32::MAX.unsigned_abs();

impl Cursor<'_> {
    /// Reads a path.
    pub(super) fn path(&mut self) -> Result<Path, StatementError> {
        let mut path = Path::new(self.named()?);
        loop {
            if self.take_sign(".") {
                path = path.key(self.named()?);
            } else if self.take_sign("[") {
                path = self.subscript(path)?;
                self.expect_sign("]")?;
            } else {
                break;
            }
        }
        if path.depth() > NESTING_LEVELS_MAX {
            let problem = Problem::PathTooDeep(path.depth());
            return Err(
                ExpressionError::Invalid { kind: ExpressionKind::Condition, problem }.into()
            );
        }
        Ok(path)
    }

    fn named(&mut self) -> Result<String, StatementError> {
        let name = self.name()?;
        if name.is_empty() { Err(StatementError::EmptyName) } else { Ok(name) }
    }

    fn subscript(&mut self, path: Path) -> Result<Path, StatementError> {
        let path = match self.peek(0) {
            Token::Text(name) if name.is_empty() => return Err(StatementError::EmptyName),
            Token::Text(name) => path.key(name.clone()),
            Token::Number(digits) => {
                let index = digits.parse().ok().filter(|index| *index <= INDEX_MAX);
                path.index(index.ok_or_else(|| Malformed::Index(digits.clone()))?)
            }
            Token::Word(_) | Token::Quoted(_) | Token::Sign(_) | Token::Parameter | Token::End => {
                return Err(Malformed::Expected("list index").into());
            }
        };
        self.step();
        Ok(path)
    }
}
