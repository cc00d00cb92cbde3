//! Updates: a new item from an old one.
//!
//! # Invariants
//!
//! - Every value is computed from the item as it was before the update; list indexes mean its
//!   positions, removals close up afterwards and elements past the end are appended by index.
//! - An update that fails changes nothing.
//!
//! Tested by `update/tests.rs`, also against a naive model.

mod apply;
#[cfg(test)]
mod tests;

use meridian_model::{Item, KeyNames};

use crate::ast::UpdateAction;
use crate::compile::invalid;
use crate::compile::update::compile_update;
use crate::error::{ExpressionError, ExpressionKind, KeyUseError};
use crate::parser::{Origin, parse_update};
use crate::path::Path;
use crate::path_tree::{PathTree, build_tree};
use crate::placeholders::Placeholders;
use crate::projection::project_item;
use crate::source::{ExpressionSource, Printer};

/// A compiled update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    actions: Vec<UpdateAction>,
    /// Positions in `actions` by path.
    tree: PathTree<usize>,
}

/// What an update gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The item after the update.
    pub item: Item,
    /// The paths that the update wrote.
    pub touched: Vec<Path>,
}

impl Update {
    /// Compiles the text of a request.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        Update::read(text, placeholders, Origin::Client)
    }

    /// Takes actions that were built without a text; refuses overlapping paths. No action at all is
    /// an update that only makes the item exist.
    pub fn new(actions: Vec<UpdateAction>) -> Result<Self, ExpressionError> {
        let tree = build_tree(&actions.iter().map(UpdateAction::path).collect::<Vec<_>>())
            .map_err(invalid(ExpressionKind::Update))?;
        Ok(Update { actions, tree })
    }

    /// Compiles what [`Update::source`] printed.
    pub fn from_source(source: &ExpressionSource) -> Result<Self, ExpressionError> {
        if source.text.is_empty() {
            return Update::new(Vec::new());
        }
        Update::read(&source.text, &mut source.placeholders(), Origin::Peer)
    }

    fn read(
        text: &str,
        placeholders: &mut Placeholders,
        origin: Origin,
    ) -> Result<Self, ExpressionError> {
        let actions = parse_update(text, origin)
            .and_then(|sections| compile_update(&sections, placeholders, origin))
            .map_err(invalid(ExpressionKind::Update))?;
        Update::new(actions)
    }

    /// Prints the update with the names and values that it uses, to be sent to another node.
    pub fn source(&self) -> ExpressionSource {
        let mut printer = Printer::default();
        printer.update(&self.actions);
        printer.finish()
    }

    /// The actions, in the order of the text.
    pub fn actions(&self) -> &[UpdateAction] {
        &self.actions
    }

    /// The paths that the update writes, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(UpdateAction::path)
    }

    /// Tells whether every action takes something away.
    pub fn only_removes(&self) -> bool {
        !self.actions.is_empty()
            && self.actions.iter().all(|action| match action {
                UpdateAction::Remove(_) | UpdateAction::Delete(..) => true,
                UpdateAction::Set(..) | UpdateAction::Add(..) => false,
            })
    }

    /// Refuses to write key attributes.
    pub fn check_keys(&self, schema: &dyn KeyNames) -> Result<(), ExpressionError> {
        let key = self.paths().find(|path| schema.contains(&path.attribute));
        key.map_or(Ok(()), |path| Err(KeyUseError::Updated(path.attribute.clone()).into()))
    }

    /// Applies the update to an item that exists.
    pub fn apply(&self, item: &Item) -> Result<Updated, ExpressionError> {
        self.applied(item, true)
    }

    /// Applies the update where no item exists: `key` holds the key attributes, with which the new
    /// item starts. Removals below attributes that are not there are passed over, as the service
    /// does.
    pub fn create(&self, key: &Item) -> Result<Updated, ExpressionError> {
        self.applied(key, false)
    }

    fn applied(&self, item: &Item, exists: bool) -> Result<Updated, ExpressionError> {
        let item = apply::apply(&self.actions, &self.tree, item, exists)?;
        Ok(Updated { item, touched: self.paths().cloned().collect() })
    }

    /// The parts of an item, old or new, that this update writes: what UPDATED_OLD and UPDATED_NEW
    /// return.
    pub fn touched(&self, item: &Item) -> Item {
        project_item(&self.tree, item)
    }
}

impl std::fmt::Display for Update {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source().text)
    }
}
