//! The queue of one side of a session, and the stream of frames that empties it.
//!
//! # Invariants
//!
//! - At most [`QUEUE_MESSAGES_MAX`] messages and [`QUEUE_BYTES_MAX`] bytes wait.
//! - A frame holds everything that waits, up to [`BATCH_MESSAGES_MAX`] messages and
//!   [`BATCH_BYTES_MAX`] bytes, and at least one message.
//! - A request that nobody waits for any more is left out; one that is put in is marked as sent.
//!
//! Tested by `tests/calls.rs`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::Kind;
use crate::meter::Meter;
use crate::pending::Pending;
use crate::proto::{Frame, Message, Role};

/// Messages that wait for the connection.
const QUEUE_MESSAGES_MAX: usize = 16 * 1024;
/// Bytes that wait for the connection, with [`ENVELOPE_BYTES`] for each message.
const QUEUE_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// What a message costs besides its payload.
const ENVELOPE_BYTES: u32 = 64;
/// Messages of one frame.
const BATCH_MESSAGES_MAX: usize = 512;
/// Payload bytes after which a frame is full.
const BATCH_BYTES_MAX: usize = 128 * 1024;

/// Something for the peer.
pub(crate) enum Outgoing {
    /// A request, an answer or a refusal.
    Message {
        /// The request's id.
        id: u64,
        /// What a request's payload is; answers have none.
        kind: Option<Kind>,
        /// Which way it goes.
        role: Role,
        /// The payload.
        payload: Bytes,
    },
    /// Word that this side stops.
    Closing,
}

impl Outgoing {
    fn weight(&self) -> u32 {
        match self {
            // Payloads are checked against PAYLOAD_BYTES_MAX, half of the queue, on their way in.
            Outgoing::Message { payload, .. } => {
                u32::try_from(payload.len()).unwrap_or(u32::MAX).saturating_add(ENVELOPE_BYTES)
            }
            Outgoing::Closing => ENVELOPE_BYTES,
        }
        .min(QUEUE_BYTES_MAX)
    }
}

/// The queue had no room in time, or its session has ended.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// The entrance of the queue.
#[derive(Clone)]
pub(crate) struct Outbox {
    sender: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
}

/// An entrance that does not keep the queue open.
#[derive(Clone)]
pub(crate) struct WeakOutbox {
    sender: mpsc::WeakSender<Outgoing>,
    room: Arc<Semaphore>,
}

impl WeakOutbox {
    /// The entrance, unless the session has ended.
    pub(crate) fn upgrade(&self) -> Option<Outbox> {
        Some(Outbox { sender: self.sender.upgrade()?, room: self.room.clone() })
    }
}

impl Outbox {
    /// A queue, and the stream that empties it. With `pending`, it carries requests.
    pub(crate) fn new(pending: Option<Arc<Pending>>, meter: Meter) -> (Outbox, Packer) {
        let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let bytes = usize::try_from(QUEUE_BYTES_MAX).expect("a usize has at least 32 bits");
        let room = Arc::new(Semaphore::new(bytes));
        let packer = Packer {
            receiver,
            room: room.clone(),
            fetched: Vec::new(),
            waiting: VecDeque::new(),
            pending,
            meter,
        };
        (Outbox { sender, room }, packer)
    }

    /// An entrance that does not keep the queue open.
    pub(crate) fn downgrade(&self) -> WeakOutbox {
        WeakOutbox { sender: self.sender.downgrade(), room: self.room.clone() }
    }

    /// Puts something into the queue; waits for room, but not long.
    pub(crate) async fn push(&self, outgoing: Outgoing, wait: Duration) -> Result<(), NoRoom> {
        let weight = outgoing.weight();
        // Held until the message is in the queue, or given back: this future may be dropped.
        let room = match self.room.try_acquire_many(weight) {
            Ok(room) => room,
            Err(_) => match timeout(wait, self.room.acquire_many(weight)).await {
                Ok(Ok(room)) => room,
                Ok(Err(_)) | Err(_) => return Err(NoRoom),
            },
        };
        match self.sender.try_send(outgoing) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(NoRoom),
            Err(mpsc::error::TrySendError::Full(outgoing)) => {
                match timeout(wait, self.sender.reserve()).await {
                    Ok(Ok(slot)) => slot.send(outgoing),
                    Ok(Err(_)) | Err(_) => return Err(NoRoom),
                }
            }
        }
        // The packer gives it back when it takes the message out.
        room.forget();
        Ok(())
    }
}

/// The stream of frames that empties a queue; it ends when every entrance is gone.
pub(crate) struct Packer {
    receiver: mpsc::Receiver<Outgoing>,
    room: Arc<Semaphore>,
    /// Room for what comes out of the channel at once.
    fetched: Vec<Outgoing>,
    waiting: VecDeque<Outgoing>,
    pending: Option<Arc<Pending>>,
    meter: Meter,
}

