"""Unmodified boto3: global indexes, transactions, statements, a stream's consumer, time to live,
point-in-time recovery, backups.

Usage: boto3_whole_surface.py ENDPOINT
"""

import sys
import time
from datetime import timedelta
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

from waiting import refused, until

NAME = f"orders-{time.monotonic_ns()}"
# Time to live is looked at every few seconds.
EXPIRY_SECONDS = 15


def connect(kind, service, endpoint):
    config = Config(retries={"max_attempts": 1})
    return kind(service, endpoint_url=endpoint, region_name="us-east-1", config=config)


def create(client):
    client.create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "total", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-customer",
                "KeySchema": [
                    {"AttributeName": "customer", "KeyType": "HASH"},
                    {"AttributeName": "total", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})


def indexes(client, table):
    with table.batch_writer() as batch:
        for n in range(40):
            batch.put_item(Item={"id": f"o{n}", "customer": f"c{n % 4}", "total": n})

    def totals(index, key, value):
        page = table.query(IndexName=index, KeyConditionExpression=Key(key).eq(value))
        return [int(item["total"]) for item in page["Items"]]

    until("the index has all", lambda: totals("by-customer", "customer", "c1") == list(range(1, 40, 4)))
    client.update_table(
        TableName=NAME,
        AttributeDefinitions=[{"AttributeName": "total", "AttributeType": "N"}],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "by-total",
                    "KeySchema": [{"AttributeName": "total", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["customer"]},
                }
            }
        ],
    )

    def status():
        described = client.describe_table(TableName=NAME)["Table"]
        return {i["IndexName"]: i["IndexStatus"] for i in described["GlobalSecondaryIndexes"]}

    until("the new index is filled", lambda: status().get("by-total") == "ACTIVE")
    page = table.query(IndexName="by-total", KeyConditionExpression=Key("total").eq(7))
    assert page["Items"] == [{"id": "o7", "customer": "c3", "total": Decimal(7)}], page
    client.update_table(
        TableName=NAME, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-total"}}]
    )
    until("the index is gone", lambda: "by-total" not in status())


def transactions(client, table):
    def move(amount, token):
        def add(key, change):
            return {
                "Update": {
                    "TableName": NAME,
                    "Key": {"id": {"S": key}},
                    "UpdateExpression": "ADD balance :c",
                    "ConditionExpression": "balance >= :least",
                    "ExpressionAttributeValues": {
                        ":c": {"N": str(change)},
                        ":least": {"N": str(max(0, -change))},
                    },
                }
            }

        steps = [add("left", -amount), add("right", amount)]
        return client.transact_write_items(TransactItems=steps, ClientRequestToken=token)

    table.put_item(Item={"id": "left", "balance": 10})
    table.put_item(Item={"id": "right", "balance": 0})
    for _ in range(2):
        move(4, f"once-{NAME}"[:36])
    error = refused(client, "TransactionCanceledException", lambda: move(7, "too-much"))
    codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
    assert codes == ["ConditionalCheckFailed", "None"], codes
    get = [{"Get": {"TableName": NAME, "Key": {"id": {"S": key}}}} for key in ("left", "right")]
    items = [one["Item"] for one in client.transact_get_items(TransactItems=get)["Responses"]]
    assert [item["balance"]["N"] for item in items] == ["6", "4"], items


def statements(client):
    client.execute_statement(
        Statement=f"""INSERT INTO "{NAME}" VALUE {{'id': 's1', 'customer': ?, 'total': 5}}""",
        Parameters=[{"S": "by statement"}],
    )
    client.execute_statement(
        Statement=f"""UPDATE "{NAME}" SET total = total + 1 WHERE id = 's1' AND total = 5"""
    )
    page = client.execute_statement(
        Statement=f"""SELECT total FROM "{NAME}" WHERE id = ?""",
        Parameters=[{"S": "s1"}],
        ConsistentRead=True,
    )
    assert page["Items"] == [{"total": {"N": "6"}}], page
    deletes = [{"Statement": f"""DELETE FROM "{NAME}" WHERE id = '{key}'"""} for key in ("s1", "none")]
    answers = client.batch_execute_statement(Statements=deletes)["Responses"]
    assert len(answers) == 2 and not any("Error" in answer for answer in answers), answers


class Consumer:
    """Reads every shard of the table's stream from its beginning."""

    def __init__(self, streams):
        [stream] = streams.list_streams(TableName=NAME)["Streams"]
        self.streams, self.records = streams, []
        described = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]
        self.iterators = [
            streams.get_shard_iterator(
                StreamArn=stream["StreamArn"],
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            for shard in described["Shards"]
        ]

    def read(self):
        for at, iterator in enumerate(self.iterators):
            page = self.streams.get_records(ShardIterator=iterator)
            self.iterators[at] = page["NextShardIterator"]
            self.records.extend(page["Records"])
        return self.records

    def of(self, key):
        return [r for r in self.records if r["dynamodb"]["Keys"]["id"]["S"] == key]


def stream(streams):
    consumer = Consumer(streams)
    until("the statement's changes are told", lambda: consumer.read() and len(consumer.of("s1")) == 3)
    names = [record["eventName"] for record in consumer.of("s1")]
    assert names == ["INSERT", "MODIFY", "REMOVE"], names
    balances = [
        [record["dynamodb"].get(image, {}).get("balance", {}).get("N") for image in ("OldImage", "NewImage")]
        for record in consumer.of("left")
    ]
    assert balances == [[None, "10"], ["10", "6"]], balances
    assert len({record["eventID"] for record in consumer.records}) == len(consumer.records)
    return consumer


def time_to_live(client, table, consumer):
    client.update_time_to_live(
        TableName=NAME, TimeToLiveSpecification={"AttributeName": "ends", "Enabled": True}
    )

    def enabled():
        described = client.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
        return described["TimeToLiveStatus"] == "ENABLED"

    until("it is on", enabled)
    table.put_item(Item={"id": "brief", "ends": int(time.time()) + 1})
    table.put_item(Item={"id": "long", "ends": int(time.time()) + 3600})
    gone = lambda: "Item" not in table.get_item(Key={"id": "brief"}, ConsistentRead=True)
    until("it expires", gone, EXPIRY_SECONDS)
    assert "Item" in table.get_item(Key={"id": "long"}, ConsistentRead=True)
    until("its end is told", lambda: consumer.read() and len(consumer.of("brief")) == 2)
    identity = consumer.of("brief")[1]["userIdentity"]
    assert identity == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}, identity


