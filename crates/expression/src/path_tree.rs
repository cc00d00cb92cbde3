//! Paths that neither overlap nor conflict, as a tree.
//!
//! Updates and projections visit an item along this tree once, whatever the number of paths.
//!
//! # Invariants
//!
//! - No path of the tree is another one or lies within it.
//! - The children of a node are all map entries or all list elements.
//!
//! Tested through `projection.rs` and `update.rs`.

use std::collections::BTreeMap;

use crate::error::Problem;
use crate::path::{Path, Step};

/// A node below the root: a path's end, or what lies below a map or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathNode<T> {
    /// A path ends here.
    Leaf(T),
    /// Paths go on by key.
    Map(BTreeMap<String, PathNode<T>>),
    /// Paths go on by index, in order of the index.
    List(BTreeMap<u32, PathNode<T>>),
}

/// The root: top-level attributes.
pub(crate) type PathTree<T> = BTreeMap<String, PathNode<T>>;

/// How a new path clashes with one that is in the tree.
enum Clash<T> {
    Overlap(T),
    Conflict(T),
}

/// Builds a tree whose leaves are the positions of the paths; refuses overlaps and conflicts.
pub(crate) fn build_tree(paths: &[&Path]) -> Result<PathTree<usize>, Problem> {
    let mut root = PathTree::new();
    for (position, path) in paths.iter().enumerate() {
        insert(&mut root, path, position).map_err(|clash| {
            let two = path.to_string();
            match clash {
                Clash::Overlap(other) => Problem::Overlap { one: paths[other].to_string(), two },
                Clash::Conflict(other) => Problem::Conflict { one: paths[other].to_string(), two },
            }
        })?;
    }
    Ok(root)
}

fn insert<T: Copy>(root: &mut PathTree<T>, path: &Path, leaf: T) -> Result<(), Clash<T>> {
    let Some((last, way)) = path.steps.split_last() else {
        return place(root, path.attribute.clone(), leaf);
    };
    let first = path.steps.first().unwrap_or(last);
    let mut node = root.entry(path.attribute.clone()).or_insert_with(|| PathNode::branch(first));
    for (step, next) in way.iter().zip(&path.steps[1..]) {
        node = match (node, step) {
            (PathNode::Map(map), Step::Key(key)) => {
                map.entry(key.clone()).or_insert_with(|| PathNode::branch(next))
            }
            (PathNode::List(list), Step::Index(index)) => {
                list.entry(*index).or_insert_with(|| PathNode::branch(next))
            }
            (node, _) => return Err(node.clash()),
        };
    }
    match (node, last) {
        (PathNode::Map(map), Step::Key(key)) => place(map, key.clone(), leaf),
        (PathNode::List(list), Step::Index(index)) => place(list, *index, leaf),
        (node, _) => Err(node.clash()),
    }
}

fn place<K: Ord, T: Copy>(
    children: &mut BTreeMap<K, PathNode<T>>,
    key: K,
    leaf: T,
) -> Result<(), Clash<T>> {
    if let Some(node) = children.get(&key) {
        return Err(Clash::Overlap(node.first_leaf()));
    }
    children.insert(key, PathNode::Leaf(leaf));
    Ok(())
}

impl<T: Copy> PathNode<T> {
    fn branch(step: &Step) -> Self {
        match step {
            Step::Key(_) => PathNode::Map(BTreeMap::new()),
            Step::Index(_) => PathNode::List(BTreeMap::new()),
        }
    }

    /// Why a path cannot go on below this node.
    fn clash(&self) -> Clash<T> {
        match self {
            PathNode::Leaf(leaf) => Clash::Overlap(*leaf),
            PathNode::Map(_) | PathNode::List(_) => Clash::Conflict(self.first_leaf()),
        }
    }

    fn first_leaf(&self) -> T {
        match self {
            PathNode::Leaf(leaf) => *leaf,
            PathNode::Map(map) => map.values().next().expect("a branch has children").first_leaf(),
            PathNode::List(list) => {
                list.values().next().expect("a branch has children").first_leaf()
            }
        }
    }
}
