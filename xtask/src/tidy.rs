//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! # Invariants
//!
//! - Every finding names a file or a crate and what to do about it.
//!
//! Tested beside each rule, and by the repository itself.

mod documents;
mod layers;
mod sources;

use crate::{cargo, root};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Folders whose files follow other rules: what is built, and sources of others.
const NOT_OURS: [&str; 3] = ["target", "vendor", "node_modules"];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Broken rules.
    failures: Vec<String>,
    /// What will break one soon.
    warnings: Vec<String>,
}

impl Findings {
    fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }
}

/// Checks every rule; false when one is broken.
pub fn run() -> Result<bool> {
    let root = root()?;
    let mut findings = Findings::default();
    let crates = layers::read(&metadata()?)?;
    layers::check(&crates, &mut findings);
    layers::check_manifests(&crates, &mut findings)?;
    for path in files(&root, "rs")? {
        let text = std::fs::read_to_string(&path)?;
        sources::check(&shown(&root, &path), &text, &mut findings);
    }
    documents::check(&root, &crates, &mut findings)?;
    findings.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    findings.failures.iter().for_each(|failure| println!("untidy: {failure}"));
    Ok(findings.failures.is_empty())
}

fn metadata() -> Result<serde_json::Value> {
    let output = cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")
}

/// A path as people name it: from the root, with slashes.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The files with an extension that belong to the project, in order.
fn files(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
