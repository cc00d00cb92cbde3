//! Crates: their layers, names and manifests.
//!
//! A crate names its layer in `[package.metadata.house]` and depends, for tests too, only on crates
//! of strictly lower layers. `xtask` and `tests` stand outside.

use super::Findings;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most crates under `crates/`.
const CRATES_MAX: usize = 20;
/// The highest layer without clocks, threads and sockets.
const PURE_LAYER_MAX: u64 = 3;

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Its package name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its layer, where it names one.
    pub layer: Option<u64>,
    /// Names of the packages that it depends on, for whatever.
    pub dependencies: Vec<String>,
}

impl Crate {
    /// The last part of its folder.
    pub fn folder_name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// True for those under `crates/`.
    pub fn is_layered(&self) -> bool {
        self.folder.parent().is_some_and(|parent| parent.ends_with("crates"))
    }

    fn is_pure(&self) -> bool {
        self.layer.is_some_and(|layer| layer <= PURE_LAYER_MAX)
    }
}

/// Reads the members from `cargo metadata`.
pub fn read(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata["packages"].as_array().context("metadata names packages")?;
    packages.iter().map(read_one).collect()
}

fn read_one(package: &Value) -> Result<Crate> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let manifest = PathBuf::from(text(&package["manifest_path"])?);
    let dependencies = package["dependencies"].as_array().context("a list of dependencies")?;
    let dependencies: Result<Vec<String>> = dependencies.iter().map(|d| text(&d["name"])).collect();
    Ok(Crate {
        name: text(&package["name"])?,
        folder: manifest.parent().context("a manifest has a folder")?.to_path_buf(),
        layer: package["metadata"]["house"]["layer"].as_u64(),
        dependencies: dependencies?,
    })
}

/// Checks names, layers and their number.
pub fn check(crates: &[Crate], findings: &mut Findings) {
    let layered: Vec<&Crate> = crates.iter().filter(|member| member.is_layered()).collect();
    if layered.len() > CRATES_MAX {
        findings.fail(format!("{} crates; at most {CRATES_MAX}", layered.len()));
    }
    let layers: BTreeMap<&str, Option<u64>> =
        crates.iter().map(|member| (member.name.as_str(), member.layer)).collect();
    for member in layered {
        let (name, folder) = (&member.name, member.folder_name());
        if *name != folder && *name != format!("meridian-{folder}") {
            findings.fail(format!("crates/{folder} holds the package {name}"));
        }
        let Some(layer) = member.layer else {
            findings.fail(format!("{name} names no layer in [package.metadata.house]"));
            continue;
        };
        for dependency in &member.dependencies {
            match layers.get(dependency.as_str()) {
                Some(Some(below)) if *below < layer => {}
                Some(Some(other)) => findings.fail(format!(
                    "{name} (layer {layer}) depends on {dependency} (layer {other})"
                )),
                Some(None) => findings.fail(format!(
                    "{name} depends on {dependency}, which stands outside the layers"
                )),
                None => {}
            }
        }
    }
}

/// Checks that lints are inherited and that pure crates have their own clippy settings.
pub fn check_manifests(crates: &[Crate], findings: &mut Findings) -> Result<()> {
    for member in crates {
        let manifest = std::fs::read_to_string(member.folder.join("Cargo.toml"))?;
        if !inherits_lints(&manifest) {
            findings.fail(format!("{} does not inherit the workspace's lints", member.name));
        }
        if member.is_pure() && !member.folder.join("clippy.toml").is_file() {
            findings.fail(format!("{} is pure and has no clippy.toml", member.name));
        }
    }
    Ok(())
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty()).is_some_and(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, folder: &str, layer: Option<u64>, on: &[&str]) -> Crate {
        let dependencies = on.iter().map(|name| (*name).to_owned()).collect();
        let folder = PathBuf::from("/house/crates").join(folder);
        Crate { name: name.to_owned(), folder, layer, dependencies }
    }

    fn failures(crates: &[Crate]) -> Vec<String> {
        let mut findings = Findings::default();
        check(crates, &mut findings);
        findings.failures
    }

    #[test]
    fn layers_point_strictly_down() {
        let base = member("meridian-base", "base", Some(0), &["thiserror"]);
        let model = member("meridian-model", "model", Some(1), &["meridian-base"]);
        assert_eq!(failures(&[base.clone(), model.clone()]), Vec::<String>::new());
        let wire = member("meridian-wire", "wire", Some(1), &["meridian-model"]);
        let found = failures(&[base.clone(), model, wire]);
        assert_eq!(found, ["meridian-wire (layer 1) depends on meridian-model (layer 1)"]);
        let lost = member("meridian-lost", "lost", None, &[]);
        assert_eq!(failures(&[base, lost]).len(), 1);
    }

    #[test]
    fn folders_are_named_as_their_crates() {
        let one = member("meridian", "meridian", Some(9), &[]);
        assert_eq!(failures(&[one]), Vec::<String>::new());
        let other = member("meridian-engine", "storage", Some(1), &[]);
        assert_eq!(failures(&[other]), ["crates/storage holds the package meridian-engine"]);
    }

    #[test]
    fn at_most_twenty_crates() {
        let many: Vec<Crate> = (0..21)
            .map(|n| member(&format!("meridian-c{n}"), &format!("c{n}"), Some(0), &[]))
            .collect();
        assert_eq!(failures(&many), ["21 crates; at most 20"]);
    }

    #[test]
    fn lints_are_inherited() {
        assert!(inherits_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\n\n[lints.rust]\nunsafe_code = \"deny\"\n"));
        assert!(!inherits_lints("[lints]\n\n[dependencies]\nworkspace = true\n"));
    }

    #[test]
    fn metadata_is_read() {
        let metadata = serde_json::json!({"packages": [{
            "name": "meridian-geo", "manifest_path": "/house/crates/geo/Cargo.toml",
            "metadata": {"house": {"layer": 3}},
            "dependencies": [{"name": "meridian-base", "kind": null}, {"name": "proptest", "kind": "dev"}],
        }]});
        let wanted = member("meridian-geo", "geo", Some(3), &["meridian-base", "proptest"]);
        assert_eq!(read(&metadata).unwrap(), [wanted]);
    }
}
