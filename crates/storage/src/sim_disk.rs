//! A simulated disk: files in memory that lose what was not synced.
