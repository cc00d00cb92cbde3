//! JSON as text: read token by token, written straight into bytes.

mod reader;
mod writer;

pub use reader::{Kind, Malformed, Reader};
pub use writer::{Array, Object, base64, decimal, number, string};
