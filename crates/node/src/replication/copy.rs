//! Copies what a partition holds to a region that is new to it.
//!
//! # Invariants
//!
//! - The region's reader was started before the view is opened: what the view lacks is in the
//!   change log after the reader's cursor.
//! - Copying again does no harm.

use super::Parcel;
use super::feed::{Feed, Route, call};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use meridian_base::{Change, Hlc, Position};
use meridian_geo::Ack;
use meridian_partition::{CopyFrom, ReadLimits, copy_page};
use meridian_raft::rt;
use std::time::Duration;

/// How much one message carries.
const PAGE: ReadLimits = ReadLimits { records: 512, bytes: 512 * 1024 };
/// Messages under way at a time.
const IN_FLIGHT_MAX: usize = 4;
/// Between two attempts to send one.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends everything that the partition holds; of a replica that is being filled itself, only what
/// was written in this region.
pub async fn copy(feed: &Feed) -> Result<(), String> {
    let engine = std::sync::Arc::clone(&feed.hosted.engine);
    let mut view = engine.view().map_err(|e| e.to_string())?;
    let mut from = Some(CopyFrom::default());
    let mut in_flight = FuturesUnordered::new();
    loop {
        if let Some(place) = from.take() {
            let spec = feed.hosted.spec.clone();
            let (back, page) = rt::blocking(move || {
                let page = copy_page(view.as_ref(), &spec, &place, PAGE);
                (view, page)
            })
            .await;
            view = back;
            let mut page = page.map_err(|e| e.to_string())?;
            if feed.target.own_writes_only {
                let own = feed.hosted.spec.region.number;
                page.changes.retain(|change| change.version.region.number == own);
            }
            from = page.next;
            if !page.changes.is_empty() {
                in_flight.push(insist(feed, page.changes));
            }
        }
        if from.is_none() && in_flight.is_empty() {
            return Ok(());
        }
        if from.is_none() || in_flight.len() >= IN_FLIGHT_MAX {
            in_flight.next().await;
        }
    }
}

/// Sends a message until it is taken.
async fn insist(feed: &Feed, changes: Vec<Change>) -> Ack {
    let batch = feed.batch((Position(0), Position(0)), changes, None, Hlc(0));
    let payload = Parcel { chain: 0, number: 0, batch }.encode();
    let mut route = Route::default();
    loop {
        feed.wait_while_paused().await;
        if let Some(to) = feed.route(&mut route) {
            match call(&feed.node, to, payload.clone()).await {
                Ok(receipt) => return receipt.ack,
                Err(why) => {
                    tracing::debug!(partition = %feed.hosted.spec.partition, %why, "a copy is sent again");
                    route.fail();
                }
            }
        }
        rt::sleep(PAUSE).await;
    }
}
