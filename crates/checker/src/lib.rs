//! Histories in, verdict out.
