//! The rule by which regions meet: merge, cursors, evacuation states.
