#!/usr/bin/env bash
# The unmodified AWS CLI: a table is exported and imported again.
# Usage: cli_exports.sh AWS ENDPOINT
set -euo pipefail
aws=$1
home=$2
export AWS_DEFAULT_REGION=us-east-1
export AWS_MAX_ATTEMPTS=1 AWS_PAGER=""
table="cli-exported-$$-$(date +%s)"

db() { "$aws" dynamodb --endpoint-url "$home" --output text "$@"; }
fail() { echo "$1" >&2; exit 1; }
equal() { [[ "$2" == "$3" ]] || fail "$1: $2 is not $3"; }
# Waits until a command prints what is expected, for 40 s at most.
until_equal() {
  local what=$1 expected=$2
  shift 2
  for _ in $(seq 80); do
    [[ "$("$@")" == "$expected" ]] && return
    sleep 0.5
  done
  fail "never: $what"
}

keys=(--attribute-definitions AttributeName=artist,AttributeType=S
  --key-schema AttributeName=artist,KeyType=HASH)
db create-table --table-name "$table" --billing-mode PAY_PER_REQUEST "${keys[@]}" >/dev/null
db wait table-exists --table-name "$table"
db put-item --table-name "$table" --item '{"artist":{"S":"Nina Simone"},"plays":{"N":"1"}}'
arn=$(db describe-table --table-name "$table" --query Table.TableArn)
if db export-table-to-point-in-time --table-arn "$arn" --s3-bucket cli-bucket 2>/dev/null; then
  fail "exported without recovery"
fi
db update-continuous-backups --table-name "$table" \
  --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true >/dev/null
export=$(db export-table-to-point-in-time --table-arn "$arn" --s3-bucket cli-bucket \
  --query ExportDescription.ExportArn)
status() { db describe-export --export-arn "$export" --query ExportDescription.ExportStatus; }
until_equal "the export is complete" COMPLETED status
equal listed "$(db list-exports --table-arn "$arn" --query 'ExportSummaries[0].ExportArn')" "$export"
import=$(db import-table --input-format DYNAMODB_JSON --input-compression-type GZIP \
  --s3-bucket-source "S3Bucket=cli-bucket,S3KeyPrefix=AWSDynamoDB/${export##*/}/data/" \
  --table-creation-parameters "{\"TableName\":\"$table-again\",\"BillingMode\":\"PAY_PER_REQUEST\",
    \"AttributeDefinitions\":[{\"AttributeName\":\"artist\",\"AttributeType\":\"S\"}],
    \"KeySchema\":[{\"AttributeName\":\"artist\",\"KeyType\":\"HASH\"}]}" \
  --query ImportTableDescription.ImportArn)
status() { db describe-import --import-arn "$import" --query ImportTableDescription.ImportStatus; }
until_equal "the import is complete" COMPLETED status
plays=$(db get-item --table-name "$table-again" --consistent-read \
  --key '{"artist":{"S":"Nina Simone"}}' --query Item.plays.N)
equal imported "$plays" 1
newest=$(db list-imports --table-arn "${arn}-again" --query 'ImportSummaryList[0].ImportArn')
equal "listed imports" "$newest" "$import"
db delete-table --table-name "$table" >/dev/null
db delete-table --table-name "$table-again" >/dev/null
echo "1 passed, 0 failed"
