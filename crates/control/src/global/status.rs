//! The status of a region, and which moves between them are legal.
//!
//! Planned: `Active → Draining → Evacuated → Recovering → Active`; a drain can be aborted back to
//! Active. Unplanned: any status `→ Lost → Recovering → Active`: a region may also die while it is
//! drained, evacuated or recovering, and must then stop holding others back.
//!
//! # Invariants
//!
//! - No move leads into Active but from Recovering or from an aborted drain.
//!
//! Tested by the table of all moves in `global/tests.rs`.

use serde::{Deserialize, Serialize};

/// Whether a region takes traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionStatus {
    /// Takes traffic.
    Active,
    /// Hands its traffic over; its partitions are being frozen.
    Draining {
        /// The region that takes over.
        target: String,
    },
    /// Everything that it acknowledged is in the other regions; takes no traffic.
    Evacuated,
    /// Silent, or said to be by an operator; what only it has is stranded.
    Lost,
    /// Catches up and sends what only it had; takes no traffic yet.
    Recovering,
}

impl RegionStatus {
    /// Tells whether a region may go from `self` to `to`.
    pub fn may_become(&self, to: &RegionStatus) -> bool {
        use RegionStatus::{Active, Draining, Evacuated, Lost, Recovering};
        match (self, to) {
            (Active, Draining { .. } | Lost)
            | (Draining { .. }, Active | Evacuated | Lost)
            | (Evacuated, Recovering | Lost)
            | (Lost, Recovering)
            | (Recovering, Active | Lost) => true,
            (Active, Active | Evacuated | Recovering)
            | (Draining { .. }, Draining { .. } | Recovering)
            | (Evacuated, Active | Draining { .. } | Evacuated)
            | (Lost, Active | Draining { .. } | Evacuated | Lost)
            | (Recovering, Draining { .. } | Evacuated | Recovering) => false,
        }
    }

    /// True when clients' requests go there.
    pub fn takes_traffic(&self) -> bool {
        match self {
            RegionStatus::Active | RegionStatus::Draining { .. } => true,
            RegionStatus::Evacuated | RegionStatus::Lost | RegionStatus::Recovering => false,
        }
    }

    /// True for `Active`.
    pub fn is_active(&self) -> bool {
        *self == RegionStatus::Active
    }

    /// The status as commands print it.
    pub fn name(&self) -> &'static str {
        match self {
            RegionStatus::Active => "Active",
            RegionStatus::Draining { .. } => "Draining",
            RegionStatus::Evacuated => "Evacuated",
            RegionStatus::Lost => "Lost",
            RegionStatus::Recovering => "Recovering",
        }
    }
}
