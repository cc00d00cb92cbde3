//! What a restored table is: what its source is, apart from what a restore leaves out and overrides.
//!
//! Keys, indexes, billing with its limits, and the encryption come along. Streams, time to live, the
//! table class and deletion protection do not, as on the service; nor does what belongs to one
//! region's copy alone.
//!
//! # Invariants
//!
//! - No index is made that the source does not have; one may get another name.
//!
//! Tested by `point_in_time.txt`; the texts are the service's.

use std::collections::BTreeSet;

use meridian_control::region::{Setting, TableRecord};
use meridian_control::table::{
    BillingMode, Encryption, GlobalIndexDefinition, OnDemandMaximum, TableDefinition, TableStatus,
    Throughput,
};
use meridian_model::{GlobalIndex, IndexProjection, KeyAttributes, LocalIndex};
use meridian_wire::{ApiError, Fields, Node};

use crate::errors::invalid;
use crate::keys::Element;
use crate::{indexes, keys, settings};

/// An index as an override states it.
struct StatedIndex {
    name: String,
    keys: Vec<Element>,
    projection: IndexProjection,
    throughput: Option<Throughput>,
    on_demand: Option<Fields>,
    warm: bool,
}

/// Which indexes are made: those of the source where nothing is stated.
type StatedIndexes = Option<Vec<StatedIndex>>;

/// Returns what a table becomes that is restored without overrides.
///
/// Error: an index of a provisioned table has no throughput.
pub fn restored_as_usual(source: &TableDefinition) -> Result<TableDefinition, ApiError> {
    Overrides::default().applied_to(source)
}

/// What a request overrides.
#[derive(Default)]
pub struct Overrides {
    billing: Option<BillingMode>,
    throughput: Option<Throughput>,
    on_demand: Option<Fields>,
    encryption: Setting<Encryption>,
    global: StatedIndexes,
    local: StatedIndexes,
}

impl Overrides {
    /// Takes the overrides out of a request.
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Overrides {
            billing: settings::billing_member(fields, "BillingModeOverride"),
            throughput: settings::throughput_member(fields, "ProvisionedThroughputOverride")?,
            on_demand: fields.take_fields("OnDemandThroughputOverride"),
            encryption: settings::encryption_member(fields, "SSESpecificationOverride")?,
            global: stated(fields, "GlobalSecondaryIndexOverride")?,
            local: stated(fields, "LocalSecondaryIndexOverride")?,
        })
    }

    /// Returns what the restored table is.
    pub fn applied_to(self, source: &TableDefinition) -> Result<TableDefinition, ApiError> {
        let billing = Billing { overridden: self.billing, of_source: source.billing };
        let throughput = billing.throughput(self.throughput, source.throughput)?;
        let on_demand = billing.on_demand(self.on_demand, source.on_demand, "")?;
        let local_indexes = match self.local {
            None => source.local_indexes.clone(),
            Some(stated) => {
                let matching = |one| local_index(one, source);
                stated.into_iter().map(matching).collect::<Result<_, _>>()?
            }
        };
        let global_indexes = match self.global {
            None => billing.unchanged(&source.global_indexes)?,
            Some(stated) => {
                let matching = |one| global_index(one, source, billing);
                stated.into_iter().map(matching).collect::<Result<_, _>>()?
            }
        };
        check_names(&local_indexes, &global_indexes)?;
        let encryption = match self.encryption {
            Setting::Keep => source.encryption.clone(),
            Setting::Unset => None,
            Setting::Set(encryption) => Some(encryption),
        };
        let mut restored = TableDefinition {
            attributes: source.attributes.clone(),
            key: source.key.clone(),
            local_indexes,
            global_indexes,
            billing: billing.mode(),
            throughput,
            stream: None,
            class: None,
            deletion_protection: false,
            on_demand,
            warm: None,
            encryption,
            ttl: None,
            overrides: std::collections::BTreeMap::new(),
            scaling: Vec::new(),
        };
        restored.drop_unused_attributes();
        Ok(restored)
    }
}

