//! The door for checks.
fn main() {}
