//! `meridian drill evacuate`: a region is left in an orderly way, under load, and comes back.
//!
//! Tested by `rehearsal.rs` on a cluster in memory, and by running it.

use anyhow::Context as _;

use crate::admin::StrandedWrite;
use crate::region_loss;
use crate::rpo_rto::Fault;
use crate::stage::Stage;

/// Asks the region to hand over; T0 is the moment of asking, the end that of the proof.
pub async fn leave(stage: &Stage, lose: &str) -> anyhow::Result<Fault> {
    let cluster = stage.cluster()?;
    // Any node will do; one of another region, as the command line has it.
    let survivors = region_loss::survivors(&cluster, lose)?;
    let admin = survivors.first().context("a region without node")?;
    let began = stage.clock.now();
    admin.region(lose, "evacuate").await.with_context(|| format!("cannot evacuate {lose}"))?;
    Ok(Fault { began, done: stage.clock.now() })
}

/// Brings the region back; nothing can be stranded in it.
pub async fn come_back(stage: &Stage, lose: &str) -> anyhow::Result<Vec<StrandedWrite>> {
    region_loss::restore(stage, lose).await
}
