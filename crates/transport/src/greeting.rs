//! The greeting that opens every connection: who calls whom, and proof of the cluster's secret.
//!
//! # Invariants
//!
//! - The secret is never sent; a proof covers both nonces and everything said, so it is of no use
//!   on another connection, in the other direction, or under another name.
//! - Both sides prove the secret. Without a secret, only loopback peers are spoken to.
//! - Nobody takes part under the name of this node, or from another cluster.
//!
//! It authenticates peers; it does not encrypt what they say.
//!
//! Tested by `tests/greeting.rs`.

use std::net::IpAddr;

use bytes::{BufMut, Bytes};
use meridian_base::NodeId;
use thiserror::Error;
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::config::Who;
use crate::proto::greeting::Step;
use crate::proto::{Challenge, Frame, Greeting, Hello, Proof, Refusal, Welcome};
use crate::{PeerConfig, Secret};

/// The version of `proto/peer.proto` that this program speaks.
const PROTOCOL: u32 = 1;
const NONCE_BYTES: usize = 32;
const DIALLER: &[u8] = b"meridian peer dialler";
const ACCEPTOR: &[u8] = b"meridian peer acceptor";

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// 0: it does not know its id yet.
    pub(crate) node: NodeId,
    pub(crate) region: String,
}

/// Why a greeting failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum GreetingError {
    /// One side refused the other, and says why.
    #[error("{0}")]
    Refused(String),
    /// The connection ended or made no sense.
    #[error("the connection ended during the greeting: {0}")]
    Broken(String),
}

/// Greets as the one who dialled.
pub(crate) async fn introduce(
    config: &PeerConfig,
    to: NodeId,
    say: &mpsc::Sender<Frame>,
    inbound: &mut Streaming<Frame>,
) -> Result<Peer, GreetingError> {
    let who = config.identity.who();
    let hello = Hello {
        protocol: PROTOCOL,
        from: who.node.0,
        to: to.0,
        cluster: who.cluster.map_or(0, |cluster| cluster.0),
        region: who.region.clone(),
        nonce: nonce(),
    };
    send(say, Step::Hello(hello.clone())).await?;
    let challenge = match receive(inbound).await? {
        Step::Challenge(challenge) => challenge,
        step => return Err(unexpected(step)),
    };
    if let Err(reason) = check_challenge(config, &who, &hello, &challenge) {
        // The acceptor logs it, which helps whoever looks at the other node.
        let _ = send(say, Step::Refusal(Refusal { reason: reason.clone() })).await;
        return Err(GreetingError::Refused(reason));
    }
    let proof = prove(config.secret.as_ref(), DIALLER, &hello, &challenge);
    send(say, Step::Proof(Proof { proof })).await?;
    match receive(inbound).await? {
        Step::Welcome(Welcome {}) => {
            Ok(Peer { node: NodeId(challenge.node), region: challenge.region })
        }
        step => Err(unexpected(step)),
    }
}

/// Greets as the one who was dialled.
pub(crate) async fn admit(
    config: &PeerConfig,
    remote: IpAddr,
    say: &mpsc::Sender<Frame>,
    inbound: &mut Streaming<Frame>,
) -> Result<Peer, GreetingError> {
    let hello = match receive(inbound).await? {
        Step::Hello(hello) => hello,
        step => return Err(unexpected(step)),
    };
    let who = config.identity.who();
    if let Err(reason) = check_hello(config, &who, remote, &hello) {
        return refuse(say, reason).await;
    }
    let mut challenge = Challenge {
        protocol: PROTOCOL,
        node: who.node.0,
        cluster: who.cluster.map_or(0, |cluster| cluster.0),
        region: who.region,
        nonce: nonce(),
        proof: Bytes::new(),
    };
    challenge.proof = prove(config.secret.as_ref(), ACCEPTOR, &hello, &challenge);
    send(say, Step::Challenge(challenge.clone())).await?;
    let proof = match receive(inbound).await? {
        Step::Proof(proof) => proof.proof,
        step => return Err(unexpected(step)),
    };
    if let Some(secret) = &config.secret
        && !secret.verify(&transcript(DIALLER, &hello, &challenge), &proof)
    {
        return refuse(say, "the cluster secret is wrong or missing".to_owned()).await;
    }
    send(say, Step::Welcome(Welcome {})).await?;
    Ok(Peer { node: NodeId(hello.from), region: hello.region })
}

