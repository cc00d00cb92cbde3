//! The node as its operators see it.

mod compare;
mod entries;
mod inspect;
mod nodes;
mod regions;
mod restores;

use crate::control::client::ControlError;
use crate::node::Node;
use async_trait::async_trait;
use meridian_api::admin::{AdminBackend, AdminCall, AdminError};
use serde_json::Value;

pub(crate) fn unavailable(error: impl ToString) -> AdminError {
    AdminError::Unavailable(error.to_string())
}

/// What a refused or unanswered proposal is to an operator.
pub(crate) fn refused<T, R: ToString>(
    done: Result<Result<T, R>, ControlError>,
) -> Result<T, AdminError> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(refusal)) => Err(AdminError::Refused(refusal.to_string())),
        Err(error) => Err(unavailable(error)),
    }
}

#[async_trait]
impl AdminBackend for Node {
    async fn ready(&self) -> Result<(), String> {
        Node::ready(self)
    }

    async fn call(&self, call: AdminCall) -> Result<Value, AdminError> {
        match call {
            AdminCall::Status => Ok(self.status_json().await),
            AdminCall::Tables => Ok(self.tables_json().await),
            AdminCall::Regions => Ok(self.regions_json()),
            AdminCall::Conflicts { table } => self.conflicts_json(&table).await,
            AdminCall::Lag => Ok(self.lag_json().await),
            AdminCall::Digest { table, partition } => self.digest_json(&table, partition),
            AdminCall::Dump { table, partition, after } => {
                self.dump_json(&table, partition, after.as_deref())
            }
            AdminCall::Entries { table, index, partition, after } => {
                self.entries_json((&table, &index), partition, after.as_deref())
            }
            AdminCall::Archived => self.archived_json().await,
            AdminCall::Rewrap { cluster, region } => self.rewrap(cluster, region).await,
            AdminCall::Restore { from, to, at_ms, kind } => {
                self.begin_restore(&from, &to, at_ms, kind).await
            }
            AdminCall::Restoring { table } => self.restoring_json(&table),
            AdminCall::Compare { from, restored, partition, at_ms } => {
                self.compare_json(&from, &restored, partition, at_ms).await
            }
            AdminCall::TableSwap { first, second } => self.table_swap(&first, &second).await,
            AdminCall::TableDrop { table } => self.table_drop(&table).await,
            AdminCall::ClusterInit { nodes } => self.cluster_init(nodes).await,
            AdminCall::RegionFail { region, override_epoch } => {
                self.region_fail(&region, override_epoch).await
            }
            AdminCall::RegionRestore { region } => self.region_restore(&region).await,
            AdminCall::RegionEvacuate { region, target, abort } => {
                self.region_evacuate(&region, target, abort).await
            }
            AdminCall::NodeStart { .. } => Err(AdminError::Refused(
                "only the playground, whose child a node is, can start it".into(),
            )),
            AdminCall::NodeAdd { node } => self.node_add(node).await,
            AdminCall::NodeDrain { node } => self.node_drain(node).await,
            AdminCall::NodeRemove { node } => self.node_remove(node).await,
        }
    }
}
