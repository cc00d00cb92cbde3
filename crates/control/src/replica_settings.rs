//! What the replicas of a global table have of their own: overrides, and the settings of auto scaling.
//!
//! Both are part of the table's definition, so that every region knows those of all. A region reads
//! its own table through [`TableDefinition::in_region`].
//!
//! # Invariants
//!
//! - An override that changes nothing is not kept: one that equals the table's setting goes, and so
//!   do all of a setting that changes for the whole table.
//! - Overrides and scaling name only indexes that the table has.
//!
//! Tested below and by `api`'s tests of replicas.

use crate::region::{IndexChange, TableSettings};
use crate::table::{BillingMode, TableClass, TableDefinition, Throughput};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Read capacity of one replica of a table, or of an index of it, where it is another than the
/// table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadOverride {
    /// `ProvisionedThroughputOverride`, read capacity units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<u64>,
    /// `OnDemandThroughputOverride`, most read request units a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<u64>,
}

/// Settings of one replica that are other than the table's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicaOverrides {
    /// The table's read capacity.
    #[serde(default)]
    pub read: ReadOverride,
    /// `TableClassOverride`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<TableClass>,
    /// Read capacity of global indexes, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, ReadOverride>,
}

/// What can be scaled by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dimension {
    /// The region whose reads are scaled; none for writes, which are scaled alike in all regions.
    pub region: Option<String>,
    /// The global index; none for the table.
    pub index: Option<String>,
}

/// `AutoScalingSettings` of a dimension. Stored and shown: nothing here changes capacity by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// `MinimumUnits`.
    pub units_min: u64,
    /// `MaximumUnits`.
    pub units_max: u64,
    /// `AutoScalingRoleArn`, where it was given.
    pub role: Option<String>,
    /// `PolicyName`, where it was given.
    pub policy: Option<String>,
    /// `DisableScaleIn`.
    pub is_scale_in_disabled: Option<bool>,
    /// `ScaleInCooldown`, s.
    pub scale_in_cooldown_s: Option<i64>,
    /// `ScaleOutCooldown`, s.
    pub scale_out_cooldown_s: Option<i64>,
    /// `TargetValue`, percent, as the bits of a 64-bit float.
    pub target_bits: u64,
}

impl TableDefinition {
    /// The table as it is in one region, whose overrides are then no more overrides.
    pub fn in_region(&self, region: &str) -> TableDefinition {
        let mut own = self.clone();
        let Some(overrides) = own.overrides.remove(region) else { return own };
        own.class = overrides.class.or(own.class);
        own.throughput = overrides.read.over(own.throughput);
        own.on_demand.read_units = overrides.read.on_demand.or(own.on_demand.read_units);
        for index in &mut own.global_indexes {
            let Some(read) = overrides.indexes.get(&index.index.name) else { continue };
            index.throughput = read.over(index.throughput);
            index.on_demand.read_units = read.on_demand.or(index.on_demand.read_units);
        }
        own
    }

    /// The settings of a dimension, where it has any.
    pub fn scaling_of(&self, dimension: &Dimension) -> Option<&Scaling> {
        self.scaling.iter().find(|(known, _)| known == dimension).map(|(_, scaling)| scaling)
    }

    /// Lets go of what a region's replica had of its own.
    pub fn drop_replica(&mut self, region: &str) {
        self.overrides.remove(region);
        self.scaling.retain(|(dimension, _)| dimension.region.as_deref() != Some(region));
    }

    /// Brings what replicas have of their own to what the settings say, after the other settings
    /// were brought to it.
    pub(crate) fn change_replicas(&mut self, settings: &TableSettings) {
        self.forget_overridden(settings);
        for (region, overrides) in &settings.overrides {
            self.overrides.insert(region.clone(), overrides.clone());
        }
        for (dimension, to) in &settings.scaling {
            self.scaling.retain(|(known, _)| known != dimension);
            self.scaling.extend(to.clone().map(|scaling| (dimension.clone(), scaling)));
        }
        self.scaling.sort_by(|(one, _), (other, _)| one.cmp(other));
        let names: Vec<String> =
            self.global_indexes.iter().map(|index| index.index.name.clone()).collect();
        self.scaling.retain(|(dimension, _)| {
            dimension.index.as_ref().is_none_or(|one| names.contains(one))
        });
        self.drop_idle_overrides();
    }

    /// A setting that changes for the whole table is the same in every region from then on.
    fn forget_overridden(&mut self, settings: &TableSettings) {
        for overrides in self.overrides.values_mut() {
            if settings.class.is_some() {
                overrides.class = None;
            }
            if settings.throughput.is_some() {
                overrides.read.provisioned = None;
            }
            if !settings.on_demand.read_units.is_keep() {
                overrides.read.on_demand = None;
            }
            for change in &settings.indexes {
                let IndexChange::Update { name, throughput, on_demand, .. } = change else {
                    continue;
                };
                let Some(read) = overrides.indexes.get_mut(name) else { continue };
                if throughput.is_some() {
                    read.provisioned = None;
                }
                if !on_demand.read_units.is_keep() {
                    read.on_demand = None;
                }
            }
        }
    }