fn check_hello(
    config: &PeerConfig,
    who: &Who,
    remote: IpAddr,
    hello: &Hello,
) -> Result<(), String> {
    check_protocol(hello.protocol)?;
    check_cluster(who, hello.cluster)?;
    if hello.nonce.len() != NONCE_BYTES {
        return Err(format!("a nonce has {NONCE_BYTES} bytes, not {}", hello.nonce.len()));
    }
    if hello.to != 0 && who.node != NodeId(0) && hello.to != who.node.0 {
        return Err(format!("node {} answers here, not node {}", who.node, hello.to));
    }
    if hello.from != 0 && hello.from == who.node.0 {
        return Err(format!("node {} is this node; another one uses its id", hello.from));
    }
    if config.secret.is_none() && !is_loopback(remote) {
        return Err("this node has no cluster secret, so it accepts only loopback peers".to_owned());
    }
    Ok(())
}

fn check_challenge(
    config: &PeerConfig,
    who: &Who,
    hello: &Hello,
    challenge: &Challenge,
) -> Result<(), String> {
    check_protocol(challenge.protocol)?;
    check_cluster(who, challenge.cluster)?;
    if let Some(secret) = &config.secret {
        if challenge.proof.is_empty() {
            return Err("the peer has no cluster secret, and this node has one".to_owned());
        }
        if !secret.verify(&transcript(ACCEPTOR, hello, challenge), &challenge.proof) {
            return Err("the cluster secret is wrong: the peer has another one".to_owned());
        }
    }
    if hello.to != 0 && challenge.node != 0 && challenge.node != hello.to {
        return Err(format!("node {} answers here, not node {}", challenge.node, hello.to));
    }
    Ok(())
}

fn check_protocol(theirs: u32) -> Result<(), String> {
    if theirs == PROTOCOL {
        return Ok(());
    }
    Err(format!("the peer speaks peer protocol {theirs}, this node speaks {PROTOCOL}"))
}

