//! Checks and resolves conditions.

use meridian_base::limits::IN_OPERANDS_MAX;
use meridian_model::AttributeValue;

use super::{Resolver, check_path};
use crate::ast::{Comparator, Operand, Predicate};
use crate::condition::order;
use crate::error::Problem;
use crate::parser::Origin;
use crate::path::Path;
use crate::placeholders::Placeholders;
use crate::syntax::{Call, WrittenCondition, WrittenOperand};

/// The types that `attribute_type` knows.
const TYPE_NAMES: [&str; 10] = ["S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"];
/// What the service prints where the second operand of `attribute_type` is a path.
const ANY_TYPE: &str = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}";

/// A function of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Exists,
    NotExists,
    Type,
    BeginsWith,
    Contains,
    Size,
}

impl Function {
    fn of(call: &Call) -> Result<Self, Problem> {
        Ok(match call.function.as_str() {
            "attribute_exists" => Function::Exists,
            "attribute_not_exists" => Function::NotExists,
            "attribute_type" => Function::Type,
            "begins_with" => Function::BeginsWith,
            "contains" => Function::Contains,
            "size" => Function::Size,
            other @ ("if_not_exists" | "list_append") => {
                return Err(Problem::NotInCondition(other.to_owned()));
            }
            other => return Err(Problem::UnknownFunction(other.to_owned())),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Function::Exists => "attribute_exists",
            Function::NotExists => "attribute_not_exists",
            Function::Type => "attribute_type",
            Function::BeginsWith => "begins_with",
            Function::Contains => "contains",
            Function::Size => "size",
        }
    }
}

/// Compiles a condition.
pub(crate) fn compile_condition(
    written: &WrittenCondition,
    placeholders: &mut Placeholders,
    origin: Origin,
) -> Result<Predicate, Problem> {
    check_form(written)?;
    Resolver { placeholders, origin }.condition(written)
}

/// The checks that need no placeholder, over the whole condition in the order of its text.
fn check_form(condition: &WrittenCondition) -> Result<(), Problem> {
    match condition {
        WrittenCondition::Compare { left, right, comparator: _ } => {
            [left, right].into_iter().try_for_each(check_operand)
        }
        WrittenCondition::Between { operand, low, high } => {
            [operand, low, high].into_iter().try_for_each(check_operand)
        }
        WrittenCondition::In { operand, list } => {
            check_operand(operand)?;
            list.iter().try_for_each(check_operand)
        }
        WrittenCondition::Call(call) => match Function::of(call)? {
            Function::Size => Err(Problem::MisusedFunction(call.function.clone())),
            Function::Exists
            | Function::NotExists
            | Function::Type
            | Function::BeginsWith
            | Function::Contains => call.operands.iter().try_for_each(check_operand),
        },
        WrittenCondition::And(parts) | WrittenCondition::Or(parts) => {
            parts.iter().try_for_each(check_form)
        }
        WrittenCondition::Not(inner) => check_form(inner),
    }
}

fn check_operand(operand: &WrittenOperand) -> Result<(), Problem> {
    match operand {
        WrittenOperand::Path(path) => check_path(path),
        WrittenOperand::Value(_) => Ok(()),
        WrittenOperand::Call(call) if Function::of(call)? == Function::Size => {
            call.operands.iter().try_for_each(check_operand)
        }
        WrittenOperand::Call(call) => Err(Problem::MisusedFunction(call.function.clone())),
    }
}

impl Resolver<'_> {
    fn condition(&mut self, written: &WrittenCondition) -> Result<Predicate, Problem> {
        match written {
            WrittenCondition::Compare { comparator, left, right } => {
                let [left, right] = self.operands([left, right])?;
                self.compare(*comparator, left, right)
            }
            WrittenCondition::Between { operand, low, high } => {
                let [operand, low, high] = self.operands([operand, low, high])?;
                self.between(operand, low, high)
            }
            WrittenCondition::In { operand, list } => self.in_list(operand, list),
            WrittenCondition::Call(call) => self.call(call),
            WrittenCondition::And(parts) => self.conditions(parts).map(Predicate::And),
            WrittenCondition::Or(parts) => self.conditions(parts).map(Predicate::Or),
            WrittenCondition::Not(inner) => Ok(Predicate::Not(Box::new(self.condition(inner)?))),
        }
    }