def point_in_time(client, table):
    switch = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}
    client.update_continuous_backups(TableName=NAME, PointInTimeRecoverySpecification=switch)

    def latest():
        described = client.describe_continuous_backups(TableName=NAME)
        recovery = described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        latest = recovery.get("LatestRestorableDateTime")
        return latest.timestamp() if latest else 0

    until("a moment can be restored", latest)
    before = table.scan(ConsistentRead=True)["Items"]
    # Moments are whole seconds.
    time.sleep(1.5)
    good = int(time.time())
    time.sleep(1.5)
    for item in before[::2]:
        table.delete_item(Key={"id": item["id"]})
    table.put_item(Item={"id": "a mistake"})
    until("the moment is archived", lambda: latest() > good)
    restored = f"{NAME}-restored"
    client.restore_table_to_point_in_time(
        SourceTableName=NAME, TargetTableName=restored, RestoreDateTime=good
    )
    client.get_waiter("table_exists").wait(TableName=restored, WaiterConfig={"Delay": 1})
    key = lambda item: item["id"]
    found = connect(boto3.resource, "dynamodb", client.meta.endpoint_url).Table(restored)
    assert sorted(found.scan(ConsistentRead=True)["Items"], key=key) == sorted(before, key=key)
    by_customer = Key("customer").eq("c1")
    page = found.query(IndexName="by-customer", KeyConditionExpression=by_customer)
    assert page["Count"] == sum(item.get("customer") == "c1" for item in before), page
    found.delete()


def backups(client, table):
    key = lambda item: item["id"]
    before = sorted(table.scan(ConsistentRead=True)["Items"], key=key)
    made = client.create_backup(TableName=NAME, BackupName="before-the-release")["BackupDetails"]
    assert made["BackupStatus"] == "CREATING" and made["BackupType"] == "USER", made
    arn = made["BackupArn"]
    # What is done from now on is not in it, though it may still be taken.
    for item in before[1::2]:
        table.delete_item(Key={"id": item["id"]})

    def described():
        return client.describe_backup(BackupArn=arn)["BackupDescription"]

    def status():
        return described()["BackupDetails"]["BackupStatus"]

    until("the backup is available", lambda: status() == "AVAILABLE")
    assert described()["SourceTableDetails"]["TableName"] == NAME
    pages = client.get_paginator("list_backups").paginate(TableName=NAME)
    listed = [one for page in pages for one in page["BackupSummaries"]]
    assert [one["BackupArn"] for one in listed] == [arn], listed
    restored = f"{NAME}-from-backup"
    client.restore_table_from_backup(TargetTableName=restored, BackupArn=arn)
    client.get_waiter("table_exists").wait(TableName=restored, WaiterConfig={"Delay": 1})
    found = connect(boto3.resource, "dynamodb", client.meta.endpoint_url).Table(restored)
    assert sorted(found.scan(ConsistentRead=True)["Items"], key=key) == before
    found.delete()
    gone = client.delete_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
    assert gone["BackupStatus"] == "DELETED", gone
    refused(client, "BackupNotFoundException", described)


def deleted_table(client, table):
    """Recovery is on: what is deleted leaves a backup, from which the table comes back."""
    before = table.scan(ConsistentRead=True)["Items"]
    table.delete()
    client.get_waiter("table_not_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
    [left] = client.list_backups(TableName=NAME, BackupType="SYSTEM")["BackupSummaries"]
    assert left["BackupName"] == f"{NAME}$DeletedTableBackup", left
    assert left["BackupExpiryDateTime"] - left["BackupCreationDateTime"] == timedelta(days=35)
    client.restore_table_from_backup(TargetTableName=NAME, BackupArn=left["BackupArn"])
    client.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
    key = lambda item: item["id"]
    found = table.scan(ConsistentRead=True)["Items"]
    assert sorted(found, key=key) == sorted(before, key=key)


def main():
    [endpoint] = sys.argv[1:]
    client = connect(boto3.client, "dynamodb", endpoint)
    table = connect(boto3.resource, "dynamodb", endpoint).Table(NAME)
    create(client)
    indexes(client, table)
    transactions(client, table)
    statements(client)
    consumer = stream(connect(boto3.client, "dynamodbstreams", endpoint))
    time_to_live(client, table, consumer)
    point_in_time(client, table)
    backups(client, table)
    deleted_table(client, table)
    table.delete()
    client.get_waiter("table_not_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
    print("1 passed, 0 failed")


main()
