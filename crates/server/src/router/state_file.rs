//! The regions that a router has abandoned, remembered across its restarts.

use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// Names of abandoned regions, each with when it had last been restored, if known.
pub(super) type Abandoned = Vec<(String, Option<u64>)>;

/// Reads the file. One that is missing or makes no sense names no region; the latter is logged.
pub(super) fn read(file: &Path) -> Abandoned {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the router's state was not read");
            return Vec::new();
        }
    };
    let parsed = parse(&text);
    if parsed.is_none() {
        tracing::warn!(file = %file.display(), "the router's state makes no sense");
    }
    parsed.unwrap_or_default()
}

fn parse(text: &str) -> Option<Abandoned> {
    let value: Value = serde_json::from_str(text).ok()?;
    let regions = value.get("abandoned")?.as_array()?.iter();
    let region = |r: &Value| {
        let name = r.get("region")?.as_str()?;
        Some((name.to_owned(), r.get("restored_ms").and_then(Value::as_u64)))
    };
    regions.map(region).collect()
}

/// Replaces the file at once.
pub(super) fn write(file: &Path, abandoned: &Abandoned) -> io::Result<()> {
    let regions: Vec<Value> = abandoned
        .iter()
        .map(|(region, restored_ms)| json!({ "region": region, "restored_ms": restored_ms }))
        .collect();
    let text = json!({ "abandoned": regions }).to_string();
    crate::process::replace_file(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        assert_eq!(read(&file), []);
        let abandoned = vec![("a".to_owned(), Some(4)), ("b".to_owned(), None)];
        write(&file, &abandoned).unwrap();
        assert_eq!(read(&file), abandoned);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read(&file), []);
    }
}
