//! What a table is made of: the part of it that a user states and every region needs.
//!
//! These are stored types: JSON within versioned bytes ([`crate::stored`]). They carry everything
//! that DescribeTable answers except sizes and counts, which partitions know.
//!
//! # Invariants
//!
//! - A [`TableDefinition`] that passed [`TableDefinition::check`] names every key attribute once
//!   among its attributes, with one type, and throughput exactly when billing is provisioned.
//!
//! Tested beside the code and by `region/tests.rs`.

use crate::replica_settings::{Dimension, ReplicaOverrides, Scaling};
use crate::stored;
use meridian_model::{GlobalIndex, KeyAttribute, KeyKind, KeySchema, LocalIndex};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `BillingMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BillingMode {
    /// PROVISIONED.
    Provisioned,
    /// PAY_PER_REQUEST.
    PayPerRequest,
}

/// `ProvisionedThroughput`, in capacity units per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Read capacity units.
    pub read_units: u64,
    /// Write capacity units.
    pub write_units: u64,
}

/// `StreamViewType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamView {
    /// KEYS_ONLY.
    KeysOnly,
    /// NEW_IMAGE.
    NewImage,
    /// OLD_IMAGE.
    OldImage,
    /// NEW_AND_OLD_IMAGES.
    NewAndOldImages,
}

/// `TableClass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableClass {
    /// STANDARD.
    Standard,
    /// STANDARD_INFREQUENT_ACCESS.
    StandardInfrequentAccess,
}

/// `OnDemandThroughput`: most request units per second of a table that is billed per request; none
/// where there is no limit. Stored and shown, not enforced yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnDemandMaximum {
    /// Read request units.
    pub read_units: Option<u64>,
    /// Write request units.
    pub write_units: Option<u64>,
}

impl OnDemandMaximum {
    /// True when there is no limit.
    pub fn is_none(&self) -> bool {
        *self == OnDemandMaximum::default()
    }
}

/// `SSESpecification` with a key of the Key Management Service. Stored and shown: what encrypts the
/// disk is the operator's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `KMSMasterKeyId` as it was given; none for the key that the service manages.
    pub key: Option<String>,
}

/// A global secondary index as its user states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalIndexDefinition {
    /// Name, key and projection.
    #[serde(with = "stored::global_index")]
    pub index: GlobalIndex,
    /// `ProvisionedThroughput`; none when billing is per request.
    pub throughput: Option<Throughput>,
    /// `OnDemandThroughput`.
    #[serde(default, skip_serializing_if = "OnDemandMaximum::is_none")]
    pub on_demand: OnDemandMaximum,
    /// `WarmThroughput`; none where the user never raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Throughput>,
}

impl GlobalIndexDefinition {
    /// True when the change from `before` makes the index UPDATING. Warm throughput has a status of
    /// its own.
    pub fn is_updated_from(&self, before: &GlobalIndexDefinition) -> bool {
        (self.throughput, self.on_demand) != (before.throughput, before.on_demand)
    }
}

/// Everything that a region needs to create its copy of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// `AttributeDefinitions`, in the order in which the user gave them.
    #[serde(with = "stored::attributes")]
    pub attributes: Vec<KeyAttribute>,
    /// `KeySchema`, with the types of its attributes.
    #[serde(with = "stored::key_schema")]
    pub key: KeySchema,
    /// `LocalSecondaryIndexes`: as many as there ever will be.
    #[serde(with = "stored::local_indexes", default, skip_serializing_if = "Vec::is_empty")]
    pub local_indexes: Vec<LocalIndex>,
    /// `GlobalSecondaryIndexes`: those that the table is to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub global_indexes: Vec<GlobalIndexDefinition>,
    /// `BillingMode`.
    pub billing: BillingMode,
    /// `ProvisionedThroughput`; none when billing is per request.
    pub throughput: Option<Throughput>,
    /// The view type of the stream; none when the stream is off.
    pub stream: Option<StreamView>,
    /// `TableClass`; none when the user never named one, and then DescribeTable shows none.
    pub class: Option<TableClass>,
    /// `DeletionProtectionEnabled`. Never copied between regions.
    #[serde(default)]
    pub deletion_protection: bool,
    /// `OnDemandThroughput`.
    #[serde(default, skip_serializing_if = "OnDemandMaximum::is_none")]
    pub on_demand: OnDemandMaximum,
    /// `WarmThroughput`; none where the user never raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Throughput>,
    /// `SSESpecification`; none for the key that the service owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// `TimeToLiveSpecification`: the attribute that says when an item expires; none when it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// What replicas of a global table have of their own, by region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, ReplicaOverrides>,
    /// Auto scaling of a global table, in the order of the dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<(Dimension, Scaling)>,
}

