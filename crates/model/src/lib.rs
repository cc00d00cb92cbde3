//! Attribute values, numbers, items, keys and their encodings.
