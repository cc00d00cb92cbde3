//! Evaluates requests on one partition and applies resolved mutations.
