//! ConsumedCapacity: what a request costs, and how it is told.
//!
//! # Invariants
//!
//! - Items are rounded alone, a Query or Scan page as a whole; a missing item still costs one unit.
//! - Condition, filter and projection make nothing cheaper.
//!
//! Source: AWS developer guide, "DynamoDB read and write operations". Tested below.

use std::collections::BTreeMap;

use meridian_base::TableId;
use meridian_control::region::TableRecord;
use meridian_partition::{Done, Page, WriteOutcome};
use meridian_wire::Fields;
use meridian_wire::json::{Array, Object};

use crate::backend::Consistency;

const READ_UNIT_BYTES: usize = 4096;
const WRITE_UNIT_BYTES: usize = 1024;

/// `ReturnConsumedCapacity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// NONE
    None,
    /// TOTAL
    Total,
    /// INDEXES
    Indexes,
}

impl Report {
    /// Takes the parameter out of a request.
    pub fn take(fields: &mut Fields) -> Self {
        match fields.take_text("ReturnConsumedCapacity").as_deref() {
            Some("TOTAL") => Report::Total,
            Some("INDEXES") => Report::Indexes,
            _ => Report::None,
        }
    }

    /// Writes the member `ConsumedCapacity` of an answer about one table.
    pub fn write(self, answer: &mut Object<'_>, table: &str, units: &Consumed) {
        if self != Report::None {
            self.write_one(answer.key("ConsumedCapacity"), table, units);
        }
    }

    /// Writes the member `ConsumedCapacity` of an answer about several tables.
    pub fn write_list(self, answer: &mut Object<'_>, tables: &[(String, Consumed)]) {
        if self == Report::None {
            return;
        }
        let mut list = Array::open(answer.key("ConsumedCapacity"));
        for (table, units) in tables {
            self.write_one(list.element(), table, units);
        }
        list.close();
    }

    /// The same of a transaction, which tells of each number whether it is of reads or of writes.
    pub fn write_list_of(
        self,
        answer: &mut Object<'_>,
        tables: &[(String, Consumed)],
        kind: Units,
    ) {
        if self == Report::None {
            return;
        }
        let mut list = Array::open(answer.key("ConsumedCapacity"));
        for (table, units) in tables {
            self.write_of(list.element(), table, units, Some(kind));
        }
        list.close();
    }

    fn write_one(self, out: &mut Vec<u8>, table: &str, units: &Consumed) {
        self.write_of(out, table, units, None);
    }

    fn write_of(self, out: &mut Vec<u8>, table: &str, units: &Consumed, kind: Option<Units>) {
        let mut object = Object::open(out);
        let indexes = units.local.values().chain(units.global.values()).sum::<f64>();
        let all = units.table + indexes;
        object.decimal("CapacityUnits", all);
        if self == Report::Indexes {
            parts(&mut object, "GlobalSecondaryIndexes", &units.global, kind);
            parts(&mut object, "LocalSecondaryIndexes", &units.local, kind);
        }
        told(&mut object, Units::Read, all, kind);
        if self == Report::Indexes {
            part(&mut object, "Table", units.table, kind);
        }
        object.text("TableName", table);
        told(&mut object, Units::Write, all, kind);
        object.close();
    }
}

/// What capacity units are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// `ReadCapacityUnits`
    Read,
    /// `WriteCapacityUnits`
    Write,
}

fn told(object: &mut Object<'_>, which: Units, units: f64, kind: Option<Units>) {
    if kind == Some(which) {
        let name = match which {
            Units::Read => "ReadCapacityUnits",
            Units::Write => "WriteCapacityUnits",
        };
        object.decimal(name, units);
    }
}

fn parts(object: &mut Object<'_>, name: &str, units: &BTreeMap<String, f64>, kind: Option<Units>) {
    if units.is_empty() {
        return;
    }
    let mut indexes = Object::open(object.key(name));
    for (name, units) in units {
        part(&mut indexes, name, *units, kind);
    }
    indexes.close();
}

fn part(object: &mut Object<'_>, name: &str, units: f64, kind: Option<Units>) {
    let mut part = Object::open(object.key(name));
    part.decimal("CapacityUnits", units);
    told(&mut part, Units::Read, units, kind);
    told(&mut part, Units::Write, units, kind);
    part.close();
}

