//! Writes attribute values as DynamoDB JSON.
//!
//! Tested by `value/tests.rs`: what is written is read back equal.

use meridian_model::{AttributeValue, Item};

use crate::json::{Array, Object, base64, string};

/// Writes an item: its attributes in the order of their names.
pub fn write_item(out: &mut Vec<u8>, item: &Item) {
    let mut object = Object::open(out);
    for (name, value) in item {
        write_value(object.key(name), value);
    }
    object.close();
}

/// Writes one attribute value with its datatype.
pub fn write_value(out: &mut Vec<u8>, value: &AttributeValue) {
    let mut object = Object::open(out);
    let out = object.key(value.type_name());
    match value {
        AttributeValue::S(text) => string(out, text),
        AttributeValue::N(number) => string(out, &number.to_string()),
        AttributeValue::B(bytes) => base64(out, bytes),
        AttributeValue::Bool(flag) => {
            out.extend_from_slice(if *flag { b"true" } else { b"false" });
        }
        AttributeValue::Null => out.extend_from_slice(b"true"),
        AttributeValue::Ss(set) => array(out, set, |out, text| string(out, text)),
        AttributeValue::Ns(set) => array(out, set, |out, n| string(out, &n.to_string())),
        AttributeValue::Bs(set) => array(out, set, |out, bytes| base64(out, bytes)),
        AttributeValue::L(values) => array(out, values, write_value),
        AttributeValue::M(values) => write_item(out, values),
    }
    object.close();
}

fn array<T>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    let mut array = Array::open(out);
    for value in values {
        write(array.element(), value);
    }
    array.close();
}
