//! `docs/compatibility.md` names every operation, and every parameter of those that are built.

use meridian_wire::Operation;
use meridian_wire::shape::{Model, Shape};

const DOCUMENT: &str = include_str!("../../../../docs/compatibility.md");

#[test]
fn the_document_covers_the_service_model() {
    let model = Model::get();
    let mut missing = Vec::new();
    for operation in Operation::ALL {
        let name = operation.name();
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        let Some(row) = row else {
            missing.push(name.to_owned());
            continue;
        };
        if row.contains("| not built |") {
            continue;
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
