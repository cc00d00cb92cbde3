//! What goes to stdout.

pub use meridian_drill::Output;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once the one line of JSON was printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints a result.
///
/// A reader that went away is no failure of what was done.
pub fn result(output: Output, value: &Value, text: impl FnOnce(&Value) -> String) {
    let line = match output {
        Output::Json => {
            PRINTED.store(true, Ordering::Relaxed);
            value.to_string()
        }
        Output::Text => text(value),
    };
    let _ = writeln!(std::io::stdout().lock(), "{}", line.trim_end());
}

/// Prints a line for people.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says why the thing asked for was not done: on stderr, and as the one line of JSON where that
/// was not printed yet.
pub fn failed(output: Output, error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    if output == Output::Json && !PRINTED.swap(true, Ordering::Relaxed) {
        let value = json!({ "error": format!("{error:#}") });
        let _ = writeln!(std::io::stdout().lock(), "{value}");
    }
}