    fn conditions(&mut self, parts: &[WrittenCondition]) -> Result<Vec<Predicate>, Problem> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    fn operands<const N: usize>(
        &mut self,
        written: [&WrittenOperand; N],
    ) -> Result<[Operand; N], Problem> {
        written.iter().try_for_each(|operand| self.define(operand))?;
        let operands: Result<Vec<_>, _> = written.iter().map(|o| self.operand(o)).collect();
        Ok(operands?.try_into().expect("as many operands as were written"))
    }

    fn operand(&mut self, written: &WrittenOperand) -> Result<Operand, Problem> {
        match written {
            WrittenOperand::Path(path) => self.path(path).map(Operand::Path),
            WrittenOperand::Value(placeholder) => self.value(placeholder).map(Operand::Value),
            WrittenOperand::Call(call) => {
                let [inner] = exactly(call)?;
                let inner = self.operand(inner)?;
                let fits = |type_name: &str| !matches!(type_name, "N" | "BOOL" | "NULL");
                self.check_type("size", &inner, fits)?;
                Ok(Operand::Size(Box::new(inner)))
            }
        }
    }

    fn compare(
        &self,
        comparator: Comparator,
        left: Operand,
        right: Operand,
    ) -> Result<Predicate, Problem> {
        self.check_distinct(comparator.sign(), &left, [&right])?;
        match comparator {
            Comparator::Equal | Comparator::NotEqual => {}
            Comparator::Less
            | Comparator::LessOrEqual
            | Comparator::Greater
            | Comparator::GreaterOrEqual => {
                self.check_type(comparator.sign(), &left, is_ordered)?;
                self.check_type(comparator.sign(), &right, is_ordered)?;
            }
        }
        Ok(Predicate::Compare { comparator, left, right })
    }

    fn between(&self, operand: Operand, low: Operand, high: Operand) -> Result<Predicate, Problem> {
        self.check_distinct("BETWEEN", &operand, [&low, &high])?;
        for part in [&operand, &low, &high] {
            self.check_type("BETWEEN", part, is_ordered)?;
        }
        if let (Origin::Client, Operand::Value(low), Operand::Value(high)) =
            (self.origin, &low, &high)
        {
            check_bounds(low, high)?;
        }
        Ok(Predicate::Between { operand, low, high })
    }

    fn in_list(
        &mut self,
        operand: &WrittenOperand,
        list: &[WrittenOperand],
    ) -> Result<Predicate, Problem> {
        self.define(operand)?;
        list.iter().try_for_each(|part| self.define(part))?;
        // Legacy conditions have no such limit, and come from peers as text.
        if self.origin == Origin::Client && list.len() > IN_OPERANDS_MAX {
            return Err(Problem::TooManyInOperands(list.len()));
        }
        let operand = self.operand(operand)?;
        let list: Vec<_> = list.iter().map(|part| self.operand(part)).collect::<Result<_, _>>()?;
        self.check_distinct("IN", &operand, &list)?;
        Ok(Predicate::In { operand, list })
    }

    fn call(&mut self, call: &Call) -> Result<Predicate, Problem> {
        call.operands.iter().try_for_each(|operand| self.define(operand))?;
        let function = Function::of(call)?;
        match function {
            Function::Exists => self.only_path(function, call).map(Predicate::Exists),
            Function::NotExists => self.only_path(function, call).map(Predicate::NotExists),
            Function::Type => self.has_type(call),
            Function::BeginsWith => {
                let (operand, prefix) = self.pair(function, call)?;
                let fits = |type_name: &str| matches!(type_name, "S" | "B");
                self.check_type(function.name(), &operand, fits)?;
                self.check_type(function.name(), &prefix, fits)?;
                Ok(Predicate::BeginsWith(operand, prefix))
            }
            Function::Contains => {
                let (operand, part) = self.pair(function, call)?;
                Ok(Predicate::Contains(operand, part))
            }
            Function::Size => Err(Problem::MisusedFunction(call.function.clone())),
        }
    }

