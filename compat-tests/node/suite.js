'use strict';
// Runs named cases and says of each how it went; the test that started the program reads it (src/suite.rs).

const readline = require('node:readline');

// How long anything may take before a case fails.
const DEADLINE_MS = 120_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function same(expected, found, what) {
  const [left, right] = [JSON.stringify(expected), JSON.stringify(found)];
  check(left === right, `${what}: expected ${left}, found ${right}`);
}

/** Polls until the condition holds. */
async function eventually(what, condition) {
  const end = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    check(Date.now() < end, `never: ${what}`);
    await sleep(10);
  }
}

/** The action must be refused, by whatever error the library has for it. */
async function fails(what, action) {
  try {
    await action();
  } catch {
    return;
  }
  throw new Error(`not refused: ${what}`);
}

async function run(name, body) {
  try {
    await body();
  } catch (reason) {
    console.error(reason);
    console.log(`${name} FAILED ${reason}`.replaceAll('\n', ' '));
    return false;
  }
  console.log(`${name} ok`);
  return true;
}

const answers = readline.createInterface({ input: process.stdin });

/** Has the test stop the broker ("kill" or "restart") and returns when it is back. */
function broker(order) {
  return new Promise((resolve) => {
    answers.once('line', resolve);
    console.log(`broker ${order}`);
  });
}

module.exports = { DEADLINE_MS, broker, check, eventually, fails, run, same, sleep };