/// Why a definition cannot be stored. The `api` crate refuses all of these before, with DynamoDB's
/// own texts; the state machines check again since they cannot trust a proposer's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DefinitionError {
    /// A key attribute has no definition, or one of another type.
    #[error("a key attribute is not defined")]
    KeyUndefined,
    /// An attribute is defined twice, both keys are the same attribute, or two indexes have one name.
    #[error("an attribute is named twice")]
    NamedTwice,
    /// Throughput with billing per request, or provisioned billing without throughput.
    #[error("throughput and billing mode contradict each other")]
    ThroughputMismatch,
}

impl stored::Stored for TableDefinition {}

impl TableDefinition {
    /// The type of an attribute.
    pub fn kind_of(&self, name: &str) -> Option<KeyKind> {
        self.attributes.iter().find(|a| a.name == name).map(|a| a.kind)
    }

    /// The global index of that name.
    pub fn global_index(&self, name: &str) -> Option<&GlobalIndexDefinition> {
        self.global_indexes.iter().find(|one| one.index.name == name)
    }

    /// The names of all indexes.
    pub fn index_names(&self) -> impl Iterator<Item = &str> {
        let local = self.local_indexes.iter().map(|index| index.name.as_str());
        local.chain(self.global_indexes.iter().map(|one| one.index.name.as_str()))
    }

    /// The key attributes of the table and of all indexes; some come several times.
    pub fn keys(&self) -> impl Iterator<Item = &KeyAttribute> {
        let local = self.local_indexes.iter().map(|index| &index.sort);
        let global = self.global_indexes.iter().flat_map(|one| one.index.keys.all());
        self.key.attributes().chain(local).chain(global)
    }

    /// Lets go of attributes that are no longer a key of anything: those of an index go with it.
    pub fn drop_unused_attributes(&mut self) {
        let used: BTreeSet<String> = self.keys().map(|key| key.name.clone()).collect();
        self.attributes.retain(|attribute| used.contains(&attribute.name));
    }

    /// Checks what the invariants of this file state.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let names: BTreeSet<&str> = self.attributes.iter().map(|a| a.name.as_str()).collect();
        let same_keys =
            self.key.sort.as_ref().is_some_and(|sort| sort.name == self.key.partition.name);
        if names.len() < self.attributes.len() || same_keys {
            return Err(DefinitionError::NamedTwice);
        }
        let indexes: BTreeSet<&str> = self.index_names().collect();
        if indexes.len() < self.index_names().count() {
            return Err(DefinitionError::NamedTwice);
        }
        if !self.keys().all(|key| self.kind_of(&key.name) == Some(key.kind)) {
            return Err(DefinitionError::KeyUndefined);
        }
        match (self.billing, self.throughput) {
            (BillingMode::Provisioned, Some(_)) | (BillingMode::PayPerRequest, None) => Ok(()),
            (BillingMode::Provisioned, None) | (BillingMode::PayPerRequest, Some(_)) => {
                Err(DefinitionError::ThroughputMismatch)
            }
        }
    }
}

/// `TableStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TableStatus {
    /// CREATING: its partitions have no leaders yet.
    Creating,
    /// ACTIVE.
    Active,
    /// UPDATING: serves, takes no second change.
    Updating,
    /// DELETING: its name is still taken.
    Deleting,
}

/// `IndexStatus` of a global index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexStatus {
    /// CREATING: being made, then filled.
    Creating,
    /// ACTIVE.
    Active,
    /// UPDATING: serves, takes no second change of its throughput.
    Updating,
    /// DELETING.
    Deleting,
}

/// `ReplicaStatus` of a global table's copy in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReplicaStatus {
    /// CREATING: being made and filled.
    Creating,
    /// CREATION_FAILED: the region has another table of that name.
    CreationFailed,
    /// ACTIVE.
    Active,
    /// DELETING.
    Deleting,
}

/// The replicas of a global table as one region last saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalSnapshot {
    /// Version of the global table, to tell whether it is behind.
    pub version: u64,
    /// Status by region name, this region's own included.
    pub replicas: BTreeMap<String, ReplicaStatus>,
}

/// `GlobalTableVersion` of every global table here.
pub const GLOBAL_TABLE_VERSION: &str = "2019.11.21";
