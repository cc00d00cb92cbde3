//! Signals to node processes, and the command line for what only it can do.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
pub use rustix::process::Signal;

/// Sends a signal to one process.
pub fn signal(pid: i32, signal: Signal) -> anyhow::Result<()> {
    let pid = rustix::process::Pid::from_raw(pid).context("0 is not a process")?;
    rustix::process::kill_process(pid, signal)
        .with_context(|| format!("cannot send {signal:?} to process {pid:?}"))
}

/// Runs a command of the operator's with the node's id as `NODE_ID`.
pub async fn shell(command: &str, node: u64) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("sh")
        .args(["-c", command])
        .env("NODE_ID", node.to_string())
        .stdin(Stdio::null())
        .output()
        .await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{command}`: {}: {}", output.status, stderr.trim());
    Ok(())
}

/// Runs this program with `--cluster FILE --output json` and returns its one line of JSON.
pub async fn own_command(cluster: &Path, words: &[&str]) -> anyhow::Result<serde_json::Value> {
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(words)
        .arg("--cluster")
        .arg(cluster)
        .args(["--output", "json"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("`{}` ended with {}: {}", words.join(" "), output.status, stderr.trim());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null))
}
