//! The catalog that requests look into, made anew with every change of the region's state.

use meridian_control::region::{Catalog, RegionState};
use meridian_raft::rt;
use std::sync::Arc;
use tokio::sync::watch;

/// Follows the region's state; ends with it.
pub fn follow(mut state: watch::Receiver<Arc<RegionState>>) -> watch::Receiver<Arc<Catalog>> {
    let first = Arc::new(Catalog::of(&state.borrow_and_update()));
    let (sender, catalog) = watch::channel(first);
    rt::spawn(async move {
        while state.changed().await.is_ok() {
            let next = Arc::new(Catalog::of(&state.borrow_and_update()));
            if sender.send(next).is_err() {
                return;
            }
        }
    });
    catalog
}
