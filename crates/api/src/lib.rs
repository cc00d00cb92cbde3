//! One file an operation: validated requests onto a Backend.
