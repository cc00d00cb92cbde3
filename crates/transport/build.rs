//! Compiles `proto/peer.proto` without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto/peer.proto");
    let files = protox::compile(["peer.proto"], ["../../proto"])?;
    tonic_prost_build::configure().bytes(".").emit_rerun_if_changed(false).compile_fds(files)?;
    Ok(())
}
