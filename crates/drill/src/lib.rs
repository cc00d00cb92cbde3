//! Real clusters, faults, RPO and RTO measured from outside.
