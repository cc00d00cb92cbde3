//! What a backup and a restore cost the traffic: its latency alone and beside them, in turns.
//!
//! # Invariants
//!
//! - Which of the two is first changes from pair to pair, so that a drift of the machine falls on both.
//! - A call that is not answered counts with the time that its client waited.
//!
//! Tested below: the percentile of a span.

use std::time::Duration;

use super::backups::{Backups, To};
use super::site::Site;
use crate::record::{Key, Nanos, Record};
use crate::rpo_rto::percentile;

/// Between two spans, so that neither is measured in what the other left.
const SETTLE: Duration = Duration::from_secs(3);

/// The traffic alone and beside a backup and a restore.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// 99th percentile of the latency alone, in milliseconds.
    pub alone_ms: f64,
    /// The same while a backup and a restore were under way.
    pub beside_ms: f64,
    /// How long they were, in seconds.
    pub beside_s: f64,
}

/// Measures one pair.
pub async fn run(site: &mut Site, number: u32) -> anyhow::Result<Pair> {
    let backups = Backups::of(site)?;
    let load = site.load(site.args.trials + number)?;
    let (alone, beside) = if number.is_multiple_of(2) {
        let alone = alone(site).await;
        (alone, beside(site, &backups, number).await?)
    } else {
        let beside = beside(site, &backups, number).await?;
        (alone(site).await, beside)
    };
    let records = load.finish().await;
    site.note(&records);
    site.ledger.settle();
    let p99 = |span| latency_ms(&records, span).unwrap_or(f64::INFINITY);
    let (alone_ms, beside_ms) = (p99(alone), p99(beside));
    let beside_s = Duration::from_nanos(beside.1 - beside.0).as_secs_f64();
    Ok(Pair { alone_ms, beside_ms, beside_s })
}

type Span = (Nanos, Nanos);

async fn alone(site: &Site) -> Span {
    site.progress.step("load alone");
    tokio::time::sleep(SETTLE).await;
    let from = site.clock.now();
    tokio::time::sleep(site.args.warmup).await;
    (from, site.clock.now())
}

async fn beside(site: &Site, backups: &Backups, number: u32) -> anyhow::Result<Span> {
    site.progress.step("load beside a backup and a restore");
    tokio::time::sleep(SETTLE).await;
    let target = format!("{}-pair-{}", site.table, number + 1);
    let from = site.clock.now();
    let (restored, backup) = tokio::join!(
        backups.restore(site, &target, To::Latest, Key::Pool(0)),
        backups.back_up(&target),
    );
    let (_, backup) = (restored?, backup?);
    let until = site.clock.now();
    backups.delete_table(&target).await?;
    backups.delete_backup(&backup).await?;
    Ok((from, until))
}

/// The 99th percentile of the latency of the calls that were intended within a span, in milliseconds.
fn latency_ms(records: &[Record], (from, until): Span) -> Option<f64> {
    let within = records.iter().filter(|one| (from..until).contains(&one.intended));
    let latencies: Vec<f64> = within.map(|one| one.latency() as f64 / 1e6).collect();
    percentile(&latencies, 99.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Asked, Fate, Seen};

    #[test]
    fn only_calls_of_the_span_count_and_unanswered_ones_too() {
        let record = |intended: Nanos, took: Nanos, fate| Record {
            client: 0,
            key: Key::Pool(0),
            asked: Asked::Get,
            fate,
            seen: Seen::Untold,
            intended,
            started: intended,
            ended: intended + took,
        };
        let records = [
            record(5, 900_000_000, Fate::Ok),
            record(10, 2_000_000, Fate::Ok),
            record(19, 1_000_000_000, Fate::Unknown),
            record(20, 5_000_000_000, Fate::Ok),
        ];
        assert_eq!(latency_ms(&records, (10, 20)), Some(1000.0));
        assert_eq!(latency_ms(&records, (10, 19)), Some(2.0));
        assert_eq!(latency_ms(&records, (30, 40)), None);
    }
}
