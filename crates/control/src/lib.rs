//! Region and global group state machines and the planner.
