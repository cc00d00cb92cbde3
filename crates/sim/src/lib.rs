//! A partition group on virtual time, with faults from one seed.
