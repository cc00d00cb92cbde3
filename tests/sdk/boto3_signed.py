"""Unmodified boto3 against a node that knows its access keys: listed ones, temporary ones, others.

Usage: boto3_signed.py ENDPOINT
"""

import datetime
import sys
from unittest import mock

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LISTED = ("AKIDMERIDIAN", "a/secret+key", None)
TEMPORARY = ("ASIDMERIDIAN", "another", "token==")


def connect(endpoint, keys, region="us-east-1"):
    key, secret, token = keys
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def refused(client):
    """The name of the error that a call answers."""
    try:
        client.list_tables()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return error.response["Error"]["Code"]
    raise AssertionError("the call was served")


def main():
    endpoint = sys.argv[1]
    for keys in (LISTED, TEMPORARY):
        assert connect(endpoint, keys).list_tables()["TableNames"] == []
    others = {
        "InvalidSignatureException": [(LISTED[0], "wrong", None), (TEMPORARY[0], LISTED[1], "token==")],
        "UnrecognizedClientException": [
            ("AKIDNOBODY", "any", None),
            (TEMPORARY[0], TEMPORARY[1], None),
            (TEMPORARY[0], TEMPORARY[1], "other"),
        ],
    }
    for name, keys in others.items():
        for one in keys:
            found = refused(connect(endpoint, one))
            assert found == name, (one, found)
    # A scope of a region that the cluster does not have.
    assert refused(connect(endpoint, LISTED, "mars-1")) == "InvalidSignatureException"
    late = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=16)
    with mock.patch("botocore.auth.get_current_datetime", lambda: late.replace(tzinfo=None)):
        assert refused(connect(endpoint, LISTED)) == "InvalidSignatureException"
    print("1 passed, 0 failed")


main()