impl Packer {
    /// Takes what fits into one frame; `None` if nobody waits for any of it.
    fn pack(&mut self) -> Option<Frame> {
        let mut frame = Frame::default();
        let mut bytes = 0;
        let mut freed = 0;
        while bytes < BATCH_BYTES_MAX && frame.messages.len() < BATCH_MESSAGES_MAX {
            let Some(outgoing) = self.waiting.pop_front() else { break };
            freed += outgoing.weight() as usize;
            match outgoing {
                Outgoing::Message { id, kind, role, payload } => {
                    bytes += payload.len();
                    let kind = kind.map_or(0, Kind::to_wire);
                    frame.messages.push(Message { id, kind, role: role.into(), payload });
                }
                Outgoing::Closing => frame.closing = true,
            }
        }
        self.room.add_permits(freed);
        self.leave_out_abandoned(&mut frame.messages);
        self.meter.sent(&frame.messages);
        (frame.closing || !frame.messages.is_empty()).then_some(frame)
    }

    /// Marks requests as sent and leaves out those that nobody waits for.
    fn leave_out_abandoned(&self, messages: &mut Vec<Message>) {
        let Some(pending) = &self.pending else { return };
        let mut wanted = Vec::with_capacity(messages.len());
        pending.mark_sent(messages.iter().map(|message| message.id), |keep| wanted.push(keep));
        let mut wanted = wanted.into_iter();
        messages.retain(|_| wanted.next().unwrap_or(false));
    }
}

impl Stream for Packer {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let this = &mut *self;
        loop {
            if this.waiting.is_empty() {
                let count =
                    ready!(this.receiver.poll_recv_many(cx, &mut this.fetched, BATCH_MESSAGES_MAX));
                if count == 0 {
                    return Poll::Ready(None);
                }
                this.waiting.extend(this.fetched.drain(..));
            }
            if let Some(frame) = this.pack() {
                return Poll::Ready(Some(frame));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    fn message(id: u64, bytes: usize) -> Outgoing {
        let payload = Bytes::from(vec![0; bytes]);
        Outgoing::Message { id, kind: Some(Kind::Item), role: Role::Request, payload }
    }

    /// What the packer has ready, as ids by frame.
    fn ready(packer: &mut Packer) -> Vec<Vec<u64>> {
        let mut frames = Vec::new();
        while let Some(Some(frame)) = packer.next().now_or_never() {
            frames.push(frame.messages.into_iter().map(|message| message.id).collect());
        }
        frames
    }

    const WAIT: Duration = Duration::from_millis(100);
    /// Three of these fit into the queue.
    const THIRD: usize = 40 * 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn what_waits_goes_into_few_frames() {
        let (outbox, mut packer) = Outbox::new(None, Meter::new());
        for id in 0..1000 {
            outbox.push(message(id, 10), WAIT).await.unwrap();
        }
        let frames = ready(&mut packer);
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [512, 488]);
        assert_eq!(frames.concat(), (0..1000).collect::<Vec<_>>());
        for id in 0..3 {
            outbox.push(message(id, BATCH_BYTES_MAX), WAIT).await.unwrap();
        }
        assert_eq!(ready(&mut packer), [[0], [1], [2]], "large ones go alone");
        outbox.push(Outgoing::Closing, WAIT).await.unwrap();
        drop(outbox);
        assert!(packer.next().await.unwrap().closing);
        assert!(packer.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_full_of_bytes_waits_for_room_and_then_refuses() {
        let (outbox, mut packer) = Outbox::new(None, Meter::new());
        for id in 0..3 {
            outbox.push(message(id, THIRD), WAIT).await.unwrap();
        }
        assert!(outbox.push(message(3, THIRD), WAIT).await.is_err());
        assert!(outbox.push(message(4, THIRD), WAIT).now_or_never().is_none(), "it waits");
        assert_eq!(ready(&mut packer), [[0], [1], [2]]);
        for id in 5..8 {
            outbox.push(message(id, THIRD), WAIT).await.unwrap();
        }
        assert_eq!(ready(&mut packer).concat(), [5, 6, 7]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_full_of_messages_refuses_and_keeps_no_room_for_them() {
        let (outbox, mut packer) = Outbox::new(None, Meter::new());
        let all = outbox.room.available_permits();
        for id in 0..QUEUE_MESSAGES_MAX as u64 {
            outbox.push(message(id, 0), WAIT).await.unwrap();
        }
        assert!(outbox.push(message(0, 1000), WAIT).await.is_err());
        assert!(outbox.push(message(0, 1000), WAIT).now_or_never().is_none(), "it waits");
        assert_eq!(ready(&mut packer).concat().len(), QUEUE_MESSAGES_MAX);
        assert_eq!(outbox.room.available_permits(), all);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_given_up_are_left_out_and_the_others_marked() {
        let pending = Arc::new(Pending::default());
        let (outbox, mut packer) = Outbox::new(Some(pending.clone()), Meter::new());
        let (gone, _a) = pending.open().unwrap();
        let (kept, _b) = pending.open().unwrap();
        outbox.push(message(gone, 1), WAIT).await.unwrap();
        outbox.push(message(kept, 1), WAIT).await.unwrap();
        assert_eq!(pending.give_up(gone), Some(crate::CallError::NotSent));
        assert_eq!(ready(&mut packer), [[kept]]);
        assert_eq!(pending.give_up(kept), Some(crate::CallError::Unknown));
    }
}
