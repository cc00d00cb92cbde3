#!/usr/bin/env bash
# Unmodified clients against `dev` and against a playground of three regions: boto3, the AWS CLI, the
# AWS SDKs for Rust and for JavaScript, PynamoDB and ElectroDB. Needs Python 3 with venv, Node.js 18 or
# newer with npm, and cargo.
# Usage: tests/sdk/run.sh PATH_OF_MERIDIAN
set -euo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../servers.sh"

"$here/prepare.sh" "$work/clients"

journeys() { "$here/journeys.sh" "$work/clients" "$@"; }

"$program" dev --listen 127.0.0.1:0 --data-dir "$work/dev" >"$work/dev.out" 2>"$work/dev.err" &
running+=($!)
await "$work/dev.out" '^ready '
MERIDIAN_BUCKETS="$work/dev/buckets" journeys "$(sed -n 's/^ready //p' "$work/dev.out")"

cat >"$work/keys.toml" <<'KEYS'
[[credential]]
access_key_id = "AKIDMERIDIAN"
secret_access_key = "a/secret+key"

[[credential]]
access_key_id = "ASIDMERIDIAN"
secret_access_key = "another"
session_token = "token=="
KEYS
"$program" dev --listen 127.0.0.1:0 --in-memory --credentials "$work/keys.toml" \
  >"$work/signed.out" 2>"$work/signed.err" &
running+=($!)
await "$work/signed.out" '^ready '
signed=$(sed -n 's/^ready //p' "$work/signed.out")
AWS_ACCESS_KEY_ID=AKIDMERIDIAN AWS_SECRET_ACCESS_KEY=a/secret+key journeys "$signed"
echo "-- boto3, with keys that are listed and others"
"$work/clients/bin/python" "$here/boto3_signed.py" "$signed"

"$program" playground --base-port 18000 --data-dir "$work/play" --output json \
  >"$work/play.out" 2>"$work/play.err" &
running+=($!)
await "$work/play.out" router
# Another node of each region each time, whether it leads or not.
for node in 0 1 2; do
  MERIDIAN_BUCKETS="$work/play/buckets" journeys "http://127.0.0.1:1800$node" "eu-west-1=http://127.0.0.1:1801$(((node + 1) % 3))" \
    "ap-northeast-1=http://127.0.0.1:1802$(((node + 2) % 3))"
done
