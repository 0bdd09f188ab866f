'use strict';
// A group member whose library hands messages to a callback: poll takes what came since.

const { sleep } = require('./suite');

class Member {
  #came = [];
  #next = new Map();

  /** `assigned` tells how many partitions the consumer has. */
  constructor(consumer, topic, assigned) {
    this.consumer = consumer;
    this.topic = topic;
    this.assigned = assigned;
  }

  async start(subscription) {
    await this.consumer.connect();
    await this.consumer.subscribe(subscription);
    await this.consumer.run({
      eachMessage: async ({ partition, message }) => {
        this.#came.push({ partition, offset: Number(message.offset), value: message.value.toString() });
      },
    });
    return this;
  }

  async poll(ms) {
    if (this.#came.length === 0) await sleep(ms);
    const records = this.#came;
    this.#came = [];
    for (const { partition, offset } of records) this.#next.set(partition, offset + 1);
    return records;
  }

  async commit() {
    const offsets = [...this.#next].map(([partition, next]) => ({ topic: this.topic, partition, offset: `${next}` }));
    await this.consumer.commitOffsets(offsets);
    this.#next.clear();
  }

  async leave() {
    await this.consumer.disconnect();
  }
}

module.exports = { Member };
