//! The types generated from `proto/peer.proto`.
#![allow(clippy::all, missing_docs, reason = "generated code")]

tonic::include_proto!("meridian.peer.v1");
