//! The seam between groups and whatever carries their messages.
//!
//! # Invariants
//!
//! - A call ends by its soft time limit, so that a peer that hangs costs no election.

use crate::codec::{
    Request, Response, decode_response, decode_snapshot_response, encode_request,
    encode_snapshot_head,
};
use crate::rt;
use crate::snapshot::{Chunks, GroupSnapshot, SnapshotData};
use crate::types::{Config, Vote};
use bytes::Bytes;
use meridian_base::{GroupId, NodeId};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future of this seam.
pub type NetworkFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SendError>> + Send + 'a>>;

/// Why a message got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection: retried later, with growing pauses.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It was sent, or may have been, and no answer came.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// Carries messages of groups between nodes.
pub trait Network: Send + Sync + 'static {
    /// Sends one message ([`Request`]) and waits for its answer ([`Response`]).
    fn call(
        &self,
        to: NodeId,
        group: GroupId,
        message: Bytes,
        limit: Duration,
    ) -> NetworkFuture<'_, Bytes>;

    /// Sends a snapshot: head and chunks; waits until it is installed.
    fn transfer(
        &self,
        to: NodeId,
        group: GroupId,
        head: Bytes,
        chunks: Chunks,
    ) -> NetworkFuture<'_, Bytes>;
}

/// Makes a group's connections.
pub(crate) struct Links {
    pub(crate) group: GroupId,
    pub(crate) network: Arc<dyn Network>,
}

/// One group's connection to one member.
pub(crate) struct Link {
    group: GroupId,
    to: NodeId,
    network: Arc<dyn Network>,
}

impl RaftNetworkFactory<Config> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &openraft::impls::EmptyNode) -> Link {
        Link { group: self.group, to: NodeId(target), network: Arc::clone(&self.network) }
    }
}

fn rpc_error(error: SendError) -> RPCError<Config> {
    match error {
        SendError::Unreachable(_) => {
            RPCError::Unreachable(Unreachable::new(&AnyError::error(error.to_string())))
        }
        SendError::NoAnswer(_) => {
            RPCError::Network(NetworkError::new(&AnyError::error(error.to_string())))
        }
    }
}

fn odd_answer() -> RPCError<Config> {
    rpc_error(SendError::NoAnswer("the answer is of another kind than the question".into()))
}

impl Link {
    async fn ask(&self, request: Request, limit: Duration) -> Result<Response, RPCError<Config>> {
        let message = Bytes::from(encode_request(&request));
        let call = self.network.call(self.to, self.group, message, limit);
        let answer = match rt::timeout(limit, call).await {
            Ok(answer) => answer.map_err(rpc_error)?,
            Err(late) => return Err(rpc_error(SendError::NoAnswer(late.to_string()))),
        };
        decode_response(&answer).map_err(|e| rpc_error(SendError::NoAnswer(e.to_string())))
    }
}

impl RaftNetworkV2<Config> for Link {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Config>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Config>, RPCError<Config>> {
        match self.ask(Request::Append(rpc), option.soft_ttl()).await? {
            Response::Append(answer) => Ok(answer),
            Response::Vote(_) | Response::Transfer(_) => Err(odd_answer()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RPCError<Config>> {
        match self.ask(Request::Vote(rpc), option.soft_ttl()).await? {
            Response::Vote(answer) => Ok(answer),
            Response::Append(_) | Response::Transfer(_) => Err(odd_answer()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RPCError<Config>> {
        match self.ask(Request::PreVote(rpc), option.soft_ttl()).await? {
            Response::Vote(answer) => Ok(answer),
            Response::Append(_) | Response::Transfer(_) => Err(odd_answer()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: GroupSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Config>, StreamingError<Config>> {
        let head = Bytes::from(encode_snapshot_head(&vote, &snapshot.meta));
        let transfer = self.network.transfer(self.to, self.group, head, snapshot.snapshot.take());
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = transfer => {
                let answer = answer.map_err(|e| StreamingError::from(rpc_error(e)))?;
                decode_snapshot_response(&answer)
                    .map_err(|e| rpc_error(SendError::NoAnswer(e.to_string())).into())
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Config>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Config>, RPCError<Config>> {
        match self.ask(Request::Transfer(rpc), option.soft_ttl()).await? {
            Response::Transfer(true) => Ok(Ok(())),
            Response::Transfer(false) | Response::Append(_) | Response::Vote(_) => {
                Err(odd_answer())
            }
        }
    }

    /// Short pauses: a node that returns must not wait a second to be heard of.
    fn backoff(&self) -> Option<Backoff> {
        let pauses = [50, 100, 200].into_iter().chain(std::iter::repeat(400));
        Some(Backoff::new(pauses.map(Duration::from_millis)))
    }
}