/// How the restored table is billed, and why.
#[derive(Clone, Copy)]
struct Billing {
    overridden: Option<BillingMode>,
    of_source: BillingMode,
}

impl Billing {
    fn mode(self) -> BillingMode {
        self.overridden.unwrap_or(self.of_source)
    }

    fn throughput(
        self,
        stated: Option<Throughput>,
        of_source: Option<Throughput>,
    ) -> Result<Option<Throughput>, ApiError> {
        match (self.mode(), stated, self.overridden) {
            (BillingMode::PayPerRequest, Some(_), _) => Err(self.no_throughput("")),
            (BillingMode::PayPerRequest, None, _) => Ok(None),
            (BillingMode::Provisioned, None, Some(_)) => Err(invalid(
                "Invalid Request: Must override ProvisionedThroughput if BillingMode is overridden \
                 to PROVISIONED",
            )),
            (BillingMode::Provisioned, stated, _) => Ok(stated.or(of_source)),
        }
    }

    fn no_throughput(self, of: &str) -> ApiError {
        let why = match self.overridden {
            Some(_) => "if BillingMode is overridden to PAY_PER_REQUEST",
            None => "unless BillingMode is PROVISIONED",
        };
        invalid(format!("Invalid Request: Cannot override ProvisionedThroughput {why}{of}"))
    }

    fn on_demand(
        self,
        stated: Option<Fields>,
        of_source: OnDemandMaximum,
        of: &str,
    ) -> Result<OnDemandMaximum, ApiError> {
        let Some(mut stated) = stated else {
            return Ok(match self.mode() {
                BillingMode::PayPerRequest => of_source,
                BillingMode::Provisioned => OnDemandMaximum::default(),
            });
        };
        let mut side = |name: &str| {
            let Some(units) = stated.take_number(name) else { return Ok(None) };
            if self.mode() == BillingMode::Provisioned {
                return Err(invalid(format!(
                    "Invalid Request: Cannot override {name} for OnDemandThroughput unless \
                     BillingModeOverride is PAY_PER_REQUEST{of}"
                )));
            }
            let units = u64::try_from(units).ok().filter(|units| settings::are_units(*units));
            units.map(Some).ok_or_else(|| {
                invalid(format!(
                    "Invalid Request: Requested {name} for OnDemandThroughput{of} is outside of \
                     valid range"
                ))
            })
        };
        let read_units = side("MaxReadRequestUnits")?;
        let write_units = side("MaxWriteRequestUnits")?;
        Ok(OnDemandMaximum { read_units, write_units })
    }

    /// The source's global indexes, billed as the restored table is.
    fn unchanged(
        self,
        indexes: &[GlobalIndexDefinition],
    ) -> Result<Vec<GlobalIndexDefinition>, ApiError> {
        let billed = |one: &GlobalIndexDefinition| {
            let (throughput, on_demand) = match self.mode() {
                BillingMode::PayPerRequest => (None, one.on_demand),
                BillingMode::Provisioned => (
                    Some(one.throughput.ok_or_else(|| no_index_throughput(&one.index.name))?),
                    OnDemandMaximum::default(),
                ),
            };
            let index = one.index.clone();
            Ok(GlobalIndexDefinition { index, throughput, on_demand, warm: None })
        };
        indexes.iter().map(billed).collect()
    }
}

fn stated(fields: &mut Fields, member: &str) -> Result<StatedIndexes, ApiError> {
    let Some(list) = fields.take_list(member) else { return Ok(None) };
    list.into_iter().map(Node::into_fields).map(stated_index).collect::<Result<_, _>>().map(Some)
}

fn stated_index(mut fields: Fields) -> Result<StatedIndex, ApiError> {
    let is_global = fields.names("ProvisionedThroughput");
    Ok(StatedIndex {
        name: fields.take_text("IndexName").unwrap_or_default(),
        keys: keys::elements(&mut fields),
        projection: indexes::take_projection(&mut fields)?,
        throughput: if is_global { settings::throughput(&mut fields)? } else { None },
        on_demand: if is_global { fields.take_fields("OnDemandThroughput") } else { None },
        warm: is_global && fields.has("WarmThroughput"),
    })
}

