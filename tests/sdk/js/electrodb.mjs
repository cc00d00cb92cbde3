// Unmodified ElectroDB: two entities and their service in a single table.
// Usage: node electrodb.mjs ENDPOINT
import assert from "node:assert/strict";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { Entity, Service } from "electrodb";
import { settings, until } from "./waiting.mjs";

const [endpoint] = process.argv.slice(2);
const client = new DynamoDBClient(settings(endpoint));
const table = `single-${Date.now()}-${process.pid}`;
const S = (...names) => names.map((AttributeName) => ({ AttributeName, AttributeType: "S" }));
const keys = (hash, range) => [
  { AttributeName: hash, KeyType: "HASH" },
  { AttributeName: range, KeyType: "RANGE" },
];
await client.send(
  new CreateTableCommand({
    TableName: table,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: S("pk", "sk", "gsi1pk", "gsi1sk"),
    KeySchema: keys("pk", "sk"),
    GlobalSecondaryIndexes: [
      { IndexName: "gsi1", KeySchema: keys("gsi1pk", "gsi1sk"), Projection: { ProjectionType: "ALL" } },
    ],
  }),
);
await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName: table });

const model = (entity) => ({ entity, version: "1", service: "work" });
const index = (pk, sk, more) => ({ pk: { field: "pk", composite: pk }, sk: { field: "sk", composite: sk }, ...more });
const byTeam = (sk) => ({
  index: "gsi1",
  collection: "team",
  pk: { field: "gsi1pk", composite: ["team"] },
  sk: { field: "gsi1sk", composite: sk },
});
const Employee = new Entity(
  {
    model: model("employee"),
    attributes: {
      employee: { type: "string", required: true },
      team: { type: "string", required: true },
      level: { type: "number", default: 1 },
      skills: { type: "set", items: "string" },
      history: { type: "list", items: { type: "map", properties: { what: { type: "string" } } } },
    },
    indexes: { own: index(["employee"], []), team: byTeam(["employee"]) },
  },
  { client, table },
);
const Task = new Entity(
  {
    model: model("task"),
    attributes: {
      task: { type: "string", required: true },
      project: { type: "string", required: true },
      team: { type: "string", required: true },
      status: { type: ["open", "done"], default: "open" },
      points: { type: "number" },
    },
    indexes: { own: index(["project"], ["task"]), team: byTeam(["project", "task"]) },
  },
  { client, table },
);
const work = new Service({ employees: Employee, tasks: Task }, { client, table });

await Employee.create({ employee: "ada", team: "red", skills: ["rust", "raft"] }).go();
await assert.rejects(Employee.create({ employee: "ada", team: "blue" }).go(), /conditional/i);
await Employee.put([
  { employee: "bob", team: "red" },
  { employee: "cyd", team: "blue" },
]).go();
const tasks = Array.from({ length: 30 }, (_, n) => ({
  task: `t${String(n).padStart(2, "0")}`,
  project: n % 2 ? "moon" : "sun",
  team: n % 3 ? "red" : "blue",
  points: n,
}));
await Task.put(tasks).go();

const { data: ada } = await Employee.patch({ employee: "ada" })
  .add({ level: 2, skills: ["paxos"] })
  .append({ history: [{ what: "promoted" }] })
  .go({ response: "all_new" });
assert.equal(ada.level, 3);
assert.deepEqual([...ada.skills].sort(), ["paxos", "raft", "rust"]);
assert.deepEqual(ada.history, [{ what: "promoted" }]);
const { data: moon } = await Task.query
  .own({ project: "moon" })
  .between({ task: "t05" }, { task: "t15" })
  .where(({ points }, { gt }) => gt(points, 7))
  .go({ order: "desc", consistent: true });
assert.deepEqual(moon.map((one) => one.points), [15, 13, 11, 9]);
const first = await Task.query.own({ project: "sun" }).go({ limit: 4, consistent: true });
const second = await Task.query.own({ project: "sun" }).go({ limit: 4, cursor: first.cursor, consistent: true });
assert.deepEqual([...first.data, ...second.data].map((one) => one.points), [0, 2, 4, 6, 8, 10, 12, 14]);
await until("the index has the team", async () => {
  const { data } = await work.collections.team({ team: "red" }).go({ pages: "all" });
  return data.employees.length === 2 && data.tasks.length === 20;
});
const { data: some } = await Task.get([
  { project: "sun", task: "t00" },
  { project: "sun", task: "t01" },
]).go({ consistent: true });
assert.equal(some.length, 1);

const moved = await work.transaction
  .write(({ employees, tasks }) => [
    employees.patch({ employee: "bob" }).set({ level: 5 }).commit(),
    tasks.patch({ project: "moon", task: "t01" }).set({ status: "done" }).commit(),
  ])
  .go();
assert.equal(moved.canceled, false);
const refused = await work.transaction
  .write(({ employees, tasks }) => [
    employees.create({ employee: "bob", team: "red" }).commit(),
    tasks.remove({ project: "moon", task: "t01" }).commit(),
  ])
  .go();
assert.equal(refused.canceled, true);
assert.deepEqual(refused.data.map((one) => one.code), ["ConditionalCheckFailed", "None"]);
const { data: read } = await work.transaction
  .get(({ employees, tasks }) => [
    employees.get({ employee: "bob" }).commit(),
    tasks.get({ project: "moon", task: "t01" }).commit(),
  ])
  .go();
assert.deepEqual([read[0].item.level, read[1].item.status], [5, "done"]);
await Task.delete({ project: "moon", task: "t01" }).go();
assert.equal((await Task.scan.go({ pages: "all", consistent: true })).data.length, 29);

await client.send(new DeleteTableCommand({ TableName: table }));
console.log("1 passed, 0 failed");
