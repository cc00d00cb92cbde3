//! Which clients' tokens are in use, as the leader of a token's partition remembers.
//!
//! That a token commits once is decided where a transaction is. Here is only noted, in memory, with
//! which parameters it was used and whether a request with it is under way: enough to tell a client
//! that it used one token twice, also for items of other partitions.
//!
//! # Invariants
//!
//! - What is noted here can be lost at any time without harm.

use meridian_base::PartitionId;
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_partition::transact::{KEPT_MS, Token};
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// How long a request that was not heard of again counts as under way.
const UNDER_WAY_MAX: Duration = Duration::from_secs(10);
/// Tokens that are remembered; with more, all that are not under way are forgotten.
const KEPT_MAX: usize = 100_000;

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPhase {
    /// It begins.
    Begins,
    /// It is done, or perhaps done.
    Done,
    /// It was not done.
    Failed,
}

/// A request begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// The token.
    pub token: Token,
    /// How far its request is.
    pub phase: TokenPhase,
}

/// What is known of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAnswer {
    /// Go on.
    Free,
    /// A request with it is under way.
    UnderWay,
    /// It was used with other parameters.
    OtherParameters,
}

impl TokenUse {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.token.token.as_bytes());
        put_var(out, self.token.fingerprint);
        out.push(match self.phase {
            TokenPhase::Begins => 0,
            TokenPhase::Done => 1,
            TokenPhase::Failed => 2,
        });
    }

    /// Reads it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let token = Token { token: reader.str()?.to_owned(), fingerprint: reader.var()? };
        let phase = match reader.u8()? {
            0 => TokenPhase::Begins,
            1 => TokenPhase::Done,
            2 => TokenPhase::Failed,
            _ => return Err(DecodeError::Unknown("token phase")),
        };
        Ok(TokenUse { token, phase })
    }
}

impl TokenAnswer {
    /// The sent form.
    pub fn to_u8(self) -> u8 {
        match self {
            TokenAnswer::Free => 0,
            TokenAnswer::UnderWay => 1,
            TokenAnswer::OtherParameters => 2,
        }
    }

    /// Reads the sent form.
    pub fn from_u8(raw: u8) -> Result<Self, DecodeError> {
        match raw {
            0 => Ok(TokenAnswer::Free),
            1 => Ok(TokenAnswer::UnderWay),
            2 => Ok(TokenAnswer::OtherParameters),
            _ => Err(DecodeError::Unknown("token answer")),
        }
    }
}

struct Known {
    fingerprint: u64,
    under_way: bool,
    at: rt::Instant,
}

/// The tokens of the partitions that this node leads.
#[derive(Default)]
pub struct Tokens {
    known: Mutex<BTreeMap<(PartitionId, String), Known>>,
}

impl Tokens {
    /// Notes that a token is used, or no longer; tells what was known of it.
    pub fn note(&self, partition: PartitionId, used: &TokenUse) -> TokenAnswer {
        let mut known = self.known.lock().expect("no holder panics");
        let now = rt::now();
        if known.len() >= KEPT_MAX {
            known.retain(|_, one| one.under_way && one.at + UNDER_WAY_MAX > now);
        }
        let at = (partition, used.token.token.clone());
        let fingerprint = used.token.fingerprint;
        let is_mine = known.get(&at).is_some_and(|one| one.fingerprint == fingerprint);
        match used.phase {
            TokenPhase::Begins => {}
            TokenPhase::Done => {
                if let Some(one) = known.get_mut(&at).filter(|_| is_mine) {
                    one.under_way = false;
                }
                return TokenAnswer::Free;
            }
            TokenPhase::Failed => {
                if is_mine {
                    known.remove(&at);
                }
                return TokenAnswer::Free;
            }
        }
        if let Some(one) = known.get(&at) {
            let is_new = one.at + Duration::from_millis(KEPT_MS) > now;
            if is_new && one.fingerprint != fingerprint {
                return TokenAnswer::OtherParameters;
            }
            if one.under_way && one.at + UNDER_WAY_MAX > now {
                return TokenAnswer::UnderWay;
            }
        }
        known.insert(at, Known { fingerprint, under_way: true, at: now });
        TokenAnswer::Free
    }
}

#[cfg(test)]
mod tests {
    use super::TokenPhase::{Begins, Done, Failed};
    use super::*;

    fn used(fingerprint: u64, phase: TokenPhase) -> TokenUse {
        TokenUse { token: Token { token: "t".to_owned(), fingerprint }, phase }
    }

    #[test]
    fn a_token_is_under_way_until_its_request_ends() {
        let tokens = Tokens::default();
        let note = |partition, used: &TokenUse| tokens.note(PartitionId(partition), used);
        assert_eq!(note(1, &used(7, Begins)), TokenAnswer::Free);
        assert_eq!(note(1, &used(7, Begins)), TokenAnswer::UnderWay);
        assert_eq!(note(1, &used(8, Begins)), TokenAnswer::OtherParameters);
        assert_eq!(note(2, &used(8, Begins)), TokenAnswer::Free);
        note(1, &used(7, Done));
        assert_eq!(note(1, &used(7, Begins)), TokenAnswer::Free);
        assert_eq!(note(1, &used(8, Begins)), TokenAnswer::OtherParameters);
        note(1, &used(7, Failed));
        assert_eq!(note(1, &used(8, Begins)), TokenAnswer::Free);
    }

    #[test]
    fn what_is_sent_is_read() {
        let mut out = Vec::new();
        used(u64::MAX, Failed).encode(&mut out);
        assert_eq!(TokenUse::decode(&mut Reader::new(&out)), Ok(used(u64::MAX, Failed)));
        for answer in [TokenAnswer::Free, TokenAnswer::UnderWay, TokenAnswer::OtherParameters] {
            assert_eq!(TokenAnswer::from_u8(answer.to_u8()), Ok(answer));
        }
    }
}
