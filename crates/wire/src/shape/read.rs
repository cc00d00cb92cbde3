//! Reads a request body into nodes, by its shape.
//!
//! # Invariants
//!
//! - One pass. A JSON null is an absent member; unknown members are skipped.
//! - Recursion is bounded by the depth of the shapes; attribute values bound their own.
//!
//! Tested by `shape/tests.rs`; the texts of wrong types are the service's, gathered from public
//! test suites that were run against it.

use super::model::{Model, Shape, ShapeId};
use super::node::{Fields, Node, members};
use crate::json::{Kind, Malformed, Reader};
use crate::operation::Operation;
use crate::value::{read, read_item, read_value};

/// Says why a body cannot be read: both are SerializationExceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not JSON.
    Malformed,
    /// A value has another JSON type than its shape.
    Type(String),
}

impl From<Malformed> for ReadError {
    fn from(_: Malformed) -> Self {
        ReadError::Malformed
    }
}

/// Where a value stands; the service words a wrong type by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A member of a structure.
    Field,
    /// An element of a list or a value of a map.
    Element,
}

/// The type that a shape wants, as the service names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeName<'a> {
    /// java.lang.String
    String,
    /// java.lang.Boolean
    Boolean,
    /// java.lang.Integer
    Integer,
    /// java.lang.Long
    Long,
    /// java.lang.Double
    Double,
    /// java.util.Date
    Timestamp,
    /// java.nio.ByteBuffer
    Blob,
    /// A list.
    List,
    /// A map with values of the named shape.
    Map(&'a str),
    /// The named structure.
    Structure(&'a str),
}

const CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be \
    cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl \
    and java.lang.Class are in module java.base of loader 'bootstrap')";
const PACKAGE: &str = "com.amazonaws.dynamodb.v20120810";

/// Words a wrong JSON type.
pub fn mismatch(wanted: TypeName<'_>, place: Place, found: Kind) -> ReadError {
    ReadError::Type(match (found, wanted) {
        (Kind::Object, _) => "Start of structure or map found where not expected".to_owned(),
        (Kind::Array, TypeName::Map(of)) => {
            let of =
                if of == "String" { "java.lang".to_owned() } else { PACKAGE.to_owned() } + "." + of;
            format!("Unrecognized collection type java.util.Map<java.lang.String, {of}>")
        }
        (Kind::Array, TypeName::Structure(name)) => {
            format!("Unrecognized collection type class {PACKAGE}.{name}")
        }
        (Kind::Array, wanted) => format!("Unrecognized collection type class {}", class(wanted)),
        (_, TypeName::List | TypeName::Map(_)) if place == Place::Element => CAST.to_owned(),
        (_, TypeName::Structure(_)) if place == Place::Element => {
            "Unexpected value type in payload".to_owned()
        }
        (_, TypeName::List | TypeName::Map(_) | TypeName::Structure(_)) => {
            "Unexpected field type".to_owned()
        }
        (_, TypeName::Blob) => "only base-64-encoded strings are convertible to bytes".to_owned(),
        (Kind::String, TypeName::Boolean) => "Unexpected token received from parser".to_owned(),
        (found, wanted) => {
            let simple = class(wanted);
            let simple = simple.rsplit('.').next().unwrap_or(simple);
            format!("{} cannot be converted to {simple}", token(found))
        }
    })
}

fn class(wanted: TypeName<'_>) -> &'static str {
    match wanted {
        TypeName::String => "java.lang.String",
        TypeName::Boolean => "java.lang.Boolean",
        TypeName::Integer => "java.lang.Integer",
        TypeName::Long => "java.lang.Long",
        TypeName::Double => "java.lang.Double",
        TypeName::Timestamp => "java.util.Date",
        TypeName::Blob => "java.nio.ByteBuffer",
        TypeName::List => "java.util.List",
        TypeName::Map(_) => "java.util.Map",
        TypeName::Structure(_) => PACKAGE,
    }
}

fn token(found: Kind) -> &'static str {
    match found {
        Kind::String => "STRING_VALUE",
        Kind::Number => "NUMBER_VALUE",
        Kind::Decimal => "DECIMAL_VALUE",
        Kind::True => "TRUE_VALUE",
        Kind::False => "FALSE_VALUE",
        Kind::Null => "NULL_VALUE",
        Kind::Object => "START_OBJECT",
        Kind::Array => "START_ARRAY",
    }
}

/// Reads the body of an operation.
pub fn read_input(operation: Operation, body: &[u8]) -> Result<Fields, ReadError> {
    let mut reader = Reader::new(body)?;
    // A body that is not JSON at all must be told so before any wrong type in it.
    let input = Model::get().input(operation);
    let fields = match structure(&mut reader, input, Place::Element) {
        Err(ReadError::Type(text)) => {
            let mut whole = Reader::new(body)?;
            whole.skip()?;
            whole.end()?;
            return Err(ReadError::Type(text));
        }
        other => other?,
    };
    reader.end()?;
    Ok(fields)
}

