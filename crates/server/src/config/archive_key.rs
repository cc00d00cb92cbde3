//! Where the key of the archive comes from: a file, or what a command prints; and the keys before it.
//!
//! # Invariants
//!
//! - No key is in an error or a log; of a command's output nothing is repeated but what it says on stderr.
//!
//! Tested below.

use super::field::{Field, Reading};
use meridian_archive::MasterKey;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the key that wraps the tables' keys comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The content of a file.
    File(PathBuf),
    /// What a command prints, given to `sh -c` at each start of the node.
    Command(String),
}

/// The keys of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveKeys {
    /// The key that wraps.
    pub current: KeySource,
    /// Files of keys before it, which only open what they wrapped.
    pub old_files: Vec<PathBuf>,
}

impl ArchiveKeys {
    /// The key in a file, and none before it.
    pub fn in_file(file: PathBuf) -> Self {
        ArchiveKeys { current: KeySource::File(file), old_files: Vec::new() }
    }

    /// Reads them all; says why it cannot, and of which setting.
    pub fn read(&self) -> Result<MasterKey, String> {
        let current = match &self.current {
            KeySource::File(file) => read_key(file).map_err(|why| format!("{FILE} {why}"))?,
            KeySource::Command(command) => {
                printed(command).map_err(|why| format!("{COMMAND} {why}"))?
            }
        };
        let old: Result<Vec<MasterKey>, String> =
            self.old_files.iter().map(|file| read_key(file)).collect();
        Ok(current.after(old.map_err(|why| format!("{OLD} {why}"))?))
    }
}

const FILE: &str = "archive_key_file";
const COMMAND: &str = "archive_key_command";
const OLD: &str = "archive_old_key_files";

/// The settings that name keys.
pub(super) const KEY_SETTINGS: [&str; 3] = [FILE, COMMAND, OLD];

/// The settings as written.
pub(super) struct RawKeys {
    pub(super) file: Field<PathBuf>,
    pub(super) command: Field<String>,
    pub(super) old_files: Field<Vec<PathBuf>>,
}

/// The keys, of which those in files can be read; none where none is named. A command is not run.
pub(super) fn keys(r: &mut Reading, raw: RawKeys) -> Option<ArchiveKeys> {
    let (file, command) = (r.maybe(FILE, raw.file), r.maybe(COMMAND, raw.command));
    let old_files = r.maybe(OLD, raw.old_files).unwrap_or_default();
    for file in &old_files {
        if let Err(why) = read_key(file) {
            r.problem(OLD, why);
        }
    }
    let current = match (file, command) {
        (Some(_), Some(_)) => {
            r.problem(COMMAND, "is instead of archive_key_file; only one of them may be there");
            return None;
        }
        (Some(file), None) => {
            if let Err(why) = read_key(&file) {
                r.problem(FILE, why);
            }
            KeySource::File(file)
        }
        (None, Some(command)) if command.trim().is_empty() => {
            r.problem(COMMAND, "is empty");
            return None;
        }
        (None, Some(command)) => KeySource::Command(command),
        (None, None) => {
            if !old_files.is_empty() {
                r.problem(OLD, "is beside archive_key_file or archive_key_command");
            }
            return None;
        }
    };
    Some(ArchiveKeys { current, old_files })
}

/// The lines of a configuration file.
pub(super) fn lines(keys: &ArchiveKeys, quoted: impl Fn(&str) -> String) -> Vec<String> {
    let path = |file: &PathBuf| quoted(&file.display().to_string());
    let mut lines = vec![match &keys.current {
        KeySource::File(file) => format!("{FILE} = {}", path(file)),
        KeySource::Command(command) => format!("{COMMAND} = {}", quoted(command)),
    }];
    if !keys.old_files.is_empty() {
        let files: Vec<String> = keys.old_files.iter().map(path).collect();
        lines.push(format!("{OLD} = [{}]", files.join(", ")));
    }
    lines
}

/// Reads a key from a file; says why it cannot.
fn read_key(file: &Path) -> Result<MasterKey, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    MasterKey::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// The key that a command prints.
fn printed(command: &str) -> Result<MasterKey, String> {
    let run = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).output();
    let run = run.map_err(|error| format!("`{command}` cannot be run: {error}"))?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        return Err(format!("`{command}` failed, {}: {}", run.status, said.trim()));
    }
    let text = String::from_utf8(run.stdout);
    let text = text.map_err(|_| format!("`{command}` does not print text"))?;
    MasterKey::parse(&text).map_err(|error| format!("`{command}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FewKinds, PLAIN, node, table};
    use super::super::{ConfigErrors, NodeConfig};
    use super::*;

    fn key_file(folder: &Path, name: &str, byte: u8) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, format!("{byte:02x}").repeat(32)).unwrap();
        file
    }

    #[test]
    fn a_key_comes_from_a_file_or_a_command_with_those_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let old = key_file(folder.path(), "old", 1);
        let new = key_file(folder.path(), "new", 2);
        let command = format!("cat '{}'", new.display());
        for of in [
            format!("archive_key_file = {new:?}\n"),
            format!("archive_key_command = \"{command}\"\n"),
        ] {
            let text =
                format!("{PLAIN}archive_dir = \"/a\"\n{of}archive_old_key_files = [{old:?}]\n");
            let config = node(&text).unwrap();
            assert_eq!(
                NodeConfig::from_table(table(&config.to_toml()), &FewKinds).unwrap(),
                config
            );
            let key = config.archive.unwrap().keys.read().unwrap();
            assert_eq!(key.id(), MasterKey::new([2; 32]).id());
            let data = meridian_archive::DataKey::new(1, [9; 32]);
            let wrapped = MasterKey::new([1; 32]).wrap(&data, [0; 12]);
            assert!(key.unwrap("k", &wrapped).is_ok(), "the old key still opens");
        }
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_and_keys_are_not() {
        let problems = |text: &str| {
            let read = NodeConfig::from_table(table(&format!("{PLAIN}{text}")), &FewKinds);
            let ConfigErrors(problems) = read.unwrap_err();
            problems.iter().map(|p| format!("{}: {}\n", p.field, p.text)).collect::<String>()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = key_file(folder.path(), "key", 1);
        let at = "archive_dir = \"/a\"\n";
        let both = format!("{at}archive_key_file = {file:?}\narchive_key_command = \"x\"\n");
        assert!(problems(&both).starts_with("archive_key_command: is instead of"));
        assert!(problems(&format!("{at}archive_key_command = \" \"\n")).contains("is empty"));
        let old =
            format!("{at}archive_key_file = {file:?}\narchive_old_key_files = [\"/nowhere\"]\n");
        assert!(problems(&old).starts_with("archive_old_key_files: /nowhere cannot be read"));
        for (command, said) in [
            ("echo no key", "these are 6 characters"),
            ("echo locked >&2; exit 3", "locked"),
            ("printf '\\377'", "does not print text"),
        ] {
            let current = KeySource::Command(command.to_owned());
            let why = ArchiveKeys { current, old_files: Vec::new() }.read().unwrap_err();
            assert!(why.starts_with("archive_key_command `") && why.contains(said), "{why}");
        }
    }
}
