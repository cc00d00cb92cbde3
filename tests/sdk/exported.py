"""Reads an export as AWS documents its files, and checks what its manifests say of them. Knows nothing
of the program that wrote it.

Usage: exported.py FOLDER_OF_BUCKET KEY_OF_MANIFEST_SUMMARY
"""

import base64
import gzip
import hashlib
import json
import pathlib
import sys

FULL = {
    "version", "exportArn", "startTime", "endTime", "tableArn", "tableId", "exportTime", "s3Bucket",
    "s3Prefix", "s3SseAlgorithm", "s3SseKmsKeyId", "manifestFilesS3Key", "billedSizeBytes",
    "itemCount", "outputFormat",
}
INCREMENTAL = (FULL - {"exportTime"}) | {"exportFromTime", "exportToTime", "outputView", "exportType"}


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def read(bucket, key):
    return pathlib.Path(bucket, key).read_bytes()


def checked(bucket, key):
    """An object whose checksum lies beside it."""
    data = read(bucket, key)
    beside = key.removesuffix(".json") + ".checksum"
    assert read(bucket, beside).decode().strip() == md5(data), f"{beside} is not of {key}"
    return data


def read_export(bucket, key):
    """The summary of an export and all lines of its data files."""
    summary = json.loads(checked(bucket, key))
    is_full = summary["version"] == "2020-06-30"
    wanted = FULL if is_full else INCREMENTAL
    assert is_full or summary["version"] == "2023-08-01", summary
    assert not wanted - summary.keys(), wanted - summary.keys()
    assert summary["outputFormat"] == "DYNAMODB_JSON", summary
    folder = key.rpartition("/")[0]
    assert read(bucket, f"{folder}/_started") == b""
    assert summary["manifestFilesS3Key"] == f"{folder}/manifest-files.json"
    data_folder = f"{folder}/data/" if is_full else folder.rpartition("/")[0] + "/data/"
    lines = []
    for entry in checked(bucket, summary["manifestFilesS3Key"]).splitlines():
        file = json.loads(entry)
        name = file["dataFileS3Key"]
        assert name.startswith(data_folder) and name.endswith(".json.gz"), name
        data = read(bucket, name)
        assert file["md5Checksum"] == md5(data), name
        parts = hashlib.md5(hashlib.md5(data).digest()).hexdigest()
        assert file["etag"] == f"{parts}-1", name
        found = [json.loads(line) for line in gzip.decompress(data).splitlines()]
        assert file["itemCount"] == len(found), name
        lines += found
    assert summary["itemCount"] == len(lines), summary
    members = {"Item"} if is_full else {"Metadata", "Keys", "OldImage", "NewImage"}
    assert all(line.keys() <= members for line in lines)
    return summary, lines


if __name__ == "__main__":
    found, rows = read_export(*sys.argv[1:])
    print(found["exportArn"], len(rows))
