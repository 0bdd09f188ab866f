'use strict';
// The cases, which are the same for each library.
//
// A library is an object with these methods, all async: codecs (a list), connect(), send(topic, partitions, codec,
// values), join(group, topic) -> member, createTopic(topic, partitions, configs), partitions(topic), spans(topic) ->
// {partition: [start, end]}, deleteTopic(topic), groups(), group(group) -> [state, members], committed(group, topic) ->
// {partition: offset}, deleteGroup(group); and addPartitions(topic, total), topicConfig(topic, key),
// setTopicConfig(topic, key, value) where it alters topics.
// A member begins at the first record and commits only when told to: poll(ms) -> records, assigned() -> number of
// partitions, commit(), leave().

const { broker, check, eventually, fails, same } = require('./suite');

function numbered(begin, end) {
  return Array.from({ length: end - begin }, (_, n) => `a value that compresses, number ${begin + n}`);
}

/** What members of a group read. */
class Reading {
  seen = new Map();
  next = new Map();

  /** Polls the members in turn until every value was seen; no partition may skip an offset. */
  async until(values, ...members) {
    await eventually(`all of ${values.length} values`, async () => {
      for (const member of members) {
        for (const { partition, offset, value } of await member.poll(20)) {
          this.seen.set(value, (this.seen.get(value) ?? 0) + 1);
          const expected = this.next.get(partition) ?? offset;
          check(offset <= expected, `partition ${partition} goes from ${expected} to ${offset}`);
          this.next.set(partition, Math.max(expected, offset + 1));
        }
      }
      return values.every((value) => this.seen.has(value));
    });
  }

  onlyOnce() {
    for (const [value, times] of this.seen) same(1, times, value);
  }
}

/** Polls until the members have these numbers of partitions. */
async function share(members, expected) {
  await eventually(`the shares ${expected}`, async () => {
    for (const member of members) same([], await member.poll(20), 'records while none is new');
    const found = members.map((member) => member.assigned()).sort();
    return JSON.stringify(found) === JSON.stringify(expected);
  });
}

class Cases {
  constructor(client, prefix) {
    this.client = client;
    this.prefix = prefix;
  }

  async topic(name, partitions) {
    const topic = `${this.prefix}-${name}`;
    await this.client.createTopic(topic, partitions, {});
    await eventually(`the topic ${topic}`, async () => (await this.client.partitions(topic)) === partitions);
    return topic;
  }

  async codecs() {
    for (const codec of this.client.codecs) {
      const topic = await this.topic(`codec-${codec}`, 1);
      const values = numbered(0, 300);
      await this.client.send(topic, 1, codec, values);
      const reader = await this.client.join(`${this.prefix}-codec-${codec}`, topic);
      const read = new Reading();
      await read.until(values, reader);
      read.onlyOnce();
      await reader.leave();
    }
  }

  /**
   * One member has all, a second takes half, the second leaves, the first has all again. Each commits what it read
   * before a change, so nothing comes twice.
   */
  async rebalance() {
    const topic = await this.topic('rebalance', 4);
    const group = `${this.prefix}-rebalance`;
    const [values, read] = [numbered(0, 240), new Reading()];
    await this.client.send(topic, 4, 'none', values.slice(0, 80));
    const first = await this.client.join(group, topic);
    await read.until(values.slice(0, 80), first);
    await first.commit();
    await share([first], [4]);

    const second = await this.client.join(group, topic);
    await share([first, second], [2, 2]);
    await this.client.send(topic, 4, 'none', values.slice(80, 160));
    await read.until(values.slice(80, 160), first, second);
    await first.commit();
    await second.commit();

    await second.leave();
    await share([first], [4]);
    await this.client.send(topic, 4, 'none', values.slice(160));
    await read.until(values, first);
    read.onlyOnce();
    await first.commit();
    await first.leave();
    same({ 0: 60, 1: 60, 2: 60, 3: 60 }, await this.client.committed(group, topic), 'committed');
  }

