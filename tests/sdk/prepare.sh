#!/usr/bin/env bash
# Installs the clients of journeys.sh into a folder. Needs Python 3 with venv, Node.js 18 or newer
# with npm, and cargo.
# Usage: tests/sdk/prepare.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$1"
"$1/bin/pip" install --quiet -r "$here/requirements.txt"
cp -r "$here/js" "$1/js"
(cd "$1/js" && npm ci --silent --no-audit --no-fund)
target="${CARGO_TARGET_DIR:-$here/../../target}/sdk"
cargo build --quiet --locked --manifest-path "$here/rust/Cargo.toml" --target-dir "$target"
cp "$target/debug/first-table" "$1/bin/"
