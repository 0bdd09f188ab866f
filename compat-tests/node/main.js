'use strict';
// Unmodified Node clients against one broker: main.js LIBRARY HOST:PORT CASE...

const { Cases } = require('./cases');
const { run } = require('./suite');

/** Each library is loaded only where it is tested. */
function library(name, bootstrap) {
  if (name === 'kafkajs') {
    const { KafkaJs } = require('./kafkajs');
    return new KafkaJs(bootstrap);
  }
  const protocols = { 'kafka-javascript': 'classic', 'kafka-javascript-consumer': 'consumer' };
  const { Confluent } = require('./confluent');
  return new Confluent(bootstrap, protocols[name]);
}

async function main(name, bootstrap, ...wanted) {
  const client = library(name, bootstrap);
  await client.connect();
  const cases = new Cases(client, name).byName();
  let passed = true;
  for (const wish of wanted) {
    const body = cases[wish] ?? (() => Promise.reject(new Error(`there are ${Object.keys(cases)}`)));
    passed = (await run(wish, body)) && passed;
  }
  // Connections of the clients are no reason to stay.
  process.exit(passed ? 0 : 1);
}

main(...process.argv.slice(2)).catch((reason) => {
  console.error(reason);
  process.exit(1);
});
