//! A session as its dialler sees it: calls go out, answers come in.
//!
//! # Invariants
//!
//! - When the reader is dropped, every call of the session has ended.
//! - A session that the peer is closing takes no new calls, and still gets its answers.
//!
//! Tested by `tests/calls.rs` and `tests/links.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::PAYLOAD_BYTES_MAX;
use crate::dial::{Dialled, Line};
use crate::ear::Ear;
use crate::meter::Meter;
use crate::outbound;
use crate::outbox::{Outbox, Outgoing};
use crate::pending::Pending;
use crate::proto::{Message, Role};
use crate::{CallError, Kind, Timing};

/// How long a session that takes no new calls may wait for its last answers.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// The calling side of a session.
pub(crate) struct Session {
    pending: Arc<Pending>,
    outbox: Outbox,
    meter: Meter,
    grace: Duration,
}

/// The listening side of a session.
pub(crate) struct Reader {
    ear: Ear,
    pending: Arc<Pending>,
    meter: Meter,
    _line: Line,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer stops and will still answer.
    Closing,
    /// The connection is of no more use.
    Lost(String),
}

/// Starts a session on a connection.
pub(crate) fn start(dialled: Dialled, timing: &Timing, meter: &Meter) -> (Session, Reader) {
    let pending = Arc::new(Pending::default());
    let (outbox, packer) = Outbox::new(Some(pending.clone()), meter.clone());
    // If nobody takes it the connection is broken, which the reader finds out.
    let _ = dialled.body.send(outbound::body(packer, timing.keepalive, dialled.delay));
    let grace = timing.connect_grace;
    let session = Session { pending: pending.clone(), outbox, meter: meter.clone(), grace };
    let reader = Reader { ear: dialled.ear, pending, meter: meter.clone(), _line: dialled.line };
    (session, reader)
}

impl Session {
    /// Calls the peer and waits for its answer until the deadline.
    pub(crate) async fn call(
        &self,
        kind: Kind,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        check_size(&payload)?;
        let begin = Instant::now();
        let (id, mut answer) = self.pending.open().ok_or(CallError::NotSent)?;
        let ticket = Ticket { pending: &self.pending, id };
        let request = Outgoing::Message { id, kind: Some(kind), role: Role::Request, payload };
        let wait = self.grace.min(deadline.saturating_duration_since(begin));
        self.outbox.push(request, wait).await.map_err(|_| CallError::NotSent)?;
        let result = match timeout_at(deadline, &mut answer).await {
            Ok(Ok(result)) => result,
            // Whoever takes a call out of the table answers it.
            Ok(Err(_)) => Err(CallError::Unknown),
            Err(_) => match self.pending.give_up(id) {
                Some(error) => Err(error),
                None => answer.try_recv().unwrap_or(Err(CallError::Unknown)),
            },
        };
        drop(ticket);
        if result.is_ok() {
            self.meter.round_trip(kind, begin.elapsed());
        }
        result
    }
}

/// Takes a call out of the table when its caller goes away.
struct Ticket<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.pending.give_up(self.id);
    }
}

/// Refuses a payload that no frame can carry.
pub(crate) fn check_size(payload: &Bytes) -> Result<(), CallError> {
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    Err(CallError::Refused(format!(
        "a message of {} bytes exceeds the limit of {PAYLOAD_BYTES_MAX}",
        payload.len()
    )))
}

impl Reader {
    /// Reads answers until the session ends. May be dropped and called again.
    pub(crate) async fn run(&mut self) -> End {
        loop {
            match self.ear.next().await {
                Ok(frame) => {
                    self.deliver(frame.messages);
                    if frame.closing {
                        return End::Closing;
                    }
                }
                Err(reason) => return End::Lost(reason),
            }
        }
    }

    /// Waits for the last answers.
    pub(crate) async fn drain(mut self) {
        let last = async { while self.run().await == End::Closing {} };
        // What has no answer by then ends as unknown.
        let _ = timeout(DRAIN_MAX, last).await;
    }

    fn deliver(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        self.meter.received(&messages);
        self.pending.answer(messages.into_iter().filter_map(|message| {
            let answer = match message.role() {
                Role::Answer => Ok(message.payload),
                Role::Refusal => {
                    Err(CallError::Refused(String::from_utf8_lossy(&message.payload).into_owned()))
                }
                // Requests come from the dialler only.
                Role::Request => return None,
            };
            Some((message.id, answer))
        }));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pending.end();
    }
}
