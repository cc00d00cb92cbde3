#!/usr/bin/env bash
# Every unmodified client through one endpoint; with replicas named, through every region.
# Any credentials, unless the environment names some. With MERIDIAN_BUCKETS, the folder of the server's
# buckets, tables are exported and imported too.
# Usage: tests/sdk/journeys.sh FOLDER_OF_PREPARE ENDPOINT [REPLICA_REGION=ENDPOINT ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
clients=$1
shift
export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID:-any} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY:-any}
echo "-- boto3, $*"
"$clients/bin/python" "$here/boto3_first_table.py" "$@"
echo "-- AWS CLI, $*"
"$here/cli_first_table.sh" "$clients/bin/aws" "$@"
echo "-- AWS SDK for Rust, $*"
"$clients/bin/first-table" "$@"
echo "-- boto3, indexes, transactions, statements, streams, time to live, $1"
"$clients/bin/python" "$here/boto3_whole_surface.py" "$1"
if [[ -n ${MERIDIAN_BUCKETS:-} ]]; then
  echo "-- boto3, exports and imports, $1"
  "$clients/bin/python" "$here/boto3_exports.py" "$1" "$MERIDIAN_BUCKETS"
  echo "-- AWS CLI, exports and imports, $1"
  "$here/cli_exports.sh" "$clients/bin/aws" "$1"
fi
echo "-- PynamoDB, $1"
"$clients/bin/python" "$here/pynamodb_models.py" "$1"
echo "-- AWS SDK for JavaScript with lib-dynamodb, $1"
node "$clients/js/lib_dynamodb.mjs" "$1"
echo "-- ElectroDB, $1"
node "$clients/js/electrodb.mjs" "$1"
