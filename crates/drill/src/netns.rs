//! A black hole in the network of a process: as root, in the process's own network namespace.
//!
//! # Invariants
//!
//! - The namespace that the drill itself runs in is never touched.
//! - Loopback inside the namespace stays open: processes of one node may talk to themselves.
//!
//! Tested by running the drill on a cluster in network namespaces.

use std::process::Stdio;

use anyhow::Context as _;

/// Refuses processes that share the drill's own network.
pub fn check(pids: &[i32]) -> anyhow::Result<()> {
    let own = std::fs::read_link("/proc/self/ns/net").context("no network namespaces here")?;
    for pid in pids {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/net"))
            .with_context(|| format!("cannot see the network of process {pid}; root is needed"))?;
        anyhow::ensure!(
            theirs != own,
            "process {pid} shares the network of this drill: blackhole-net needs a cluster in \
             network namespaces; --fault blackhole works without"
        );
    }
    Ok(())
}

/// Drops every packet from and to the process's namespace, or lets them pass again.
pub async fn drop_packets(pid: i32, on: bool) -> anyhow::Result<()> {
    let verb = if on { "-I" } else { "-D" };
    for (chain, way) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
        let mut words = vec!["iptables", "-w", verb, chain];
        words.extend(["!", way, "lo", "-j", "DROP"]);
        within(pid, &words).await?;
    }
    Ok(())
}

async fn within(pid: i32, words: &[&str]) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("nsenter")
        .args(["-t", &pid.to_string(), "-n"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run nsenter")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{}`: {}", words.join(" "), stderr.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drills_own_network_is_never_touched() {
        let own = i32::try_from(std::process::id()).unwrap();
        let error = check(&[own]).unwrap_err().to_string();
        assert!(error.contains("shares the network"), "{error}");
    }
}
