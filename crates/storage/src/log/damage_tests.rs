//! Random histories and crashes over the simulated disk, against a model.