/// What a request cost: the table, and each index that it touched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Consumed {
    /// Units of the table.
    pub table: f64,
    /// Units of local indexes, by name.
    pub local: BTreeMap<String, f64>,
    /// Units of global indexes, by name.
    pub global: BTreeMap<String, f64>,
}

impl Consumed {
    /// The cost of a write that was done.
    pub fn of_write(table: &TableRecord, done: &Done) -> Self {
        let local = table.definition.local_indexes.iter().map(|index| index.name.clone());
        let local = local.zip(done.local_units.iter().copied());
        let named = |(id, units): &(TableId, u32)| {
            let index = table.indexes.iter().find(|index| index.id == *id)?;
            Some((index.name().to_owned(), *units))
        };
        Consumed {
            table: write_units(done.old_bytes, done.new_bytes),
            local: touched(local),
            global: touched(done.global_units.iter().filter_map(named)),
        }
    }

    /// The cost of a write that was done or not: a condition that does not hold costs what its item
    /// would, at least one unit.
    pub fn of_outcome(table: &TableRecord, outcome: &WriteOutcome) -> Self {
        match outcome {
            WriteOutcome::Done(done) => Consumed::of_write(table, done),
            WriteOutcome::ConditionFailed { .. } | WriteOutcome::Conflict => Consumed::from(1.0),
            WriteOutcome::Refused(_) => Consumed::default(),
        }
    }

    /// The cost of a page of a table, a local index included, or of a global index.
    pub fn of_page(global: Option<&str>, page: &Page, consistency: Consistency) -> Self {
        let units = read_units(page.bytes, consistency);
        match global {
            None => Consumed::from(units + block_units(page.fetched, consistency)),
            Some(name) => {
                let global = BTreeMap::from([(name.to_owned(), units)]);
                Consumed { global, ..Consumed::default() }
            }
        }
    }

    /// Multiplies all of it.
    pub fn scale(&mut self, factor: f64) {
        self.table *= factor;
        let indexes = self.local.values_mut().chain(self.global.values_mut());
        indexes.for_each(|units| *units *= factor);
    }

    /// Adds another cost.
    pub fn add(&mut self, other: Consumed) {
        self.table += other.table;
        let parts = [(&mut self.local, other.local), (&mut self.global, other.global)];
        for (own, other) in parts {
            for (name, units) in other {
                *own.entry(name).or_default() += units;
            }
        }
    }
}

/// The indexes that cost something.
fn touched(units: impl Iterator<Item = (String, u32)>) -> BTreeMap<String, f64> {
    units.filter(|(_, units)| *units > 0).map(|(name, units)| (name, f64::from(units))).collect()
}

impl From<f64> for Consumed {
    fn from(table: f64) -> Self {
        Consumed { table, ..Consumed::default() }
    }
}

/// Returns the units of reading so many bytes at once.
pub fn read_units(bytes: usize, consistency: Consistency) -> f64 {
    at(whole(bytes, READ_UNIT_BYTES), consistency)
}

/// Returns the units of writing one item: the larger of before and after counts.
fn write_units(old_bytes: usize, new_bytes: usize) -> f64 {
    whole(old_bytes.max(new_bytes), WRITE_UNIT_BYTES)
}

/// Returns the units of reading so many blocks of 4 KB.
pub fn block_units(blocks: u32, consistency: Consistency) -> f64 {
    at(f64::from(blocks), consistency)
}

fn at(strong_units: f64, consistency: Consistency) -> f64 {
    match consistency {
        Consistency::Strong => strong_units,
        Consistency::Eventual => strong_units / 2.0,
    }
}

fn whole(bytes: usize, unit: usize) -> f64 {
    let units = u32::try_from(bytes.div_ceil(unit).max(1)).unwrap_or(u32::MAX);
    f64::from(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_rounded_up() {
        for (bytes, strong) in [(0, 1.0), (1, 1.0), (4096, 1.0), (4097, 2.0), (409_600, 100.0)] {
            assert_eq!(read_units(bytes, Consistency::Strong), strong);
            assert_eq!(read_units(bytes, Consistency::Eventual), strong / 2.0);
        }
        for (old, new, units) in [(0, 0, 1.0), (0, 1024, 1.0), (1025, 10, 2.0), (10, 4097, 5.0)] {
            assert_eq!(write_units(old, new), units);
        }
    }
}
