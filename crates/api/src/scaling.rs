//! Auto scaling of a global table: what is asked, and how it is shown.
//!
//! The settings are stored and shown. Nothing changes capacity by them.
//!
//! Tested by `tests/scaling.rs`; texts are the service's, without the tails in which it names requests
//! to the service that scales for it.

use meridian_control::region::TableRecord;
use meridian_control::replica_settings::{Dimension, Scaling};
use meridian_control::table::{BillingMode, GlobalSnapshot};
use meridian_wire::arn::scaling_role_arn;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::context::RequestContext;
use crate::describe::{index_status_name, replica_status, replica_status_name, status_name};
use crate::errors::invalid;

/// Between these the target of a policy may lie, percent.
const TARGET: std::ops::RangeInclusive<f64> = 10.0..=90.0;

/// What is asked of one dimension.
pub struct Asked {
    /// Which.
    pub dimension: Dimension,
    units_min: Option<i64>,
    units_max: Option<i64>,
    is_disabled: bool,
    role: Option<String>,
    policy: Option<Policy>,
}

struct Policy {
    name: Option<String>,
    is_scale_in_disabled: Option<bool>,
    scale_in_cooldown_s: Option<i64>,
    scale_out_cooldown_s: Option<i64>,
    target: f64,
}

impl Asked {
    /// Takes an `AutoScalingSettingsUpdate`, where there is one.
    pub fn take(fields: &mut Fields, member: &str, dimension: Dimension) -> Option<Self> {
        let mut asked = fields.take_fields(member)?;
        let policy = asked.take_fields("ScalingPolicyUpdate").and_then(|mut policy| {
            let name = policy.take_text("PolicyName");
            let mut tracking = policy.take_fields("TargetTrackingScalingPolicyConfiguration")?;
            Some(Policy {
                name,
                is_scale_in_disabled: tracking.take_flag("DisableScaleIn"),
                scale_in_cooldown_s: tracking.take_number("ScaleInCooldown"),
                scale_out_cooldown_s: tracking.take_number("ScaleOutCooldown"),
                target: tracking.take_decimal("TargetValue").unwrap_or_default(),
            })
        });
        Some(Asked {
            dimension,
            units_min: asked.take_number("MinimumUnits"),
            units_max: asked.take_number("MaximumUnits"),
            is_disabled: asked.take_flag("AutoScalingDisabled").unwrap_or(false),
            role: asked.take_text("AutoScalingRoleArn"),
            policy,
        })
    }

    /// Checks what is asked against the table; returns what becomes of the dimension.
    pub fn settings(self, table: &TableRecord) -> Result<(Dimension, Option<Scaling>), ApiError> {
        if self.is_disabled {
            return Ok((self.dimension, None));
        }
        let known = table.definition.scaling_of(&self.dimension);
        self.check_billing(table)?;
        let units = |asked: Option<i64>, known: Option<u64>| {
            asked.and_then(|units| u64::try_from(units).ok()).or(known)
        };
        let units_max = units(self.units_max, known.map(|known| known.units_max));
        let units_min = units(self.units_min, known.map(|known| known.units_min));
        let has_policy = self.policy.is_some() || known.is_some();
        let (Some(units_max), Some(units_min), true) = (units_max, units_min, has_policy) else {
            let named = [
                ("MaximumUnits", units_max.is_some()),
                ("ScalingPolicyUpdate", has_policy),
                ("MinimumUnits", units_min.is_some()),
            ];
            let missing = named.iter().filter(|(_, is_there)| !is_there);
            let missing: Vec<String> = missing.map(|(name, _)| format!("'{name}'")).collect();
            return Err(invalid(format!(
                "Failed to update settings for global table with name: ‘{}’: Parameters {} are \
                 required unless auto scaling is being disabled.",
                table.name,
                missing.join(", ")
            )));
        };
        if units_max < units_min {
            return Err(invalid("Maximum capacity cannot be less than minimum capacity"));
        }
        let side = side(&self.dimension);
        let mut scaling = Scaling {
            units_min,
            units_max,
            role: self.role.or_else(|| known.and_then(|known| known.role.clone())),
            ..known.cloned().unwrap_or_else(nothing)
        };
        if let Some(policy) = self.policy {
            check_target(policy.target, side)?;
            scaling.policy = policy.name.or(scaling.policy);
            scaling.is_scale_in_disabled = policy.is_scale_in_disabled;
            scaling.scale_in_cooldown_s = policy.scale_in_cooldown_s;
            scaling.scale_out_cooldown_s = policy.scale_out_cooldown_s;
            scaling.target_bits = policy.target.to_bits();
        }
        Ok((self.dimension, Some(scaling)))
    }