fn check_cluster(who: &Who, theirs: u64) -> Result<(), String> {
    match who.cluster {
        Some(ours) if theirs != 0 && theirs != ours.0 => {
            Err(format!("this node belongs to cluster {ours}, the peer to {theirs:016x}"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether an address is of this machine only; an IPv4 address in IPv6 clothes too.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn nonce() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; NONCE_BYTES]>())
}

fn prove(secret: Option<&Secret>, label: &[u8], hello: &Hello, challenge: &Challenge) -> Bytes {
    secret.map_or_else(Bytes::new, |secret| {
        Bytes::from(secret.prove(&transcript(label, hello, challenge)))
    })
}

/// Everything that a proof covers; fields of variable length carry their length.
fn transcript(label: &[u8], hello: &Hello, challenge: &Challenge) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_field(&mut out, label);
    out.put_u32(hello.protocol);
    out.put_u64(hello.from);
    out.put_u64(hello.to);
    out.put_u64(hello.cluster);
    put_field(&mut out, hello.region.as_bytes());
    put_field(&mut out, &hello.nonce);
    out.put_u32(challenge.protocol);
    out.put_u64(challenge.node);
    out.put_u64(challenge.cluster);
    put_field(&mut out, challenge.region.as_bytes());
    put_field(&mut out, &challenge.nonce);
    out
}

fn put_field(out: &mut Vec<u8>, field: &[u8]) {
    out.put_u64(field.len() as u64);
    out.put_slice(field);
}

async fn send(say: &mpsc::Sender<Frame>, step: Step) -> Result<(), GreetingError> {
    let frame = Frame { greeting: Some(Greeting { step: Some(step) }), ..Frame::default() };
    say.send(frame).await.map_err(|_| GreetingError::Broken("nobody sends".to_owned()))
}

async fn refuse<T>(say: &mpsc::Sender<Frame>, reason: String) -> Result<T, GreetingError> {
    send(say, Step::Refusal(Refusal { reason: reason.clone() })).await?;
    Err(GreetingError::Refused(reason))
}

async fn receive(inbound: &mut Streaming<Frame>) -> Result<Step, GreetingError> {
    match inbound.message().await {
        Ok(Some(frame)) => frame
            .greeting
            .and_then(|greeting| greeting.step)
            .ok_or_else(|| GreetingError::Broken("the peer did not greet".to_owned())),
        Ok(None) => Err(GreetingError::Broken("the peer closed it".to_owned())),
        Err(status) => Err(GreetingError::Broken(status.message().to_owned())),
    }
}

fn unexpected(step: Step) -> GreetingError {
    match step {
        Step::Refusal(refusal) => {
            GreetingError::Refused(format!("the peer says: {}", refusal.reason))
        }
        Step::Hello(_) | Step::Challenge(_) | Step::Proof(_) | Step::Welcome(_) => {
            GreetingError::Broken("a step of the greeting came out of turn".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_covers_direction_and_everything_said() {
        let hello = Hello { protocol: 1, from: 1, to: 2, nonce: nonce(), ..Hello::default() };
        let challenge = Challenge { protocol: 1, node: 2, nonce: nonce(), ..Challenge::default() };
        let base = transcript(DIALLER, &hello, &challenge);
        let others = [
            transcript(ACCEPTOR, &hello, &challenge),
            transcript(DIALLER, &Hello { from: 3, ..hello.clone() }, &challenge),
            transcript(DIALLER, &Hello { to: 3, ..hello.clone() }, &challenge),
            transcript(DIALLER, &Hello { cluster: 3, ..hello.clone() }, &challenge),
            transcript(DIALLER, &Hello { nonce: nonce(), ..hello.clone() }, &challenge),
            transcript(DIALLER, &Hello { region: "b".to_owned(), ..hello.clone() }, &challenge),
            transcript(DIALLER, &hello, &Challenge { node: 3, ..challenge.clone() }),
            transcript(DIALLER, &hello, &Challenge { cluster: 3, ..challenge.clone() }),
            transcript(DIALLER, &hello, &Challenge { nonce: nonce(), ..challenge.clone() }),
            transcript(DIALLER, &hello, &Challenge { region: "b".to_owned(), ..challenge.clone() }),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(base, transcript(DIALLER, &hello, &challenge));
    }

    #[test]
    fn loopback_is_loopback_in_ipv6_clothes_too() {
        for (address, loopback) in [
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), loopback, "{address}");
        }
    }

    #[test]
    fn without_a_secret_a_peer_from_elsewhere_is_refused() {
        let config = PeerConfig::new(crate::Identity::new(NodeId(2), "a"));
        let who = config.identity.who();
        let hello = Hello { protocol: PROTOCOL, from: 1, nonce: nonce(), ..Hello::default() };
        let check = |config: &PeerConfig, remote: &str, hello: &Hello| {
            check_hello(config, &who, remote.parse().unwrap(), hello).err().unwrap_or_default()
        };
        assert_eq!(check(&config, "127.0.0.1", &hello), "");
        let reason = check(&config, "10.0.0.1", &hello);
        assert!(reason.contains("accepts only loopback"), "{reason}");
        let secret = Some(Secret::new("0123456789abcdef").unwrap());
        let with_secret = PeerConfig { secret, ..config.clone() };
        assert_eq!(check(&with_secret, "10.0.0.1", &hello), "");
        let reason = check(&config, "127.0.0.1", &Hello { protocol: 9, ..hello.clone() });
        assert!(reason.contains("speaks peer protocol 9, this node speaks 1"), "{reason}");
        let reason = check(&config, "127.0.0.1", &Hello { nonce: Bytes::new(), ..hello });
        assert!(reason.contains("a nonce has 32 bytes"), "{reason}");
    }
}
