#!/usr/bin/env python3
"""Derives model.txt, the compact form of DynamoDB's request model, from botocore's data.

    pip download botocore --no-deps && unzip botocore-*.whl 'botocore/data/dynamodb*'
    python3 derive.py botocore/data > model.txt

The public model lacks three things that the service's answers show, so they are added here, each
in its own table: the order in which members are checked, the order in which enum values are
printed, and which members answer in the wording that the service took up in mid-2026.
"""
import gzip
import json
import pathlib
import re
import sys

SERVICES = [("dynamodb", "2012-08-10"), ("dynamodbstreams", "2012-08-10")]

# Printing order of enum values where it differs from the model's.
ENUM_ORDER = {
    "ComparisonOperator": "IN NULL BETWEEN LT NOT_CONTAINS EQ GT NOT_NULL NE LE BEGINS_WITH GE CONTAINS",
    "ConditionalOperator": "OR AND",
    "InputCompressionType": "ZSTD NONE GZIP",
    "ProjectionType": "ALL INCLUDE KEYS_ONLY",
    "ReturnValue": "ALL_NEW UPDATED_OLD ALL_OLD NONE UPDATED_NEW",
    "ScalarAttributeType": "B N S",
    "Select": "SPECIFIC_ATTRIBUTES COUNT ALL_ATTRIBUTES ALL_PROJECTED_ATTRIBUTES",
}

