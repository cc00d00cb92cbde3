// What the journeys in JavaScript have in common.
import { setTimeout as sleep } from "node:timers/promises";

const CONVERGENCE_MS = 20_000;

export async function until(what, holds) {
  const deadline = Date.now() + CONVERGENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await sleep(100);
  }
}

export function settings(endpoint) {
  return { endpoint, region: "us-east-1", maxAttempts: 1 };
}
