//! Log lines: to stderr only, so that stdout holds nothing but answers.

use crate::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// True when `filter` is a level or a list of `target=level`.
pub fn filter_is_valid(filter: &str) -> bool {
    !filter.trim().is_empty() && EnvFilter::builder().parse(filter).is_ok()
}

/// Starts logging for the whole process. Later calls do nothing.
///
/// `RUST_LOG`, when set, replaces `filter`.
pub fn start(format: LogFormat, filter: &str) {
    let from_environment = EnvFilter::try_from_default_env().ok();
    let filter = from_environment.unwrap_or_else(|| EnvFilter::new(filter));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a logger is installed already, as in tests: theirs stays.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
