// The unmodified AWS SDK for JavaScript v3 with lib-dynamodb: a table's life, items, pages,
// batches, transactions, statements, a stream.
// Usage: node lib_dynamodb.mjs ENDPOINT
import assert from "node:assert/strict";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListStreamsCommand,
} from "@aws-sdk/client-dynamodb-streams";
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  ExecuteStatementCommand,
  GetCommand,
  paginateQuery,
  paginateScan,
  PutCommand,
  QueryCommand,
  TransactGetCommand,
  TransactWriteCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { settings, until } from "./waiting.mjs";

const [endpoint] = process.argv.slice(2);
const client = new DynamoDBClient(settings(endpoint));
const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
const TableName = `readings-${Date.now()}-${process.pid}`;
const send = (Command, input) => documents.send(new Command({ TableName, ...input }));

await client.send(
  new CreateTableCommand({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [
      { AttributeName: "sensor", AttributeType: "S" },
      { AttributeName: "at", AttributeType: "N" },
      { AttributeName: "room", AttributeType: "S" },
    ],
    KeySchema: [
      { AttributeName: "sensor", KeyType: "HASH" },
      { AttributeName: "at", KeyType: "RANGE" },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: "by-room",
        KeySchema: [
          { AttributeName: "room", KeyType: "HASH" },
          { AttributeName: "at", KeyType: "RANGE" },
        ],
        Projection: { ProjectionType: "ALL" },
      },
    ],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_IMAGE" },
  }),
);
await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });

const reading = {
  sensor: "s0",
  at: 0,
  room: "hall",
  values: [1.5, -2, 9007199254740991],
  seen: new Set(["a", "b"]),
  raw: new Uint8Array([0, 255]),
  ok: true,
  nothing: null,
  nested: { deep: [{ er: "ü" }], absent: undefined },
};
await send(PutCommand, { Item: reading });
const { Item } = await send(GetCommand, { Key: { sensor: "s0", at: 0 }, ConsistentRead: true });
delete reading.nested.absent;
assert.deepEqual({ ...Item, raw: [...Item.raw] }, { ...reading, raw: [...reading.raw] });

const puts = Array.from({ length: 25 }, (_, at) => ({
  PutRequest: { Item: { sensor: "s1", at, room: at % 2 ? "odd" : "even" } },
}));
const written = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
assert.deepEqual(written.UnprocessedItems, {});
const Keys = [3, 4, 99].map((at) => ({ sensor: "s1", at }));
const got = await documents.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys, ConsistentRead: true } } }));
assert.equal(got.Responses[TableName].length, 2);

const updated = await send(UpdateCommand, {
  Key: { sensor: "s1", at: 3 },
  UpdateExpression: "SET #r = list_append(if_not_exists(#r, :none), :more) REMOVE absent",
  ExpressionAttributeNames: { "#r": "remarks" },
  ExpressionAttributeValues: { ":none": [], ":more": ["warm"] },
  ReturnValues: "ALL_NEW",
});
assert.deepEqual(updated.Attributes.remarks, ["warm"]);
await assert.rejects(
  send(PutCommand, { Item: { sensor: "s1", at: 3 }, ConditionExpression: "attribute_not_exists(sensor)" }),
  { name: "ConditionalCheckFailedException" },
);

const query = {
  TableName,
  ConsistentRead: true,
  KeyConditionExpression: "sensor = :s AND #at BETWEEN :from AND :to",
  ExpressionAttributeNames: { "#at": "at" },
  ExpressionAttributeValues: { ":s": "s1", ":from": 5, ":to": 20 },
  ScanIndexForward: false,
};
const seen = [];
for await (const page of paginateQuery({ client: documents, pageSize: 3 }, query)) {
  seen.push(...page.Items.map((item) => item.at));
}
assert.deepEqual(seen, Array.from({ length: 16 }, (_, n) => 20 - n));
let scanned = 0;
const all = { TableName, ConsistentRead: true };
for await (const page of paginateScan({ client: documents, pageSize: 4 }, all)) scanned += page.Count;
assert.equal(scanned, 26);
await until("the index has all", async () => {
  const page = await send(QueryCommand, {
    IndexName: "by-room",
    KeyConditionExpression: "room = :r",
    ExpressionAttributeValues: { ":r": "odd" },
  });
  return page.Count === 12;
});

const Put = (at, more) => ({ Put: { TableName, Item: { sensor: "s2", at }, ...more } });
await documents.send(new TransactWriteCommand({ TransactItems: [Put(1), Put(2)] }));
const cancelled = await documents
  .send(
    new TransactWriteCommand({
      TransactItems: [Put(3), Put(1, { ConditionExpression: "attribute_not_exists(sensor)" })],
    }),
  )
  .then(() => assert.fail("the condition holds"), (error) => error);
assert.equal(cancelled.name, "TransactionCanceledException");
assert.deepEqual(cancelled.CancellationReasons.map((reason) => reason.Code), ["None", "ConditionalCheckFailed"]);
const Get = (at) => ({ Get: { TableName, Key: { sensor: "s2", at } } });
const both = await documents.send(new TransactGetCommand({ TransactItems: [Get(1), Get(3)] }));
assert.deepEqual(both.Responses.map((one) => one.Item?.at), [1, undefined]);

const selected = await documents.send(
  new ExecuteStatementCommand({
    Statement: `SELECT * FROM "${TableName}" WHERE sensor = ? AND "at" >= ?`,
    Parameters: ["s2", 2],
    ConsistentRead: true,
  }),
);
assert.deepEqual(selected.Items, [{ sensor: "s2", at: 2 }]);
const { Attributes } = await send(DeleteCommand, { Key: { sensor: "s2", at: 2 }, ReturnValues: "ALL_OLD" });
assert.equal(Attributes.at, 2);

const streams = new DynamoDBStreamsClient(settings(endpoint));
const { Streams } = await streams.send(new ListStreamsCommand({ TableName }));
const { StreamArn } = Streams[0];
const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
const told = [];
for (const { ShardId } of StreamDescription.Shards) {
  const start = { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator } = await streams.send(new GetShardIteratorCommand(start));
  for (;;) {
    const page = await streams.send(new GetRecordsCommand({ ShardIterator }));
    if (page.Records.length === 0) break;
    told.push(...page.Records);
    ShardIterator = page.NextShardIterator;
  }
}
// 26 puts, an update, two in a transaction, a delete.
assert.equal(told.length, 30);
assert.equal(told.filter((record) => record.eventName === "REMOVE").length, 1);

await client.send(new DeleteTableCommand({ TableName }));
await waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
console.log("1 passed, 0 failed");
