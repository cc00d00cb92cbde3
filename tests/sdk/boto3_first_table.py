"""Unmodified boto3 against a node: a table's life, items, expressions, an index, settings, pages.

Usage: boto3_first_table.py ENDPOINT [REPLICA_REGION=ENDPOINT ...]

With replicas named, the table is made global, written in every region and read in all.
"""

import sys
import time

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError

from waiting import until


def connect(endpoint, region):
    return boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        config=Config(retries={"max_attempts": 1}),
    )


def items(table):
    def put(n):
        return {"artist": f"a{n % 3}", "song": n, "length": n * 10, "tags": {"live", f"t{n}"}}

    with table.batch_writer() as batch:
        for n in range(60):
            batch.put_item(Item=put(n))
    found = table.get_item(Key={"artist": "a1", "song": 1}, ConsistentRead=True)["Item"]
    assert found == put(1), found
    missing = table.get_item(Key={"artist": "a1", "song": 2}, ConsistentRead=True)
    assert "Item" not in missing

    updated = table.update_item(
        Key={"artist": "a1", "song": 1},
        UpdateExpression="SET #l = #l + :ten ADD tags :more REMOVE nothing",
        ConditionExpression=Attr("length").eq(10),
        ExpressionAttributeNames={"#l": "length"},
        ExpressionAttributeValues={":ten": 10, ":more": {"new"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    assert updated["length"] == 20 and updated["tags"] == {"live", "t1", "new"}, updated
    try:
        table.put_item(Item=put(1), ConditionExpression=Attr("artist").not_exists())
        raise AssertionError("the condition holds")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"

    page = table.query(
        KeyConditionExpression=Key("artist").eq("a0") & Key("song").between(10, 40),
        FilterExpression=Attr("length").gt(200),
        ScanIndexForward=False,
        ConsistentRead=True,
    )
    assert [int(i["song"]) for i in page["Items"]] == [39, 36, 33, 30, 27, 24, 21], page
    assert page["ScannedCount"] == 10


def by_length(table, artist, **more):
    """The lengths of an artist's songs as the index has them."""
    condition = Key("artist").eq(artist)
    page = table.query(IndexName="by-length", KeyConditionExpression=condition, **more)
    return [int(song["length"]) for song in page["Items"]]


def index(table):
    # Song 1 was lengthened to 20.
    lengths = sorted([20] + [n * 10 for n in range(4, 60, 3)])
    assert by_length(table, "a1", ConsistentRead=True) == lengths
    backwards = by_length(table, "a1", ConsistentRead=True, ScanIndexForward=False, Limit=3)
    assert backwards == lengths[:-4:-1], backwards
    page = table.query(
        IndexName="by-length",
        KeyConditionExpression=Key("artist").eq("a1") & Key("length").between(100, 200),
        Select="ALL_ATTRIBUTES",
        ConsistentRead=True,
        ReturnConsumedCapacity="INDEXES",
    )
    assert all("tags" in song for song in page["Items"]) and page["Count"] == 4, page
    assert "by-length" in page["ConsumedCapacity"]["LocalSecondaryIndexes"]


def settings(table):
    client, arn = table.meta.client, table.table_arn
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
    client.untag_resource(ResourceArn=arn, TagKeys=["stage"])
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == []
    put = client.put_resource_policy(ResourceArn=arn, Policy='{"Version": "2012-10-17"}')
    kept = client.get_resource_policy(ResourceArn=arn)
    assert kept["RevisionId"] == put["RevisionId"] and kept["Policy"].startswith("{")
    client.delete_resource_policy(ResourceArn=arn, ExpectedRevisionId=put["RevisionId"])
    on = {"TableName": table.name, "ContributorInsightsAction": "ENABLE"}
    client.update_contributor_insights(**on)
    shown = client.describe_contributor_insights(TableName=table.name)
    assert shown["ContributorInsightsStatus"] == "ENABLED", shown
    client.describe_continuous_backups(TableName=table.name)


def pages(table):
    paginator = table.meta.client.get_paginator("scan")
    seen = set()
    everything = paginator.paginate(
        TableName=table.name, ConsistentRead=True, PaginationConfig={"PageSize": 7}
    )
    for page in everything:
        seen.update((i["artist"], int(i["song"])) for i in page["Items"])
    assert len(seen) == 60, len(seen)
    parallel = 0
    for segment in range(4):
        answer = table.scan(Segment=segment, TotalSegments=4, Select="COUNT", ConsistentRead=True)
        parallel += answer["Count"]
    assert parallel == 60, parallel
    deleted = table.delete_item(Key={"artist": "a2", "song": 2}, ReturnValues="ALL_OLD")
    assert int(deleted["Attributes"]["length"]) == 20


def everywhere(table, home, replicas):
    client = table.meta.client
    for region in replicas:
        create = {"ReplicaUpdates": [{"Create": {"RegionName": region}}]}
        client.update_table(TableName=table.name, **create)

        def active(region=region):
            described = client.describe_table(TableName=table.name)["Table"]
            states = {r["RegionName"]: r["ReplicaStatus"] for r in described.get("Replicas", [])}
            return described["TableStatus"] == "ACTIVE" and states.get(region) == "ACTIVE"

        until(f"the replica in {region} is active", active)
    tables = {"home": table}
    for region, endpoint in replicas.items():
        tables[region] = connect(endpoint, region).Table(table.name)
    for name, one in tables.items():
        one.put_item(Item={"artist": "everywhere", "song": len(name), "from": name})
    for reader, one in tables.items():
        for writer in tables:
            key = {"artist": "everywhere", "song": len(writer)}
            until(
                f"{reader} shows what {writer} wrote",
                lambda one=one, key=key: "Item" in one.get_item(Key=key, ConsistentRead=True),
            )
        until(f"{reader} has all", lambda one=one: one.scan(Select="COUNT")["Count"] >= 59)
        until(
            f"{reader} has the index",
            lambda one=one: by_length(one, "a1") == by_length(table, "a1", ConsistentRead=True),
        )


def main():
    endpoint, *named = sys.argv[1:]
    replicas = dict(pair.split("=", 1) for pair in named)
    home = connect(endpoint, "us-east-1")
    name = f"music-{time.monotonic_ns()}"
    table = home.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "artist", "KeyType": "HASH"},
            {"AttributeName": "song", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "artist", "AttributeType": "S"},
            {"AttributeName": "song", "AttributeType": "N"},
            {"AttributeName": "length", "AttributeType": "N"},
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-length",
                "KeySchema": [
                    {"AttributeName": "artist", "KeyType": "HASH"},
                    {"AttributeName": "length", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    table.wait_until_exists()
    assert name in [t.name for t in home.tables.all()]
    items(table)
    index(table)
    settings(table)
    pages(table)
    if replicas:
        everywhere(table, "us-east-1", replicas)
    else:
        table.delete()
        table.wait_until_not_exists()
    print("1 passed, 0 failed")


main()