    fn only_path(&mut self, function: Function, call: &Call) -> Result<Path, Problem> {
        let [operand] = exactly(call)?;
        match self.operand(operand)? {
            Operand::Path(path) => Ok(path),
            Operand::Value(_) | Operand::Size(_) => Err(Problem::PathRequired(function.name())),
        }
    }

    fn pair(&mut self, function: Function, call: &Call) -> Result<(Operand, Operand), Problem> {
        let [first, second] = exactly(call)?;
        let (first, second) = (self.operand(first)?, self.operand(second)?);
        self.check_distinct(function.name(), &first, [&second])?;
        Ok((first, second))
    }

    fn has_type(&mut self, call: &Call) -> Result<Predicate, Problem> {
        let (operand, type_name) = self.pair(Function::Type, call)?;
        let refused = |operand| Problem::OperandType { operator: Function::Type.name(), operand };
        let type_name = match type_name {
            Operand::Value(AttributeValue::S(name)) => name,
            other => return Err(refused(static_type(&other).unwrap_or(ANY_TYPE))),
        };
        let known = TYPE_NAMES.into_iter().find(|known| *known == type_name);
        let type_name = known.ok_or(Problem::UnknownType(type_name))?;
        Ok(Predicate::HasType(operand, type_name))
    }

    /// Refuses an operand whose type is known and does not fit.
    fn check_type(
        &self,
        operator: &'static str,
        operand: &Operand,
        fits: fn(&str) -> bool,
    ) -> Result<(), Problem> {
        match static_type(operand) {
            Some(operand) if self.origin == Origin::Client && !fits(operand) => {
                Err(Problem::OperandType { operator, operand })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a path that stands again among the other operands.
    fn check_distinct<'a>(
        &self,
        operator: &'static str,
        first: &Operand,
        others: impl IntoIterator<Item = &'a Operand>,
    ) -> Result<(), Problem> {
        match first {
            Operand::Path(path)
                if self.origin == Origin::Client && others.into_iter().any(|o| o == first) =>
            {
                Err(Problem::NotDistinct { operator, operand: path.to_string() })
            }
            Operand::Path(_) | Operand::Value(_) | Operand::Size(_) => Ok(()),
        }
    }
}

fn is_ordered(type_name: &str) -> bool {
    matches!(type_name, "S" | "N" | "B")
}

/// The type of an operand that does not depend on the item.
fn static_type(operand: &Operand) -> Option<&'static str> {
    match operand {
        Operand::Path(_) => None,
        Operand::Value(value) => Some(value.type_name()),
        Operand::Size(_) => Some("N"),
    }
}

/// The operands of a call, if they are as many as the function takes.
pub(super) fn exactly<const N: usize>(call: &Call) -> Result<&[WrittenOperand; N], Problem> {
    call.operands.as_slice().try_into().map_err(|_| Problem::OperandCount {
        function: call.function.clone(),
        count: call.operands.len(),
    })
}

/// Refuses the bounds of a `BETWEEN` that have two types or the wrong order.
pub(crate) fn check_bounds(low: &AttributeValue, high: &AttributeValue) -> Result<(), Problem> {
    let texts = || (bound_text(low), bound_text(high));
    if low.type_name() != high.type_name() {
        let (low, high) = texts();
        return Err(Problem::BoundTypes { low, high });
    }
    if order(low, high).is_some_and(std::cmp::Ordering::is_gt) {
        let (low, high) = texts();
        return Err(Problem::BoundOrder { low, high });
    }
    Ok(())
}

/// A bound as the service prints it.
fn bound_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("AttributeValue: {{S:{text}}}"),
        AttributeValue::N(number) => format!("AttributeValue: {{N:{number}}}"),
        AttributeValue::B(bytes) => {
            let len = bytes.len();
            format!("AttributeValue: {{B:java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]}}")
        }
        AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null => format!("AttributeValue: {{{}}}", value.type_name()),
    }
}
