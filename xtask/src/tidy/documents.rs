//! Documents: what they name exists, and the architecture names every crate.

use super::layers::Crate;
use super::{Findings, files, shown};
use anyhow::Result;
use std::path::Path;

/// Folders of the repository whose files a document may name in backquotes.
const FOLDERS: [&str; 7] = ["crates/", "docs/", "deploy/", "tests/", "proto/", "xtask/", ".ci/"];
/// Most lines of the architecture: an hour's reading.
const ARCHITECTURE_LINES_MAX: usize = 400;

/// Checks every document of the repository.
pub fn check(root: &Path, crates: &[Crate], findings: &mut Findings) -> Result<()> {
    for path in files(root, "md")? {
        let text = std::fs::read_to_string(&path)?;
        let folder = path.parent().unwrap_or(root);
        let name = shown(root, &path);
        for target in links(&text) {
            if !folder.join(&target).exists() {
                findings.fail(format!("{name} links to {target}, which is not there"));
            }
        }
        for target in named_files(&text) {
            if !root.join(&target).exists() {
                findings.fail(format!("{name} names {target}, which is not there"));
            }
        }
    }
    let architecture = root.join("ARCHITECTURE.md");
    if architecture.is_file() {
        check_architecture(&std::fs::read_to_string(architecture)?, crates, findings);
    }
    Ok(())
}

fn check_architecture(text: &str, crates: &[Crate], findings: &mut Findings) {
    for member in crates.iter().filter(|member| member.is_layered()) {
        let folder = member.folder_name();
        if !text.contains(&format!("`{folder}`")) && !text.contains(&format!("crates/{folder}")) {
            findings.fail(format!("ARCHITECTURE.md does not name the crate {folder}"));
        }
    }
    let lines = text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        findings
            .fail(format!("ARCHITECTURE.md has {lines} lines; at most {ARCHITECTURE_LINES_MAX}"));
    }
}

/// The relative targets of Markdown links, without their anchors, outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(text) {
        for part in line.split("](").skip(1) {
            let Some((target, _)) = part.split_once(')') else { continue };
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

/// Files of the repository that stand in backquotes, outside of code blocks.
fn named_files(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for line in prose(text) {
        for quoted in line.split('`').skip(1).step_by(2) {
            let path = FOLDERS.iter().any(|folder| quoted.starts_with(folder));
            let plain = !quoted.contains([' ', '*', '<', '{', '|', '$', '…']);
            if path && plain {
                let path = quoted.split([':', '#']).next().unwrap_or(quoted);
                named.push(path.to_owned());
            }
        }
    }
    named
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn links_and_named_files_are_found() {
        let text = "See [a](docs/a.md#b), [c](https://x.y) and [d](#here).\n```\n[no](no.md)\n```\n\
                    In `crates/sim/src/world.rs:12`, `crates/*`, `cargo test` and `docs/`.\n";
        assert_eq!(links(text), ["docs/a.md"]);
        assert_eq!(named_files(text), ["crates/sim/src/world.rs", "docs/"]);
    }

    #[test]
    fn the_architecture_names_every_crate() {
        let folder = PathBuf::from("/house/crates/geo");
        let name = "meridian-geo".to_owned();
        let crates = [Crate { name, folder, layer: Some(3), dependencies: Vec::new() }];
        for (text, failures) in [("`geo` decides", 0), ("in crates/geo", 0), ("geology", 1)] {
            let mut findings = Findings::default();
            check_architecture(text, &crates, &mut findings);
            assert_eq!(findings.failures.len(), failures, "{text}");
        }
    }
}