    fn drop_idle_overrides(&mut self) {
        let mut all = std::mem::take(&mut self.overrides);
        for overrides in all.values_mut() {
            overrides.read.drop_idle(self.billing, self.throughput, self.on_demand.read_units);
            let standard = |class: Option<TableClass>| class.unwrap_or(TableClass::Standard);
            if standard(overrides.class.or(self.class)) == standard(self.class) {
                overrides.class = None;
            }
            for (name, read) in &mut overrides.indexes {
                match self.global_index(name) {
                    None => *read = ReadOverride::default(),
                    Some(index) => {
                        read.drop_idle(self.billing, index.throughput, index.on_demand.read_units)
                    }
                }
            }
            overrides.indexes.retain(|_, read| *read != ReadOverride::default());
        }
        all.retain(|_, overrides| *overrides != ReplicaOverrides::default());
        self.overrides = all;
    }
}

impl ReadOverride {
    fn over(&self, throughput: Option<Throughput>) -> Option<Throughput> {
        let read_units = |units: Throughput| self.provisioned.unwrap_or(units.read_units);
        throughput.map(|units| Throughput { read_units: read_units(units), ..units })
    }

    fn drop_idle(
        &mut self,
        billing: BillingMode,
        throughput: Option<Throughput>,
        maximum: Option<u64>,
    ) {
        let base = throughput.map(|units| units.read_units);
        match billing {
            BillingMode::Provisioned => self.on_demand = None,
            BillingMode::PayPerRequest => self.provisioned = None,
        }
        self.provisioned = self.provisioned.filter(|units| Some(*units) != base);
        self.on_demand = self.on_demand.filter(|units| Some(*units) != maximum);
    }
}

/// What makes the overrides of `from` equal to those of `to`.
pub(crate) fn overrides_between(
    from: &TableDefinition,
    to: &TableDefinition,
) -> BTreeMap<String, ReplicaOverrides> {
    let gone = from.overrides.keys().filter(|region| !to.overrides.contains_key(*region));
    let gone = gone.map(|region| (region.clone(), ReplicaOverrides::default()));
    let other = to.overrides.iter().filter(|(region, it)| from.overrides.get(*region) != Some(it));
    gone.chain(other.map(|(region, it)| (region.clone(), it.clone()))).collect()
}

/// What makes the scaling of `from` equal to that of `to`.
pub(crate) fn scaling_between(
    from: &TableDefinition,
    to: &TableDefinition,
) -> Vec<(Dimension, Option<Scaling>)> {
    let gone = from.scaling.iter().filter(|(known, _)| to.scaling_of(known).is_none());
    let gone = gone.map(|(known, _)| (known.clone(), None));
    let other = to.scaling.iter().filter(|(known, it)| from.scaling_of(known) != Some(it));
    gone.chain(other.map(|(known, it)| (known.clone(), Some(it.clone())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::tests::definition;

    fn provisioned(read_units: u64) -> TableDefinition {
        let throughput = Some(Throughput { read_units, write_units: 1 });
        TableDefinition { billing: BillingMode::Provisioned, throughput, ..definition() }
    }

    fn reads(region: &str, units: u64) -> TableSettings {
        let read = ReadOverride { provisioned: Some(units), on_demand: None };
        let overrides = ReplicaOverrides { read, ..ReplicaOverrides::default() };
        TableSettings {
            overrides: BTreeMap::from([(region.to_owned(), overrides)]),
            ..TableSettings::default()
        }
    }

    fn read_units(definition: &TableDefinition, region: &str) -> u64 {
        definition.in_region(region).throughput.unwrap().read_units
    }

    #[test]
    fn an_override_is_one_region_s_until_the_table_changes() {
        let over = reads("us-test-1", 9).applied_to(&provisioned(5));
        assert_eq!((read_units(&over, "us-test-1"), read_units(&over, "eu-test-1")), (9, 5));
        let equal = reads("us-test-1", 5).applied_to(&over);
        assert_eq!(equal, provisioned(5), "what equals the table's is no override");
        let throughput = Some(Throughput { read_units: 5, write_units: 2 });
        let all = TableSettings { throughput, ..TableSettings::default() }.applied_to(&over);
        assert_eq!(read_units(&all, "us-test-1"), 5);
        let billing = Some(BillingMode::PayPerRequest);
        let switched = TableSettings { billing, ..TableSettings::default() }.applied_to(&over);
        assert!(switched.overrides.is_empty());
    }

    #[test]
    fn settings_between_two_definitions_make_replicas_equal_too() {
        let from = reads("us-test-1", 9).applied_to(&provisioned(5));
        let mut to = reads("ap-test-1", 7).applied_to(&provisioned(5));
        let dimension = Dimension { region: None, index: None };
        let scaling = Scaling {
            units_min: 1,
            units_max: 2,
            role: None,
            policy: None,
            is_scale_in_disabled: None,
            scale_in_cooldown_s: None,
            scale_out_cooldown_s: None,
            target_bits: 70f64.to_bits(),
        };
        to.scaling.push((dimension, scaling));
        for (one, other) in [(&from, &to), (&to, &from)] {
            let settings = TableSettings::between(one, other);
            assert_eq!(settings.applied_to(one), *other);
        }
        to.drop_replica("ap-test-1");
        assert!(to.overrides.is_empty() && to.scaling.len() == 1);
    }

    #[test]
    fn what_names_no_index_of_the_table_goes() {
        let mut settings = reads("us-test-1", 9);
        let read = ReadOverride { provisioned: Some(3), on_demand: None };
        let overrides = settings.overrides.get_mut("us-test-1").unwrap();
        overrides.indexes.insert("none".to_owned(), read);
        let after = settings.applied_to(&provisioned(5));
        assert!(after.overrides["us-test-1"].indexes.is_empty());
    }
}
