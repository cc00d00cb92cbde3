//! What a process needs of its system: signals, files replaced at once, listeners, its parent.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Names the parent whose end ends this process; set by whoever starts it as a child.
pub const PARENT_VARIABLE: &str = "MERIDIAN_PARENT_PID";

/// Makes this process end with its parent, however the parent ends, when it was started with
/// [`PARENT_VARIABLE`]. To be called before anything else.
///
/// Fails when the parent is gone already, or when the kernel refuses.
pub fn end_with_parent() -> io::Result<()> {
    let Some(parent) = std::env::var_os(PARENT_VARIABLE) else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before the line above.
    let expected = parent.to_str().and_then(|p| p.parse().ok()).and_then(Pid::from_raw);
    if getppid() == expected {
        return Ok(());
    }
    Err(io::Error::other("the process that started this one has ended"))
}

/// Keeps the kernel from backing memory by huge pages: a process of a few MB would hold tens.
///
/// Only a matter of size, so that a kernel that refuses is no failure.
pub fn use_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Waits for SIGINT or SIGTERM.
pub async fn asked_to_stop() -> io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

/// Listens on `address`; an error names it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

/// Writes a file so that a reader sees the old or the new content, never a part.
pub fn replace_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or_else(|| io::Error::other("a file needs a name"))?;
    let mut new_name = name.to_owned();
    new_name.push(format!(".{}.new", std::process::id()));
    let new = file.with_file_name(new_name);
    let written = std::fs::File::create(&new).and_then(|mut f| {
        f.write_all(content)?;
        f.sync_all()
    });
    written.and_then(|()| std::fs::rename(&new, file)).inspect_err(|_| {
        // Only tidiness: the failure itself is reported.
        let _ = std::fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        replace_file(&file, b"one").unwrap();
        replace_file(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace_file(&dir.path().join("no/f"), b"x").is_err());
    }
}
