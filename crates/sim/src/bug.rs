//! Faults of the program itself, planted to show that the simulation finds them.

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A leader takes entries for replicated before a follower has them.
    AckBeforeQuorum,
    /// A disk says that it synced and did not.
    AckBeforeFsync,
    /// A replica accepts any sequence of the current incarnation.
    FenceByTerm,
    /// A pipeline answers a refused condition without confirming leadership or awaiting what the
    /// refusal depends on.
    AnswersAtOnce,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 4] =
        [Bug::AckBeforeQuorum, Bug::AckBeforeFsync, Bug::FenceByTerm, Bug::AnswersAtOnce];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bug::AckBeforeQuorum => "ack-before-quorum",
            Bug::AckBeforeFsync => "ack-before-fsync",
            Bug::FenceByTerm => "fence-by-term",
            Bug::AnswersAtOnce => "answers-at-once",
        }
    }

    /// Reads its name.
    pub fn from_name(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }
}