  /** Who comes later goes on after what was committed, and sees again what was not. */
  async commits() {
    const topic = await this.topic('commits', 1);
    const group = `${this.prefix}-commits`;
    const values = numbered(0, 30);
    const readOnce = async (wanted) => {
      await this.client.send(topic, 1, 'none', wanted);
      const [reader, read] = [await this.client.join(group, topic), new Reading()];
      await read.until(wanted, reader);
      read.onlyOnce();
      same(wanted.length, read.seen.size, 'values read');
      return reader;
    };
    const first = await readOnce(values.slice(0, 10));
    await first.commit();
    same({ 0: 10 }, await this.client.committed(group, topic), 'the first commit');
    await first.leave();
    await (await readOnce(values.slice(10, 20))).leave();
    same({ 0: 10 }, await this.client.committed(group, topic), 'after a member that did not commit');

    const [third, again] = [await this.client.join(group, topic), new Reading()];
    await again.until(values.slice(10, 20), third);
    same(10, again.seen.size, 'values that were not committed');
    await third.commit();
    await third.leave();
    same({ 0: 20 }, await this.client.committed(group, topic), 'the second commit');
  }

  async adminTopics() {
    const { client } = this;
    const topic = `${this.prefix}-topics`;
    await client.createTopic(topic, 3, { 'retention.ms': '77777' });
    await eventually('three partitions', async () => (await client.partitions(topic)) === 3);
    await fails('a topic is created twice', () => client.createTopic(topic, 3, {}));
    let partitions = 3;
    if (client.altersTopics) {
      same('77777', await client.topicConfig(topic, 'retention.ms'), 'retention.ms');
      await client.setTopicConfig(topic, 'retention.ms', '88888');
      const changed = async () => (await client.topicConfig(topic, 'retention.ms')) === '88888';
      await eventually('the changed config', changed);
      partitions = 5;
      await client.addPartitions(topic, partitions);
      await eventually('five partitions', async () => (await client.partitions(topic)) === 5);
    }
    await client.send(topic, partitions, 'none', numbered(0, 2 * partitions));
    const spans = Object.values(await client.spans(topic));
    same(partitions, spans.length, 'partitions with offsets');
    // kafkajs sends all partitions again when one that was just added has no leader yet.
    for (const [low, high] of spans) check(low === 0 && high >= 2, `offsets ${low} to ${high}`);
    await client.deleteTopic(topic);
    await eventually('no topic', async () => (await client.partitions(topic)) === 0);
  }

  async adminGroups() {
    const { client } = this;
    const [topic, group] = [await this.topic('groups', 2), `${this.prefix}-groups`];
    const values = numbered(0, 10);
    await client.send(topic, 2, 'none', values);
    const reader = await client.join(group, topic);
    await new Reading().until(values, reader);
    await reader.commit();
    check((await client.groups()).includes(group), 'the group is not listed');
    same(['Stable', 1], await client.group(group), 'the group');
    same({ 0: 5, 1: 5 }, await client.committed(group, topic), 'committed');
    await fails('a group with a member is deleted', () => client.deleteGroup(group));
    await reader.leave();
    const empty = async () => JSON.stringify(await client.group(group)) === '["Empty",0]';
    await eventually('an empty group', empty);
    await client.deleteGroup(group);
    check(!(await client.groups()).includes(group), 'the deleted group is listed');
  }

  /**
   * The broker stops in the midst of producing and consuming. Nothing that was acknowledged is lost, the consumer goes
   * on in its group, and its commits hold.
   */
  async stopped(order) {
    const [topic, group] = [await this.topic(order, 2), `${this.prefix}-${order}`];
    const [values, read] = [numbered(0, 3000), new Reading()];
    await this.client.send(topic, 2, 'none', values.slice(0, 1000));
    const reader = await this.client.join(group, topic);
    await read.until(values.slice(0, 1000), reader);
    await reader.commit();
    const send = async () => {
      for (let begin = 1000; begin < 3000; begin += 100) {
        await this.client.send(topic, 2, 'none', values.slice(begin, begin + 100));
      }
    };
    const sent = send().then(() => null, (reason) => reason);
    await read.until(values.slice(0, 1200), reader);
    await broker(order);
    await read.until(values, reader);
    same(null, await sent, 'failure to send');
    await eventually('a commit after the stop', async () => {
      await reader.poll(20);
      try {
        await reader.commit();
        const committed = await this.client.committed(group, topic);
        return committed[0] >= 1500 && committed[1] >= 1500;
      } catch {
        // A connection that the stop cut, or a rebalance after it, may cost an attempt.
        return false;
      }
    });
    await reader.leave();
  }

  byName() {
    return {
      codecs: () => this.codecs(),
      rebalance: () => this.rebalance(),
      commits: () => this.commits(),
      'admin-topics': () => this.adminTopics(),
      'admin-groups': () => this.adminGroups(),
      kill: () => this.stopped('kill'),
      restart: () => this.stopped('restart'),
    };
  }
}

module.exports = { Cases };
