//! `docs/compatibility.md` names every operation; of those that are built, every parameter and the
//! transcript that shows them.

use std::path::Path;

use meridian_wire::Operation;
use meridian_wire::shape::{Model, Shape};

const DISPATCH: &str = include_str!("../dispatch.rs");
const DOCUMENT: &str = include_str!("../../../../docs/compatibility.md");

#[test]
fn the_document_covers_the_service_model() {
    let model = Model::get();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut missing = Vec::new();
    for operation in Operation::ALL {
        let name = operation.name();
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        let Some(row) = row else {
            missing.push(name.to_owned());
            continue;
        };
        let is_built = DISPATCH.contains(&format!("        Operation::{name} =>"));
        if row.contains("| not built |") == is_built {
            missing.push(format!("the state of {name}"));
        }
        if !is_built {
            continue;
        }
        let proof = row.split('`').nth(3).unwrap_or_default();
        if proof.is_empty() || !golden.join(proof).is_file() {
            missing.push(format!("the transcript of {name}"));
        }
        let heading = format!("### {name}\n");
        let section = DOCUMENT.split(&heading).nth(1).unwrap_or_default();
        let section = section.split("### ").next().unwrap_or_default();
        let Shape::Structure(members) = model.shape(model.input(operation)) else { continue };
        for member in members {
            if !section.contains(&format!("| `{}` |", member.name)) {
                missing.push(format!("{name}.{}", member.name));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/compatibility.md: {missing:?}");
}