# Members that are checked before the others, in this order.
MEMBER_ORDER = {
    "BatchGetItemInput": ["RequestItems", "ReturnConsumedCapacity"],
    "BatchWriteItemInput": ["ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "RequestItems"],
    "CreateTableInput": [
        "AttributeDefinitions", "TableName", "BillingMode", "ProvisionedThroughput", "KeySchema",
        "GlobalSecondaryIndexes", "LocalSecondaryIndexes",
    ],
    "DeleteItemInput": [
        "ReturnConsumedCapacity", "TableName", "ReturnValues", "ReturnItemCollectionMetrics", "Key",
    ],
    "GetItemInput": ["ReturnConsumedCapacity", "AttributesToGet", "TableName", "Key"],
    "PutItemInput": [
        "ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "ReturnValues", "TableName", "Item",
    ],
    "QueryInput": ["Limit", "ReturnConsumedCapacity", "AttributesToGet", "QueryFilter", "Select"],
    "ScanInput": [
        "Limit", "ReturnConsumedCapacity", "AttributesToGet", "Segment", "Select", "ScanFilter",
        "ConditionalOperator", "TotalSegments", "TableName",
    ],
    "UpdateItemInput": [
        "ReturnConsumedCapacity", "TableName", "ReturnItemCollectionMetrics", "ReturnValues", "Key",
    ],
    "ProvisionedThroughput": ["WriteCapacityUnits", "ReadCapacityUnits"],
}

# Members whose failed constraint is told in the newer wording: `Value at 'Path' failed ...`.
NEWER = {("BatchGetItemInput", "RequestItems"), ("QueryInput", "Limit"), ("KeysAndAttributes", "Keys")}

# Members that, when empty, are told alone and in the newer wording, before all other constraints,
# provided that nothing required is absent.
EMPTY_FIRST = {
    ("PutItemInput", "TableName"), ("UpdateItemInput", "TableName"), ("DeleteItemInput", "TableName"),
}

# The public model omits these; the service enforces them.
REQUIRED = {"CreateTableInput": ["AttributeDefinitions", "KeySchema"]}
# ... and tells the absence of these in other words, before all constraints.
STATED = {
    ("CreateTableInput", "TableName"), ("UpdateTableInput", "TableName"),
    ("DeleteTableInput", "TableName"), ("DescribeTableInput", "TableName"),
}
LIST_MAX = {"KeySchema": 2, "AttributeNameList": 255}
# The service says in words of its own what is wrong with these, so nothing is checked of them here.
UNCHECKED = {"TableClass", "TagKeyString", "TagValueString"}
UNREQUIRED = {("Tag", "Key"), ("Tag", "Value")}
# The key of a global index may have up to eight attributes; the public model has one shape for all.
INDEX_KEYS = ("GlobalSecondaryIndex", "CreateGlobalSecondaryIndexAction")

# These take an ARN alone, and say in words of their own what is wrong with it.
ARN_ONLY = {
    ("ExportTableToPointInTimeInput", "TableArn"), ("ListExportsInput", "TableArn"),
    ("ListImportsInput", "TableArn"),
}

# What the in-process matcher understands: character classes with a quantifier, no groups.
PATTERN = re.compile(r"^(\[[^\]\\]+\](?:[+*]|\{\d+\})?)+$")


def pattern(shape):
    text = shape.get("pattern")
    if text is None or " " in text or not PATTERN.match(text):
        return "-"
    return text


def bounds(shape, name=""):
    low = shape.get("min", "-")
    high = shape.get("max", LIST_MAX.get(name, "-"))
    return f"{low} {high}"


def is_value(shapes, name):
    return name == "AttributeValue"


def lines_of(shapes, name):
    shape = shapes[name]
    kind = shape["type"]
    if name == "AttributeValue":
        return [f"value {name}"]
    if name == "TableArn":
        return [f"table {name}"]
    if name in UNCHECKED:
        return [f"string {name} - - -"]
    if kind == "string" and "enum" in shape:
        values = ENUM_ORDER.get(name, " ".join(shape["enum"])).split()
        assert sorted(values) == sorted(shape["enum"]), name
        return [f"enum {name} {' '.join(values)}"]
    if kind == "string":
        return [f"string {name} {bounds(shape)} {pattern(shape)}"]
    if kind in ("integer", "long"):
        return [f"{kind} {name} {bounds(shape)}"]
    if kind in ("boolean", "double", "timestamp", "blob"):
        return [f"{kind} {name}"]
    if kind == "list":
        return [f"list {name} {shape['member']['shape']} {bounds(shape, name)}"]
    if kind == "map" and is_value(shapes, shape["value"]["shape"]):
        return [f"item {name}"]
    if kind == "map":
        return [f"map {name} {shape['key']['shape']} {shape['value']['shape']} {bounds(shape)}"]
    assert kind == "structure", kind
    members = list(shape["members"])
    first = MEMBER_ORDER.get(name, [])
    members = first + [m for m in members if m not in first]
    required = set(shape.get("required", [])) | set(REQUIRED.get(name, []))
    out = [f"structure {name}"]
    for member in members:
        flags = ""
        if member in required and (name, member) not in UNREQUIRED:
            flags += " stated" if (name, member) in STATED else " required"
        if (name, member) in NEWER:
            flags += " newer"
        if (name, member) in EMPTY_FIRST:
            flags += " empty-first"
        target = shape["members"][member]["shape"]
        if name in INDEX_KEYS and member == "KeySchema":
            target = "IndexKeySchema"
        if (name, member) in ARN_ONLY:
            target = "ResourceArnString"
        out.append(f"  {member} {target}{flags}")
    return out


def reach(shapes, name, seen):
    if name in seen:
        return
    seen[name] = True
    if name == "AttributeValue":
        return
    shape = shapes[name]
    for member in shape.get("members", {}).values():
        reach(shapes, member["shape"], seen)
    for part in ("member", "key", "value"):
        if part in shape:
            reach(shapes, shape[part]["shape"], seen)


def main():
    data = pathlib.Path(sys.argv[1])
    print("# Request shapes of DynamoDB, derived by derive.py; do not edit by hand.")
    written = {}
    for service, version in SERVICES:
        path = data / service / version / "service-2.json.gz"
        model = json.load(gzip.open(path))
        for operation, spec in sorted(model["operations"].items()):
            shape = spec["input"]["shape"]
            seen = {}
            reach(model["shapes"], shape, seen)
            for name in sorted(seen):
                text = "\n".join(lines_of(model["shapes"], name))
                assert written.setdefault(name, text) == text, name
            print(f"operation {operation} {shape}")
    written["IndexKeySchema"] = "list IndexKeySchema KeySchemaElement 1 -"
    for name in sorted(written):
        print(written[name])


main()
