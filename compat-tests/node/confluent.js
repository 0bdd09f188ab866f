'use strict';
// @confluentinc/kafka-javascript: librdkafka, in either group protocol.

const { KafkaJS } = require('@confluentinc/kafka-javascript');
const { Member } = require('./member');
const { check } = require('./suite');

const { ConsumerGroupStates, Kafka, logLevel } = KafkaJS;

class Confluent {
  codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
  // Its admin client adds no partitions and knows no configurations.
  altersTopics = false;
  #producers = new Map();

  constructor(bootstrap, groupProtocol) {
    this.groupProtocol = groupProtocol;
    this.kafka = new Kafka({
      'bootstrap.servers': bootstrap,
      'broker.address.family': 'v4',
      'reconnect.backoff.max.ms': 500,
      log_level: 0,
    });
    this.admin = this.kafka.admin();
  }

  async connect() {
    await this.admin.connect();
  }

  async #producer(codec) {
    if (!this.#producers.has(codec)) {
      const settings = { 'compression.codec': codec, 'enable.idempotence': true, 'linger.ms': 2 };
      const producer = this.kafka.producer(settings);
      producer.logger().setLogLevel(logLevel.NOTHING);
      await producer.connect();
      this.#producers.set(codec, producer);
    }
    return this.#producers.get(codec);
  }

  async send(topic, partitions, codec, values) {
    const producer = await this.#producer(codec);
    await producer.send({ topic, messages: values.map((value, n) => ({ value, partition: n % partitions })) });
  }

  async join(group, topic) {
    const consumer = this.kafka.consumer({
      'group.id': group,
      'group.protocol': this.groupProtocol,
      'auto.offset.reset': 'earliest',
      'enable.auto.commit': false,
      'fetch.wait.max.ms': 100,
      ...(this.groupProtocol === 'classic' && { 'heartbeat.interval.ms': 200 }),
    });
    consumer.logger().setLogLevel(logLevel.NOTHING);
    return new Member(consumer, topic, () => consumer.assignment().length).start({ topic });
  }

  async createTopic(topic, numPartitions, configs) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
    const made = await this.admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] });
    check(made, 'the topic exists');
  }

  async partitions(topic) {
    if (!(await this.admin.listTopics()).includes(topic)) return 0;
    return (await this.admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length;
  }

  async spans(topic) {
    const found = await this.admin.fetchTopicOffsets(topic);
    return Object.fromEntries(found.map(({ partition, low, high }) => [partition, [Number(low), Number(high)]]));
  }

  async deleteTopic(topic) {
    await this.admin.deleteTopics({ topics: [topic] });
  }

  async groups() {
    return (await this.admin.listGroups()).groups.map(({ groupId }) => groupId);
  }

  async group(group) {
    const { state, members } = (await this.admin.describeGroups([group])).groups[0];
    const names = { [ConsumerGroupStates.STABLE]: 'Stable', [ConsumerGroupStates.EMPTY]: 'Empty' };
    return [names[state] ?? state, members.length];
  }

  async committed(groupId, topic) {
    const [{ partitions }] = await this.admin.fetchOffsets({ groupId, topics: [topic] });
    return Object.fromEntries(partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  }

  async deleteGroup(group) {
    await this.admin.deleteGroups([group]);
  }
}

module.exports = { Confluent };
