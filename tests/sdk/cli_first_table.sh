#!/usr/bin/env bash
# The unmodified AWS CLI against a node: a table's life, items, expressions, batches, pages,
# and a backup that outlives it.
# Usage: cli_first_table.sh AWS ENDPOINT [REPLICA_REGION=ENDPOINT ...]
# AWS is the command. With replicas named, the table is made global, written in every region and
# read in all.
set -euo pipefail
aws=$1
home=$2
shift 2
export AWS_DEFAULT_REGION=us-east-1
export AWS_MAX_ATTEMPTS=1 AWS_PAGER=""
table="cli-$$-$(date +%s)"

at() { local endpoint=$1; shift; "$aws" dynamodb --endpoint-url "$endpoint" --output text "$@"; }
db() { at "$home" "$@"; }
fail() { echo "$1" >&2; exit 1; }
equal() { [[ "$2" == "$3" ]] || fail "$1: $2 is not $3"; }

# Runs a command until it prints what is expected, for 20 s at most.
until_equal() {
  local what=$1 expected=$2 printed=
  shift 2
  for _ in $(seq 40); do
    printed=$("$@" 2>/dev/null || true)
    [[ "$printed" == "$expected" ]] && return
    sleep 0.5
  done
  fail "never: $what; last: $printed"
}

db create-table --table-name "$table" --billing-mode PAY_PER_REQUEST \
  --attribute-definitions AttributeName=artist,AttributeType=S AttributeName=song,AttributeType=N \
  --key-schema AttributeName=artist,KeyType=HASH AttributeName=song,KeyType=RANGE >/dev/null
db wait table-exists --table-name "$table"
equal listed "$(db list-tables --query "TableNames[?@=='$table']")" "$table"

db put-item --table-name "$table" --item '{"artist":{"S":"a"},"song":{"N":"1"},"plays":{"N":"1"}}'
db update-item --table-name "$table" --key '{"artist":{"S":"a"},"song":{"N":"1"}}' \
  --update-expression 'SET plays = plays + :n' --condition-expression 'plays = :n' \
  --expression-attribute-values '{":n":{"N":"1"}}'
key='{"artist":{"S":"a"},"song":{"N":"1"}}'
equal updated "$(db get-item --table-name "$table" --key "$key" --consistent-read \
  --query Item.plays.N)" 2
if db put-item --table-name "$table" --item "$key" \
  --condition-expression 'attribute_not_exists(artist)' 2>"/tmp/$table.err"; then
  fail "the condition holds"
fi
grep -q ConditionalCheckFailedException "/tmp/$table.err" || fail "$(cat "/tmp/$table.err")"
rm "/tmp/$table.err"

requests=$(for n in $(seq 2 21); do
  printf '{"PutRequest":{"Item":{"artist":{"S":"a"},"song":{"N":"%s"}}}},' "$n"
done)
db batch-write-item --request-items "{\"$table\":[${requests%,}]}" >/dev/null
equal batch "$(db batch-get-item --request-items "{\"$table\":{\"Keys\":[$key]}}" \
  --query "length(Responses.\"$table\")")" 1
equal query "$(db query --table-name "$table" --consistent-read \
  --key-condition-expression 'artist = :a AND song BETWEEN :low AND :high' \
  --expression-attribute-values '{":a":{"S":"a"},":low":{"N":"5"},":high":{"N":"9"}}' \
  --query Count)" 5
# The CLI follows the pages by itself.
equal scan "$(db scan --table-name "$table" --page-size 4 --consistent-read \
  --query 'length(Items)' --output json)" 21
db delete-item --table-name "$table" --key "$key"
equal deleted "$(db scan --table-name "$table" --select COUNT --consistent-read --query Count)" 20

if [[ $# -eq 0 ]]; then
  backup=$(db create-backup --table-name "$table" --backup-name before-it-goes \
    --query BackupDetails.BackupArn)
  db delete-table --table-name "$table" >/dev/null
  until_equal "the table is gone" "" db describe-table --table-name "$table"
  equal "the backup outlives its table" AVAILABLE "$(db describe-backup --backup-arn "$backup" \
    --query BackupDescription.BackupDetails.BackupStatus)"
  db restore-table-from-backup --target-table-name "$table" --backup-arn "$backup" >/dev/null
  until_equal "the table is back" ACTIVE db describe-table --table-name "$table" \
    --query Table.TableStatus
  equal "what is restored" "$(db scan --table-name "$table" --select COUNT --consistent-read \
    --query Count)" 20
  equal "of the backups" "$(db list-backups --table-name "$table" \
    --query 'length(BackupSummaries)')" 1
  db delete-backup --backup-arn "$backup" >/dev/null
  db delete-table --table-name "$table" >/dev/null
  db wait table-not-exists --table-name "$table"
  echo "1 passed, 0 failed"
  exit
fi

endpoints=("$home")
for replica in "$@"; do
  region=${replica%%=*}
  endpoints+=("${replica#*=}")
  db update-table --table-name "$table" \
    --replica-updates "[{\"Create\":{\"RegionName\":\"$region\"}}]" >/dev/null
  until_equal "the replica in $region is active" ACTIVE db describe-table --table-name "$table" \
    --query "Table.Replicas[?RegionName=='$region'].ReplicaStatus"
done
for n in "${!endpoints[@]}"; do
  at "${endpoints[$n]}" put-item --table-name "$table" \
    --item "{\"artist\":{\"S\":\"everywhere\"},\"song\":{\"N\":\"$n\"}}"
done
for endpoint in "${endpoints[@]}"; do
  until_equal "$endpoint shows what every region wrote" "${#endpoints[@]}" \
    at "$endpoint" query --table-name "$table" --select COUNT --query Count \
    --key-condition-expression 'artist = :e' \
    --expression-attribute-values '{":e":{"S":"everywhere"}}'
done
echo "1 passed, 0 failed"