fn local_index(stated: StatedIndex, source: &TableDefinition) -> Result<LocalIndex, ApiError> {
    let known = source.local_indexes.iter().find(|known| {
        matches_keys(&stated.keys, &(&known.schema(&source.key)).into())
            && matches_projection(&stated.projection, &known.projection)
    });
    let known = known.ok_or_else(|| no_such_index(&stated.name))?;
    Ok(LocalIndex { name: stated.name, ..known.clone() })
}

fn global_index(
    stated: StatedIndex,
    source: &TableDefinition,
    billing: Billing,
) -> Result<GlobalIndexDefinition, ApiError> {
    let known = source.global_indexes.iter().find(|known| {
        matches_keys(&stated.keys, &known.index.keys)
            && matches_projection(&stated.projection, &known.index.projection)
    });
    let known = known.ok_or_else(|| no_such_index(&stated.name))?;
    let of = format!(" for index {}", stated.name);
    match (billing.mode(), stated.throughput) {
        (BillingMode::PayPerRequest, Some(_)) => return Err(billing.no_throughput(&of)),
        (BillingMode::Provisioned, None) => return Err(no_index_throughput(&stated.name)),
        (BillingMode::PayPerRequest, None) | (BillingMode::Provisioned, Some(_)) => {}
    }
    if stated.warm {
        return Err(invalid(format!("Invalid Request: Cannot override WarmThroughput{of}")));
    }
    Ok(GlobalIndexDefinition {
        on_demand: billing.on_demand(stated.on_demand, known.on_demand, &of)?,
        index: GlobalIndex { name: stated.name, ..known.index.clone() },
        throughput: stated.throughput,
        warm: None,
    })
}

fn matches_keys(stated: &[Element], known: &KeyAttributes) -> bool {
    let partition = known.partition.iter().map(|key| (key.name.as_str(), "HASH"));
    let sort = known.sort.iter().map(|key| (key.name.as_str(), "RANGE"));
    let stated = stated.iter().map(|one| (one.name.as_str(), one.kind.as_str()));
    stated.eq(partition.chain(sort))
}

/// The order of included attributes means nothing.
fn matches_projection(stated: &IndexProjection, known: &IndexProjection) -> bool {
    match (stated, known) {
        (IndexProjection::Include(stated), IndexProjection::Include(known)) => {
            let names = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
            names(stated) == names(known)
        }
        (IndexProjection::All, IndexProjection::All)
        | (IndexProjection::KeysOnly, IndexProjection::KeysOnly) => true,
        (IndexProjection::All | IndexProjection::KeysOnly | IndexProjection::Include(_), _) => {
            false
        }
    }
}

fn check_names(local: &[LocalIndex], global: &[GlobalIndexDefinition]) -> Result<(), ApiError> {
    let mut names = BTreeSet::new();
    let all = local.iter().map(|index| &index.name);
    let mut all = all.chain(global.iter().map(|one| &one.index.name));
    match all.find(|name| !names.insert(*name)) {
        Some(name) => Err(indexes::duplicate(name)),
        None => Ok(()),
    }
}

fn no_such_index(name: &str) -> ApiError {
    invalid(format!(
        "Invalid Request: Index {name} does not match a secondary index that existed in the source \
         table and cannot be created during the restore operation"
    ))
}

fn no_index_throughput(name: &str) -> ApiError {
    invalid(format!("Invalid Request: Must specify provisioned throughput for index {name}"))
}

/// Says that there is a table of the target's name.
pub fn taken(target: &str, table: Option<&TableRecord>) -> ApiError {
    let restored = table.filter(|table| table.status == TableStatus::Creating);
    let restored = restored.and_then(|table| table.restore.as_ref());
    match restored.map(|restore| restore.source.backup_arn.as_deref()) {
        Some(Some(arn)) => ApiError::TableInUse(format!(
            "Table: {target} is already being restored from backup: {arn}"
        )),
        Some(None) => ApiError::TableInUse(format!("Table: {target} is already being restored")),
        None => ApiError::TableAlreadyExists(format!("Table already exists: {target}")),
    }
}
