//! Real clusters, faults, RPO and RTO measured from outside.
pub mod admin;
pub mod client;
pub mod cluster;
pub mod http;
pub mod items;
pub mod load;
pub mod playground;
pub mod process;
pub mod record;
pub mod report;
pub mod rpo_rto;
#[cfg(test)]
mod scripted;
