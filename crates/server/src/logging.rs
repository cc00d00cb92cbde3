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
    let filter = from_environment.unwrap_or_else(|| EnvFilter::new(with_libraries(filter)));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a logger is installed already, as in tests: theirs stays.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// A bare level means this program's: libraries speak of their insides at levels of their own.
fn with_libraries(filter: &str) -> String {
    match filter.trim().to_ascii_lowercase().as_str() {
        level @ ("info" | "warn") => {
            format!("{level},openraft=error,fjall=warn,lsm_tree=warn,sled=warn")
        }
        _ => filter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_and_libraries_quieted() {
        for good in ["info", "info,meridian_raft=debug", &with_libraries("info")] {
            assert!(filter_is_valid(good), "{good}");
        }
        for bad in ["", " ", "info,=", "meridian=loud"] {
            assert!(!filter_is_valid(bad), "{bad}");
        }
        assert_eq!(with_libraries("debug"), "debug");
        assert!(with_libraries("warn").starts_with("warn,openraft=error"));
    }
}