fn node(reader: &mut Reader<'_>, id: ShapeId, place: Place) -> Result<Node, ReadError> {
    Ok(match Model::get().shape(id) {
        Shape::String { .. } | Shape::Table | Shape::Enum(_) => Node::Text(read::text(reader)?),
        Shape::Integer(_) => Node::Number(whole(reader, TypeName::Integer)?),
        Shape::Long(_) => Node::Number(whole(reader, TypeName::Long)?),
        Shape::Double => Node::Decimal(decimal(reader, TypeName::Double)?),
        Shape::Timestamp => Node::Decimal(decimal(reader, TypeName::Timestamp)?),
        Shape::Boolean => Node::Flag(read::flag(reader)?),
        Shape::Blob => Node::Bytes(read::bytes(reader)?.0),
        Shape::List { element, .. } => list(reader, *element, place)?,
        Shape::Map { value, .. } => map(reader, *value, place)?,
        Shape::Structure(_) => Node::Fields(structure(reader, id, place)?),
        Shape::Value => Node::Value(read_value(reader, place)?),
        Shape::Item => Node::Item(read_item(reader, place)?),
    })
}

fn structure(reader: &mut Reader<'_>, id: ShapeId, place: Place) -> Result<Fields, ReadError> {
    match reader.kind()? {
        Kind::Object => reader.enter_object()?,
        kind => {
            let name = TypeName::Structure(Model::get().name(id));
            return Err(mismatch(name, place, kind));
        }
    }
    let members = members(id);
    let mut fields = Fields::empty(id);
    let mut first = true;
    while let Some(name) = reader.next_key(&mut first)? {
        let known = members.iter().position(|member| member.name == *name);
        match known {
            _ if reader.kind()? == Kind::Null => drop(reader.literal()?),
            Some(at) => fields.set(at, node(reader, members[at].shape, Place::Field)?),
            None => reader.skip()?,
        }
    }
    Ok(fields)
}

fn list(reader: &mut Reader<'_>, element: ShapeId, place: Place) -> Result<Node, ReadError> {
    match reader.kind()? {
        Kind::Array => reader.enter_array()?,
        kind => return Err(mismatch(TypeName::List, place, kind)),
    }
    let mut nodes = Vec::new();
    let mut first = true;
    while reader.next_element(&mut first)? {
        if reader.kind()? == Kind::Null && !is_value(element) {
            reader.literal()?;
            continue;
        }
        nodes.push(node(reader, element, Place::Element)?);
    }
    Ok(Node::List(nodes))
}

fn map(reader: &mut Reader<'_>, value: ShapeId, place: Place) -> Result<Node, ReadError> {
    match reader.kind()? {
        Kind::Object => reader.enter_object()?,
        kind => {
            let of = match Model::get().shape(value) {
                Shape::String { .. } => "String",
                _ => Model::get().name(value),
            };
            return Err(mismatch(TypeName::Map(of), place, kind));
        }
    }
    let mut entries: Vec<(String, Node)> = Vec::new();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first)? {
        if reader.kind()? == Kind::Null {
            reader.literal()?;
            continue;
        }
        let node = node(reader, value, Place::Element)?;
        match entries.iter_mut().find(|(known, _)| *known == *key) {
            Some((_, known)) => *known = node,
            None => entries.push((key.into_owned(), node)),
        }
    }
    Ok(Node::Map(entries))
}

fn is_value(id: ShapeId) -> bool {
    matches!(Model::get().shape(id), Shape::Value)
}

/// Reads a number; a fraction is cut off and what is out of range stays at its end, as there.
fn whole(reader: &mut Reader<'_>, wanted: TypeName<'_>) -> Result<i64, ReadError> {
    match reader.kind()? {
        Kind::Number => {
            let text = reader.number()?;
            let end = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            Ok(text.parse().unwrap_or(end))
        }
        Kind::Decimal => {
            let value: f64 = reader.number()?.parse().map_err(|_| Malformed)?;
            // Saturates, and the text came from a number, so it is never NaN.
            Ok(value.trunc() as i64)
        }
        kind => Err(mismatch(wanted, Place::Field, kind)),
    }
}

fn decimal(reader: &mut Reader<'_>, wanted: TypeName<'_>) -> Result<f64, ReadError> {
    match reader.kind()? {
        Kind::Number | Kind::Decimal => Ok(reader.number()?.parse().map_err(|_| Malformed)?),
        kind => Err(mismatch(wanted, Place::Field, kind)),
    }
}
