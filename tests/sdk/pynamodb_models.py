"""Unmodified PynamoDB: models, conditions, indexes, batches, transactions.

Usage: pynamodb_models.py ENDPOINT
"""

import sys
import time

from pynamodb.attributes import (
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import PutError, TransactWriteError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from waiting import until

[ENDPOINT] = sys.argv[1:]


class ByViews(LocalSecondaryIndex):
    class Meta:
        index_name = "by-views"
        projection = AllProjection()

    forum = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class ByAuthor(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-author"
        projection = AllProjection()

    author = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class Post(MapAttribute):
    text = UnicodeAttribute()
    likes = NumberAttribute(default=0)


class Thread(Model):
    class Meta:
        table_name = f"threads-{time.monotonic_ns()}"
        host = ENDPOINT
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    author = UnicodeAttribute(null=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    posts = ListAttribute(of=Post, default=list)
    version = VersionAttribute()
    by_views = ByViews()
    by_author = ByAuthor()


def thread(n):
    return Thread("rust", f"s{n:02}", author=f"a{n % 3}", views=n, posts=[Post(text=f"p{n}")])


Thread.create_table(wait=True)
assert Thread.exists()
with Thread.batch_write() as batch:
    for n in range(30):
        batch.save(thread(n))
# A batch writes no versions; these two begin to have one.
for n in (5, 6):
    thread(n).save()

one = Thread.get("rust", "s04", consistent_read=True)
assert (one.author, one.views, one.posts[0].text) == ("a1", 4, "p4")
one.update(actions=[Thread.views.add(100), Thread.tags.set({"hot"}), Thread.posts[0].likes.set(1)])
assert one.views == 104 and one.version == 1 and one.posts[0].likes == 1, one.attribute_values
try:
    thread(4).save()
    raise AssertionError("an item of an older version was saved over a newer one")
except PutError as error:
    assert error.cause_response_code == "ConditionalCheckFailedException", error

found = list(Thread.query("rust", Thread.subject.between("s10", "s19"), Thread.views > 15, page_size=3, consistent_read=True))
assert [t.views for t in found] == [16, 17, 18, 19]
most = next(iter(Thread.by_views.query("rust", scan_index_forward=False, consistent_read=True, limit=1)))
assert most.views == 104
until("the index has all", lambda: len(list(Thread.by_author.query("a1"))) == 10)
assert Thread.count("rust", filter_condition=Thread.tags.contains("hot"), consistent_read=True) == 1
keys = [("rust", f"s{n:02}") for n in range(30)]
assert len(list(Thread.batch_get(keys, consistent_read=True))) == 30
assert sum(1 for _ in Thread.scan(page_size=7, consistent_read=True)) == 30

connection = Connection(host=ENDPOINT, region="us-east-1")
with TransactWrite(connection=connection) as transaction:
    transaction.save(Thread("go", "new"))
    transaction.update(Thread("rust", "s05", version=1), actions=[Thread.views.set(7)])
    transaction.delete(Thread("rust", "s06", version=1))
with TransactGet(connection=connection) as transaction:
    changed = transaction.get(Thread, "rust", "s05")
    made = transaction.get(Thread, "go", "new")
assert changed.get().views == 7 and made.get().version == 1
try:
    with TransactWrite(connection=connection) as transaction:
        transaction.condition_check(Thread, "rust", "s06", condition=Thread.subject.exists())
        transaction.delete(Thread("go", "new", version=1))
    raise AssertionError("the condition holds")
except TransactWriteError as error:
    assert error.cancellation_reasons[0].code == "ConditionalCheckFailed", error
Thread.get("go", "new", consistent_read=True)

Thread.delete_table()
until("the table is gone", lambda: not Thread.exists())
print("1 passed, 0 failed")
