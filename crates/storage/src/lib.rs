//! Ordered bytes (Engine) and the segmented Raft log over Disk.
