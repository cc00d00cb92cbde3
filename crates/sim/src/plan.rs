//! What a seed decides beforehand: how bad the network is, how busy the clients, how long it lasts.

use crate::bug::Bug;
use crate::dice::Dice;
use std::time::Duration;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Shortest time on the way, ms.
    pub delay_ms_min: u64,
    /// Longest time on the way, ms.
    pub delay_ms_max: u64,
    /// Messages that are late by up to [`NetworkPlan::LATE_MS_MAX`], per mille.
    pub late: u64,
    /// Messages that are lost, per mille.
    pub lost: u64,
    /// Messages that arrive twice, per mille.
    pub doubled: u64,
}

impl NetworkPlan {
    /// How late a late message is at most, ms.
    pub const LATE_MS_MAX: u64 = 1200;

    /// A network without faults.
    pub const CALM: NetworkPlan =
        NetworkPlan { delay_ms_min: 0, delay_ms_max: 2, late: 0, lost: 0, doubled: 0 };
}

/// The plan of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How messages travel while faults run.
    pub network: NetworkPlan,
    /// How long a sync takes at most, ms.
    pub sync_ms_max: u64,
    /// Clients.
    pub clients: u32,
    /// Keys that they share.
    pub keys: u32,
    /// Longest pause of a client between two calls, ms.
    pub pause_ms_max: u64,
    /// How long a client waits for an answer, ms.
    pub patience_ms: u64,
    /// How long faults run.
    pub faults: Duration,
    /// Longest time between two faults, ms.
    pub between_faults_ms_max: u64,
    /// How far a clock is off at most, ms, either way.
    pub clock_off_ms_max: u64,
}

impl Plan {
    /// Clocks within this of the true time are within the 250 ms of each other that a region allows.
    pub const CLOCK_OFF_MS_FAIR: u64 = 125;

    /// The plan of a seed.
    pub fn of(seed: u64, bug: Option<Bug>) -> Plan {
        let mut dice = Dice::new(seed, 1);
        let lapsing =
            NetworkPlan { delay_ms_min: 20, delay_ms_max: 250, late: 150, lost: 50, doubled: 0 };
        let kinds = [
            lapsing,
            NetworkPlan::CALM,
            NetworkPlan { delay_ms_min: 0, delay_ms_max: 5, late: 5, lost: 5, doubled: 5 },
            NetworkPlan { delay_ms_min: 1, delay_ms_max: 40, late: 20, lost: 20, doubled: 10 },
            NetworkPlan { delay_ms_min: 0, delay_ms_max: 150, late: 60, lost: 80, doubled: 40 },
        ];
        let plan = Plan {
            network: dice.pick(&kinds).unwrap_or(NetworkPlan::CALM),
            sync_ms_max: dice.pick(&[0, 2, 2, 10, 40]).unwrap_or(2),
            clients: u32::try_from(dice.between(3, 8)).unwrap_or(3),
            keys: u32::try_from(dice.between(2, 6)).unwrap_or(2),
            pause_ms_max: dice.pick(&[0, 20, 60, 200]).unwrap_or(60),
            patience_ms: dice.between(500, 2500),
            faults: Duration::from_millis(dice.between(4_000, 12_000)),
            between_faults_ms_max: dice.between(200, 2_000),
            clock_off_ms_max: dice
                .pick(&[0, Plan::CLOCK_OFF_MS_FAIR, Plan::CLOCK_OFF_MS_FAIR, 10_000])
                .unwrap_or(0),
        };
        match bug {
            // Decisions are dropped when a leader's lease lapses for a moment while it is busy.
            Some(Bug::FenceByTerm) => Plan {
                network: lapsing,
                clients: 12,
                pause_ms_max: 5,
                patience_ms: 2500,
                between_faults_ms_max: 4_000,
                ..plan
            },
            Some(Bug::AckBeforeQuorum | Bug::AckBeforeFsync | Bug::AnswersAtOnce) | None => plan,
        }
    }
}
