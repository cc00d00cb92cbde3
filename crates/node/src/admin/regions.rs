//! What operators ask of regions.

use crate::node::Node;
use meridian_api::admin::AdminError;
use serde_json::{Value, json};

impl Node {
    /// The regions of the cluster and their states.
    pub(crate) fn regions_json(&self) -> Value {
        let global = self.control.global_state();
        let regions = global.regions().iter().map(|(name, region)| {
            json!({
                "name": name,
                "state": region.status.name(),
                "epoch": region.epoch,
                "since_ms": region.since_ms,
            })
        });
        json!({"own": self.options.region, "regions": regions.collect::<Vec<_>>()})
    }

    /// The recorded conflicts of a table.
    pub(crate) async fn conflicts_json(&self, _table: &str) -> Result<Value, AdminError> {
        Err(AdminError::Unavailable("conflicts cannot be read yet".into()))
    }

    /// Replication lag.
    pub(crate) fn lag_json(&self) -> Value {
        json!({"lag": []})
    }

    /// Marks a region Lost.
    pub(crate) async fn region_fail(
        &self,
        _region: &str,
        _override_epoch: Option<u64>,
    ) -> Result<Value, AdminError> {
        Err(AdminError::Unavailable("regions cannot be failed yet".into()))
    }

    /// Brings a region back.
    pub(crate) async fn region_restore(&self, _region: &str) -> Result<Value, AdminError> {
        Err(AdminError::Unavailable("regions cannot be restored yet".into()))
    }

    /// Drains a region.
    pub(crate) async fn region_evacuate(
        &self,
        _region: &str,
        _target: Option<String>,
        _abort: bool,
    ) -> Result<Value, AdminError> {
        Err(AdminError::Unavailable("regions cannot be evacuated yet".into()))
    }
}
