//! openraft glue: runtime, log, groups, snapshots.
