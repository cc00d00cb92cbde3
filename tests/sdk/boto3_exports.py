"""Unmodified boto3: a table is exported, its files are read by another reader, and it is imported again;
CSV is imported too, with rows that cannot be.

Usage: boto3_exports.py ENDPOINT FOLDER_OF_BUCKETS
"""

import base64
import gzip
import json
import pathlib
import sys
import time
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Key
from boto3.dynamodb.types import Binary, TypeDeserializer
from botocore.config import Config

from exported import read_export
from waiting import refused, until

NAME = f"exported-{time.monotonic_ns()}"
BUCKET = f"journey-{time.monotonic_ns()}"
SOON = {"Delay": 1, "MaxAttempts": 60}
KEYS = [
    {"AttributeName": "id", "KeyType": "HASH"},
    {"AttributeName": "at", "KeyType": "RANGE"},
]
ATTRIBUTES = [
    {"AttributeName": "id", "AttributeType": "S"},
    {"AttributeName": "at", "AttributeType": "N"},
    {"AttributeName": "kind", "AttributeType": "S"},
]
INDEX = {
    "IndexName": "by-kind",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


def connect(kind, endpoint):
    config = Config(retries={"max_attempts": 1})
    return kind("dynamodb", endpoint_url=endpoint, region_name="us-east-1", config=config)


def item(n):
    return {
        "id": f"é{n}",
        "at": Decimal(n) / 4,
        "kind": f"k{n % 3}",
        "bytes": Binary(bytes(range(n))),
        "set": {f"s{n}", "s"},
        "numbers": {Decimal(n), Decimal("1E-100")},
        "nested": {"list": [None, True, {"k": [Decimal("12345678901234567890123456789012345678")]}]},
        "text": 'line\nbreak, "quotes" and \\ more',
    }


def read(value):
    """A value of DynamoDB JSON as the client gives it."""
    [(kind, inner)] = value.items()
    match kind:
        case "B":
            inner = base64.b64decode(inner)
        case "BS":
            inner = [base64.b64decode(one) for one in inner]
        case "L":
            return [read(one) for one in inner]
        case "M":
            return {name: read(one) for name, one in inner.items()}
    return TypeDeserializer().deserialize({kind: inner})


def in_order(items):
    return sorted(items, key=lambda one: (one["id"], one["at"]))


def make_source(client, table):
    client.create_table(
        TableName=NAME,
        KeySchema=KEYS,
        AttributeDefinitions=ATTRIBUTES,
        GlobalSecondaryIndexes=[INDEX],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
    with table.batch_writer() as batch:
        for n in range(60):
            batch.put_item(Item=item(n))
    arn = client.describe_table(TableName=NAME)["Table"]["TableArn"]
    export = lambda: client.export_table_to_point_in_time(TableArn=arn, S3Bucket=BUCKET)
    refused(client, "PointInTimeRecoveryUnavailableException", export)
    client.update_continuous_backups(
        TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return arn


def export(client, table, arn, folder):
    before = in_order(table.scan(ConsistentRead=True)["Items"])
    token = f"token-{NAME}"
    asked = dict(TableArn=arn, S3Bucket=BUCKET, S3Prefix="a/b", ClientToken=token)
    begun = client.export_table_to_point_in_time(**asked)["ExportDescription"]
    assert begun["ExportStatus"] == "IN_PROGRESS", begun
    table.put_item(Item={"id": "later", "at": 0})
    export = begun["ExportArn"]
    client.get_waiter("export_completed").wait(ExportArn=export, WaiterConfig=SOON)
    again = client.export_table_to_point_in_time(**asked)["ExportDescription"]
    assert again["ExportArn"] == export, again
    other = lambda: client.export_table_to_point_in_time(**{**asked, "S3Prefix": "c"})
    refused(client, "ExportConflictException", other)
    listed = client.list_exports(TableArn=arn)["ExportSummaries"]
    assert [one["ExportArn"] for one in listed] == [export], listed
    ended = client.describe_export(ExportArn=export)["ExportDescription"]
    assert ended["ItemCount"] == len(before) and ended["ExportFormat"] == "DYNAMODB_JSON", ended

    summary, lines = read_export(pathlib.Path(folder, BUCKET), ended["ExportManifest"])
    assert summary["exportArn"] == export and summary["tableArn"] == arn, summary
    assert summary["tableId"] == ended["TableId"] and summary["s3Prefix"] == "a/b", summary
    items = [{name: read(value) for name, value in line["Item"].items()} for line in lines]
    assert in_order(items) == before
    return ended, before


def import_again(client, endpoint, ended, before):
    name = f"{NAME}-again"
    data = ended["ExportManifest"].replace("manifest-summary.json", "data/")
    asked = dict(
        S3BucketSource={"S3Bucket": BUCKET, "S3KeyPrefix": data},
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": name,
            "KeySchema": KEYS,
            "AttributeDefinitions": ATTRIBUTES,
            "GlobalSecondaryIndexes": [INDEX],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    begun = client.import_table(**asked)["ImportTableDescription"]
    imported = begun["ImportArn"]
    client.get_waiter("import_completed").wait(ImportArn=imported, WaiterConfig=SOON)
    done = client.describe_import(ImportArn=imported)["ImportTableDescription"]
    assert done["ImportedItemCount"] == done["ProcessedItemCount"] == len(before), done
    assert done["ErrorCount"] == 0 and done["TableId"] == begun["TableId"], done
    table = connect(boto3.resource, endpoint).Table(name)
    assert in_order(table.scan(ConsistentRead=True)["Items"]) == before
    expected = sum(one["kind"] == "k1" for one in before)
    query = lambda: table.query(IndexName="by-kind", KeyConditionExpression=Key("kind").eq("k1"))
    until("the index has all", lambda: query()["Count"] == expected)
    # Without an id of a token, the name is taken.
    refused(client, "ResourceInUseException", lambda: client.import_table(**asked))
    listed = client.list_imports(TableArn=begun["TableArn"])["ImportSummaryList"]
    assert [one["ImportArn"] for one in listed] == [imported], listed
    table.delete()


def csv(client, endpoint, folder):
    name = f"{NAME}-csv"
    source = pathlib.Path(folder, BUCKET, "csv")
    source.mkdir()
    with gzip.open(source / "1.csv.gz", "wt") as file:
        file.write('a;1;plain;"quoted; ""twice"""\nb;no number;x;y\nc;3;;\n')
    asked = dict(
        S3BucketSource={"S3Bucket": BUCKET, "S3KeyPrefix": "csv/"},
        InputFormat="CSV",
        InputFormatOptions={"Csv": {"Delimiter": ";", "HeaderList": ["id", "at", "one", "two"]}},
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": name,
            "KeySchema": KEYS,
            "AttributeDefinitions": ATTRIBUTES[:2],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    imported = client.import_table(**asked)["ImportTableDescription"]["ImportArn"]
    describe = lambda: client.describe_import(ImportArn=imported)["ImportTableDescription"]
    until("the import has ended", lambda: describe()["ImportStatus"] != "IN_PROGRESS", 60)
    ended = describe()
    assert ended["ImportStatus"] == "FAILED", ended
    assert ended["FailureCode"] == "ItemValidationError", ended
    counts = [ended[f"{one}Count"] for one in ("ProcessedItem", "ImportedItem", "Error")]
    assert counts == [3, 2, 1], ended
    table = connect(boto3.resource, endpoint).Table(name)
    assert in_order(table.scan(ConsistentRead=True)["Items"]) == [
        {"id": "a", "at": 1, "one": "plain", "two": 'quoted; "twice"'},
        {"id": "c", "at": 3},
    ]
    report = imported.rpartition("/")[2]
    report = pathlib.Path(folder, BUCKET, f"AWSDynamoDB/import-errors/{report}.jsonl")
    [error] = [json.loads(line) for line in report.read_text().splitlines()]
    assert error["itemS3Pointer"] == {"bucket": BUCKET, "key": "csv/1.csv.gz", "itemIndex": 1}, error
    table.delete()


def errors(client, arn, ended):
    unknown = ended["ExportArn"][:-8] + "00000000"
    refused(client, "ExportNotFoundException", lambda: client.describe_export(ExportArn=unknown))
    unknown = unknown.replace("/export/", "/import/")
    refused(client, "ImportNotFoundException", lambda: client.describe_import(ImportArn=unknown))
    young = dict(
        TableArn=arn,
        S3Bucket=BUCKET,
        ExportType="INCREMENTAL_EXPORT",
        IncrementalExportSpecification={"ExportFromTime": int(time.time()) - 60},
    )
    export = lambda: client.export_table_to_point_in_time(**young)
    refused(client, "InvalidExportTimeException", export)
    pages = client.list_exports(MaxResults=1)
    assert len(pages["ExportSummaries"]) == 1, pages


def main():
    [endpoint, folder] = sys.argv[1:]
    client = connect(boto3.client, endpoint)
    table = connect(boto3.resource, endpoint).Table(NAME)
    arn = make_source(client, table)
    ended, before = export(client, table, arn, folder)
    import_again(client, endpoint, ended, before)
    csv(client, endpoint, folder)
    errors(client, arn, ended)
    table.delete()
    client.get_waiter("table_not_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
    print("1 passed, 0 failed")


main()