    fn check_billing(&self, table: &TableRecord) -> Result<(), ApiError> {
        if table.definition.billing == BillingMode::Provisioned {
            return Ok(());
        }
        let replicas = table.global.iter().flat_map(|global| global.replicas.keys());
        let replicas: Vec<String> =
            replicas.map(|region| format!("'{}'", region.to_uppercase())).collect();
        let parameter = match (&self.dimension.region, &self.dimension.index) {
            (None, None) => "GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate",
            (None, Some(_)) => "ProvisionedWriteCapacityAutoScalingSettingsUpdate",
            (Some(_), None) => "ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate",
            (Some(_), Some(_)) => "ProvisionedReadCapacityAutoScalingSettingsUpdate",
        };
        Err(invalid(format!(
            "Failed to update global table with name ‘{}‘. Replicas {} BillingMode is \
             PayPerRequest. You must convert table's BillingMode to PROVISIONED to set parameters: \
             '{parameter}'.",
            table.name,
            replicas.join(", ")
        )))
    }
}

fn nothing() -> Scaling {
    Scaling {
        units_min: 0,
        units_max: 0,
        role: None,
        policy: None,
        is_scale_in_disabled: None,
        scale_in_cooldown_s: None,
        scale_out_cooldown_s: None,
        target_bits: 0,
    }
}

fn side(dimension: &Dimension) -> &'static str {
    if dimension.region.is_some() { "Read" } else { "Write" }
}

fn check_target(target: f64, side: &str) -> Result<(), ApiError> {
    if target <= 0.0 {
        return Err(invalid(format!(
            "For target tracking scaling, target value must be between '8.51592E-109' and \
             '1.174271E108', but was '{target:?}'."
        )));
    }
    if !TARGET.contains(&target) {
        return Err(invalid(format!(
            "For predefined metric type DynamoDB{side}CapacityUtilization, target value must be \
             between '10.0' and '90.0', but was '{target:?}'."
        )));
    }
    Ok(())
}

/// Answers with `TableAutoScalingDescription`.
pub fn answer(context: &RequestContext, table: &TableRecord, global: &GlobalSnapshot) -> Vec<u8> {
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("TableAutoScalingDescription"));
    let mut list = Array::open(shown.key("Replicas"));
    for (region, known) in &global.replicas {
        let mut one = Object::open(list.element());
        let mut indexes = Array::open(one.key("GlobalSecondaryIndexes"));
        for index in &table.indexes {
            let mut shown = Object::open(indexes.element());
            shown.text("IndexName", index.name());
            shown.text("IndexStatus", index_status_name(index.status));
            for side in ["Read", "Write"] {
                let member = format!("Provisioned{side}CapacityAutoScalingSettings");
                let dimension = dimension(side, region, Some(index.name()));
                write(&mut shown, &member, table, &dimension);
            }
            shown.close();
        }
        indexes.close();
        one.text("RegionName", region);
        for side in ["Read", "Write"] {
            let member = format!("ReplicaProvisioned{side}CapacityAutoScalingSettings");
            write(&mut one, &member, table, &dimension(side, region, None));
        }
        let status = replica_status(context, table, region, *known);
        one.text("ReplicaStatus", replica_status_name(status));
        one.close();
    }
    list.close();
    shown.text("TableName", &table.name).text("TableStatus", status_name(table.status));
    shown.close();
    answer.close();
    out
}

fn dimension(side: &str, region: &str, index: Option<&str>) -> Dimension {
    let region = (side == "Read").then(|| region.to_owned());
    Dimension { region, index: index.map(str::to_owned) }
}

fn write(object: &mut Object<'_>, member: &str, table: &TableRecord, dimension: &Dimension) {
    let mut settings = Object::open(object.key(member));
    let Some(scaling) = table.definition.scaling_of(dimension) else {
        settings.flag("AutoScalingDisabled", true);
        Array::open(settings.key("ScalingPolicies")).close();
        return settings.close();
    };
    settings.number("MinimumUnits", scaling.units_min);
    settings.number("MaximumUnits", scaling.units_max);
    if table.definition.billing == BillingMode::PayPerRequest {
        settings.flag("AutoScalingDisabled", true);
    }
    let role = scaling.role.clone().unwrap_or_else(scaling_role_arn);
    settings.text("AutoScalingRoleArn", &role);
    let mut policies = Array::open(settings.key("ScalingPolicies"));
    let mut policy = Object::open(policies.element());
    let name = scaling.policy.clone().unwrap_or_else(|| {
        let index = dimension.index.as_ref().map(|index| format!("/index/{index}"));
        format!(
            "DynamoDB{}CapacityUtilization:table/{}{}",
            side(dimension),
            table.name,
            index.unwrap_or_default()
        )
    });
    policy.text("PolicyName", &name);
    let mut tracking = Object::open(policy.key("TargetTrackingScalingPolicyConfiguration"));
    if let Some(is_disabled) = scaling.is_scale_in_disabled {
        tracking.flag("DisableScaleIn", is_disabled);
    }
    let cooldowns = [
        ("ScaleInCooldown", scaling.scale_in_cooldown_s),
        ("ScaleOutCooldown", scaling.scale_out_cooldown_s),
    ];
    for (name, seconds) in cooldowns {
        if let Some(seconds) = seconds {
            tracking.key(name).extend_from_slice(seconds.to_string().as_bytes());
        }
    }
    tracking.decimal("TargetValue", f64::from_bits(scaling.target_bits));
    tracking.close();
    policy.close();
    policies.close();
    settings.close();
}
