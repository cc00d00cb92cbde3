//! Projections: the parts of an item that a request asks for.
//!
//! # Invariants
//!
//! - The result holds only what the paths reach; maps and lists on the way hold only what is
//!   reached within them, list elements moved together in their order.
//!
//! Tested here.

use std::collections::BTreeMap;

use meridian_model::{AttributeValue, Item, KeyNames};

use crate::compile::{compile_projection, invalid};
use crate::error::{ExpressionError, ExpressionKind, KeyUseError};
use crate::parser::{Origin, parse_projection};
use crate::path::Path;
use crate::path_tree::{PathNode, PathTree, build_tree};
use crate::placeholders::Placeholders;
use crate::source::{ExpressionSource, Printer};

/// A compiled projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
    tree: PathTree<usize>,
}

impl Projection {
    /// Compiles the text of a request.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        Projection::read(text, placeholders, Origin::Client)
    }

    /// Takes paths that were built without a text; refuses overlaps.
    pub fn new(paths: Vec<Path>) -> Result<Self, ExpressionError> {
        let tree = build_tree(&paths.iter().collect::<Vec<_>>())
            .map_err(invalid(ExpressionKind::Projection))?;
        Ok(Projection { paths, tree })
    }

    /// Compiles what [`Projection::source`] printed.
    pub fn from_source(source: &ExpressionSource) -> Result<Self, ExpressionError> {
        Projection::read(&source.text, &mut source.placeholders(), Origin::Peer)
    }

    fn read(
        text: &str,
        placeholders: &mut Placeholders,
        origin: Origin,
    ) -> Result<Self, ExpressionError> {
        let paths = parse_projection(text, origin)
            .and_then(|written| compile_projection(&written, placeholders))
            .map_err(invalid(ExpressionKind::Projection))?;
        Projection::new(paths)
    }

    /// Prints the projection with the names that it uses.
    pub fn source(&self) -> ExpressionSource {
        let mut printer = Printer::default();
        printer.paths(&self.paths);
        printer.finish()
    }

    /// The paths, in the order of the text.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Takes the projected parts out of `item`.
    pub fn project(&self, item: &Item) -> Item {
        project_item(&self.tree, item)
    }

    /// Refuses paths into key attributes, which are scalars.
    pub fn check_keys(&self, schema: &dyn KeyNames) -> Result<(), ExpressionError> {
        let nested = self
            .paths
            .iter()
            .find(|path| !path.steps.is_empty() && schema.contains(&path.attribute));
        nested.map_or(Ok(()), |path| Err(KeyUseError::Nested(path.attribute.clone()).into()))
    }
}

impl std::fmt::Display for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source().text)
    }
}

/// Takes the parts that `tree` reaches out of `item`.
pub(crate) fn project_item<T>(tree: &PathTree<T>, item: &Item) -> Item {
    project_map(tree, item).unwrap_or_default()
}

fn project_map<T>(
    children: &BTreeMap<String, PathNode<T>>,
    map: &BTreeMap<String, AttributeValue>,
) -> Option<BTreeMap<String, AttributeValue>> {
    let found: BTreeMap<_, _> = children
        .iter()
        .filter_map(|(key, node)| Some((key.clone(), project_value(node, map.get(key)?)?)))
        .collect();
    (!found.is_empty()).then_some(found)
}

fn project_value<T>(node: &PathNode<T>, value: &AttributeValue) -> Option<AttributeValue> {
    match (node, value) {
        (PathNode::Leaf(_), value) => Some(value.clone()),
        (PathNode::Map(children), AttributeValue::M(map)) => {
            project_map(children, map).map(AttributeValue::M)
        }
        (PathNode::List(children), AttributeValue::L(list)) => {
            let found: Vec<_> = children
                .iter()
                .filter_map(|(index, node)| {
                    project_value(node, list.get(usize::try_from(*index).ok()?)?)
                })
                .collect();
            (!found.is_empty()).then_some(AttributeValue::L(found))
        }
        (PathNode::Map(_) | PathNode::List(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{item, l, m, n, placeholders, s};

    fn projected(text: &str) -> Result<Item, String> {
        let stored = item(&[
            (
                "a",
                m(&[
                    ("b", l(&[n("2"), n("4"), m(&[("x", s("hi")), ("y", s("yo"))])])),
                    ("c", n("5")),
                ]),
            ),
            ("b", s("hello")),
            ("a.b", s("dotted")),
        ]);
        let names = [("#a", "a"), ("#b", "b"), ("#dotted", "a.b")];
        Projection::parse(text, &mut placeholders(&names, &[]))
            .map(|projection| projection.project(&stored))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn parts_keep_their_place() {
        let b = |elements: &[AttributeValue]| Ok(item(&[("a", m(&[("b", l(elements))]))]));
        let last = m(&[("y", s("yo"))]);
        assert_eq!(projected(" b ,  x1"), Ok(item(&[("b", s("hello"))])));
        assert_eq!(projected("#dotted"), Ok(item(&[("a.b", s("dotted"))])));
        assert_eq!(projected("a.b[0]"), b(&[n("2")]));
        assert_eq!(projected("#a.#b[2].y, a.b[0]"), b(&[n("2"), last.clone()]));
        assert_eq!(projected("a.x, a.b[1], x1, a.b[3].x"), b(&[n("4")]));
        assert_eq!(
            projected("a.b[2].y, a.c, b"),
            Ok(item(&[("a", m(&[("b", l(&[last])), ("c", n("5"))])), ("b", s("hello"))]))
        );
        for text in ["x1", "a.b[3]", "a.x.y", "a.b.x", "a[0]", "a.b[0].x", "a.b[0][0]", "b.c"] {
            assert_eq!(projected(text), Ok(Item::new()), "{text}");
        }
    }

    #[test]
    fn overlaps_and_conflicts_are_refused() {
        for (text, what, one, two) in [
            ("a, a", "overlap", "[a]", "[a]"),
            ("a.b[0], a.b[0]", "overlap", "[a, b, [0]]", "[a, b, [0]]"),
            ("a, a.b[2].c", "overlap", "[a]", "[a, b, [2], c]"),
            ("a.b.d.e, a.b", "overlap", "[a, b, d, e]", "[a, b]"),
            ("a.b, a[1]", "conflict", "[a, b]", "[a, [1]]"),
        ] {
            let said = format!(
                "Invalid ProjectionExpression: Two document paths {what} with each other; must \
                 remove or rewrite one of these paths; path one: {one}, path two: {two}"
            );
            assert_eq!(projected(text), Err(said), "{text}");
        }
    }

    #[test]
    fn texts_are_checked() {
        for (text, said) in [
            ("", "The expression can not be empty;"),
            ("a,", "Syntax error; token: \"<EOF>\", near: \",\""),
            ("l[a]", "Syntax error; token: \"a\", near: \"[a]\""),
            ("l[]", "Syntax error; token: \"]\", near: \"[]\""),
            ("a.status", "Attribute name is a reserved keyword; reserved keyword: status"),
            (
                "a.#x",
                "An expression attribute name used in the document path is not defined; \
                 attribute name: #x",
            ),
        ] {
            assert_eq!(projected(text), Err(format!("Invalid ProjectionExpression: {said}")));
        }
    }
}
