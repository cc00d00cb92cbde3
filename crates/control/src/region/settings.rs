//! Changes of a table's settings: what UpdateTable states, and what makes one definition another.
//!
//! # Invariants
//!
//! - `between(a, b)` applied to `a` gives `b`, in the settings that all replicas share.
//!
//! Tested by `region/tests.rs`.

use super::Changing;
use crate::replica_settings::{self, Dimension, ReplicaOverrides, Scaling};
use crate::stored;
use crate::table::{
    BillingMode, Encryption, GlobalIndexDefinition, OnDemandMaximum, StreamView, TableClass,
    TableDefinition, Throughput,
};
use meridian_model::KeyAttribute;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A new value of a setting, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Setting<T> {
    /// The setting stays.
    #[default]
    Keep,
    /// The setting is taken away.
    Unset,
    /// The setting becomes this.
    Set(T),
}

/// What UpdateTable changes of `OnDemandThroughput`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnDemandChange {
    /// Read request units.
    #[serde(default)]
    pub read_units: Setting<u64>,
    /// Write request units.
    #[serde(default)]
    pub write_units: Setting<u64>,
}

impl OnDemandChange {
    /// What makes `from` equal to `to`.
    fn between(from: OnDemandMaximum, to: OnDemandMaximum) -> Self {
        OnDemandChange {
            read_units: Setting::between(from.read_units, to.read_units),
            write_units: Setting::between(from.write_units, to.write_units),
        }
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == OnDemandChange::default()
    }

    /// The limits after the change.
    pub fn applied_to(&self, before: OnDemandMaximum) -> OnDemandMaximum {
        OnDemandMaximum {
            read_units: self.read_units.applied_to(&before.read_units),
            write_units: self.write_units.applied_to(&before.write_units),
        }
    }
}

impl<T> Setting<T> {
    /// What makes `from` equal to `to`.
    fn between(from: Option<T>, to: Option<T>) -> Self
    where
        T: PartialEq,
    {
        match to {
            to if to == from => Setting::Keep,
            None => Setting::Unset,
            Some(to) => Setting::Set(to),
        }
    }

    /// The value after the change.
    pub fn applied_to(&self, before: &Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Setting::Keep => before.clone(),
            Setting::Unset => None,
            Setting::Set(to) => Some(to.clone()),
        }
    }

    /// True when the setting stays.
    pub fn is_keep(&self) -> bool {
        match self {
            Setting::Keep => true,
            Setting::Unset | Setting::Set(_) => false,
        }
    }
}

/// What UpdateTable changes of the global indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexChange {
    /// A new index.
    Create(GlobalIndexDefinition),
    /// An index goes.
    Delete(String),
    /// An index changes.
    Update {
        /// Its name.
        name: String,
        /// `ProvisionedThroughput`.
        throughput: Option<Throughput>,
        /// `OnDemandThroughput`.
        #[serde(default, skip_serializing_if = "OnDemandChange::is_empty")]
        on_demand: OnDemandChange,
        /// `WarmThroughput`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warm: Option<Throughput>,
    },
}

impl IndexChange {
    /// The index that changes.
    pub fn name(&self) -> &str {
        match self {
            IndexChange::Create(definition) => &definition.index.name,
            IndexChange::Delete(name) | IndexChange::Update { name, .. } => name,
        }
    }
}

/// What UpdateTable changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableSettings {
    /// `BillingMode`.
    pub billing: Option<BillingMode>,
    /// `ProvisionedThroughput`; taken away by itself when billing becomes per request.
    pub throughput: Option<Throughput>,
    /// `StreamSpecification`: `Unset` turns the stream off.
    #[serde(default)]
    pub stream: Setting<StreamView>,
    /// `TableClass`.
    pub class: Option<TableClass>,
    /// `DeletionProtectionEnabled`.
    pub deletion_protection: Option<bool>,
    /// `OnDemandThroughput`, each of the two for itself; both taken away by themselves when billing
    /// becomes provisioned.
    #[serde(default, skip_serializing_if = "OnDemandChange::is_empty")]
    pub on_demand: OnDemandChange,
    /// `WarmThroughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Throughput>,
    /// `SSESpecification`: `Unset` goes back to the key that the service owns.
    #[serde(default, skip_serializing_if = "Setting::is_keep")]
    pub encryption: Setting<Encryption>,
    /// `TimeToLiveSpecification`. On its own it changes no status.
    #[serde(default, skip_serializing_if = "Setting::is_keep")]
    pub ttl: Setting<String>,
    /// `AttributeDefinitions` of new indexes' keys.
    #[serde(with = "stored::attributes", default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyAttribute>,
    /// `GlobalSecondaryIndexUpdates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexChange>,
    /// All that the replicas in these regions have of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, ReplicaOverrides>,
    /// Auto scaling of these dimensions, or none any more. On its own it changes no status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<(Dimension, Option<Scaling>)>,
}

impl TableSettings {
    /// What makes `from` equal to `to` in the settings that all replicas of a global table share.
    pub fn between(from: &TableDefinition, to: &TableDefinition) -> Self {
        TableSettings {
            billing: (from.billing != to.billing).then_some(to.billing),
            throughput: to.throughput.filter(|_| from.throughput != to.throughput),
            stream: Setting::between(from.stream, to.stream),
            class: to.class.filter(|_| from.class != to.class),
            deletion_protection: None,
            on_demand: OnDemandChange::between(from.on_demand, to.on_demand),
            warm: to.warm.filter(|_| from.warm != to.warm),
            encryption: Setting::between(from.encryption.clone(), to.encryption.clone()),
            attributes: to
                .attributes
                .iter()
                .filter(|a| !from.attributes.contains(a))
                .cloned()
                .collect(),
            indexes: changes_between(from, to),
            ttl: Setting::between(from.ttl.clone(), to.ttl.clone()),
            overrides: replica_settings::overrides_between(from, to),
            scaling: replica_settings::scaling_between(from, to),
        }
    }

    /// What this region alone changes, and what all replicas of a global table share, if anything.
    pub fn divided(self) -> (Self, Option<Self>) {
        let deletion_protection = self.deletion_protection;
        let own = TableSettings { deletion_protection, ..TableSettings::default() };
        let shared = TableSettings { deletion_protection: None, ..self };
        let shared = (!shared.is_empty()).then_some(shared);
        (own, shared)
    }

    /// The definition after the change.
    pub fn applied_to(&self, before: &TableDefinition) -> TableDefinition {
        let billing = self.billing.unwrap_or(before.billing);
        let throughput = match billing {
            BillingMode::Provisioned => self.throughput.or(before.throughput),
            // Stated throughput stays in, so that the check refuses the contradiction.
            BillingMode::PayPerRequest => self.throughput,
        };
        let on_demand = match billing {
            BillingMode::Provisioned => OnDemandMaximum::default(),
            BillingMode::PayPerRequest => self.on_demand.applied_to(before.on_demand),
        };
        let mut after = TableDefinition {
            attributes: [before.attributes.as_slice(), &self.attributes].concat(),
            key: before.key.clone(),
            local_indexes: before.local_indexes.clone(),
            global_indexes: before.global_indexes.clone(),
            billing,
            throughput,
            stream: self.stream.applied_to(&before.stream),
            class: self.class.or(before.class),
            on_demand,
            warm: self.warm.or(before.warm),
            encryption: self.encryption.applied_to(&before.encryption),
            ttl: self.ttl.applied_to(&before.ttl),
            deletion_protection: self.deletion_protection.unwrap_or(before.deletion_protection),
            overrides: before.overrides.clone(),
            scaling: before.scaling.clone(),
        };
        self.indexes.iter().for_each(|change| change.apply_to(&mut after));
        for one in &mut after.global_indexes {
            match billing {
                BillingMode::PayPerRequest => one.throughput = None,
                BillingMode::Provisioned => one.on_demand = OnDemandMaximum::default(),
            }
        }
        after.drop_unused_attributes();
        after.change_replicas(self);
        after
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == TableSettings::default()
    }

    /// True when the table stays ACTIVE: all takes effect at once, or makes only indexes UPDATING.
    pub fn is_at_once(&self) -> bool {
        let is_update = |change: &IndexChange| matches!(change, IndexChange::Update { .. });
        self.indexes.iter().all(is_update)
            && *self
                == TableSettings {
                    ttl: self.ttl.clone(),
                    deletion_protection: self.deletion_protection,
                    on_demand: self.on_demand,
                    warm: self.warm,
                    encryption: self.encryption.clone(),
                    scaling: self.scaling.clone(),
                    indexes: self.indexes.clone(),
                    ..TableSettings::default()
                }
    }
}

impl TableSettings {
    /// True when it is made beside another change of the table.
    pub fn is_beside(&self) -> bool {
        self.is_at_once() && self.on_demand.is_empty()
    }

    /// What changes while the table is UPDATING.
    pub fn changing(&self) -> Option<Changing> {
        if self.billing.is_some() {
            Some(Changing::Billing)
        } else if self.throughput.is_some() {
            Some(Changing::Throughput)
        } else if !self.stream.is_keep() {
            Some(Changing::Stream)
        } else {
            self.class.map(|_| Changing::Class)
        }
    }
}

/// What makes the global indexes of `from` equal to those of `to`.
fn changes_between(from: &TableDefinition, to: &TableDefinition) -> Vec<IndexChange> {
    let gone = from.global_indexes.iter().filter(|old| to.global_index(&old.index.name).is_none());
    let gone = gone.map(|old| IndexChange::Delete(old.index.name.clone()));
    let other = to.global_indexes.iter().filter_map(|new| {
        let Some(old) = from.global_index(&new.index.name) else {
            return Some(IndexChange::Create(new.clone()));
        };
        let on_demand = OnDemandChange::between(old.on_demand, new.on_demand);
        (old != new).then(|| IndexChange::Update {
            name: new.index.name.clone(),
            throughput: new.throughput.filter(|_| old.throughput != new.throughput),
            on_demand,
            warm: new.warm.filter(|_| old.warm != new.warm),
        })
    });
    gone.chain(other).collect()
}

impl IndexChange {
    fn apply_to(&self, definition: &mut TableDefinition) {
        let indexes = &mut definition.global_indexes;
        match self {
            IndexChange::Create(new) => indexes.push(new.clone()),
            IndexChange::Delete(name) => indexes.retain(|one| one.index.name != *name),
            IndexChange::Update { name, throughput, on_demand, warm } => {
                for one in indexes.iter_mut().filter(|one| one.index.name == *name) {
                    one.throughput = throughput.or(one.throughput);
                    one.on_demand = on_demand.applied_to(one.on_demand);
                    one.warm = warm.or(one.warm);
                }
            }
        }
    }
}
