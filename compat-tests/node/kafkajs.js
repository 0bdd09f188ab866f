'use strict';
// kafkajs.

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = require('kafkajs');
const snappy = require('kafkajs-snappy');
const lz4 = require('lz4js');
const { ZstdCodec } = require('zstd-codec');
const { Member } = require('./member');
const { check } = require('./suite');

// The codec that kafkajs itself has is gzip. For snappy this is the package that its documentation names; those for lz4 and
// zstd are native modules of years ago, in whose place stand modules that need no build.
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => Buffer.from(lz4.compress(buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});
const zstd = new Promise((resolve) => ZstdCodec.run(({ Simple }) => resolve(new Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async ({ buffer }) => Buffer.from((await zstd).compress(buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});

const COMPRESSION = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

class KafkaJs {
  codecs = Object.keys(COMPRESSION);
  altersTopics = true;

  constructor(bootstrap) {
    const retry = { retries: 100, initialRetryTime: 50, maxRetryTime: 300 };
    this.kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry });
    this.admin = this.kafka.admin();
    this.producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  }

  async connect() {
    await this.admin.connect();
    await this.producer.connect();
  }

  async send(topic, partitions, codec, values) {
    const messages = values.map((value, n) => ({ value, partition: n % partitions }));
    await this.producer.send({ topic, messages, acks: -1, compression: COMPRESSION[codec] });
  }

  async join(groupId, topic) {
    const consumer = this.kafka.consumer({ groupId, heartbeatInterval: 200, maxWaitTimeInMs: 100 });
    // Commits are left to the cases.
    const run = consumer.run;
    consumer.run = (options) => run({ ...options, autoCommit: false });
    let assigned = 0;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      assigned = payload.memberAssignment[topic]?.length ?? 0;
    });
    return new Member(consumer, topic, () => assigned).start({ topic, fromBeginning: true });
  }

  async createTopic(topic, numPartitions, configs) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
    const made = await this.admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: false });
    check(made, 'the topic exists');
  }

  async partitions(topic) {
    if (!(await this.admin.listTopics()).includes(topic)) return 0;
    return (await this.admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
  }

  async addPartitions(topic, count) {
    await this.admin.createPartitions({ topicPartitions: [{ topic, count }] });
  }

  async topicConfig(name, key) {
    const wanted = { type: ConfigResourceTypes.TOPIC, name, configNames: [key] };
    const { resources } = await this.admin.describeConfigs({ resources: [wanted], includeSynonyms: false });
    return resources[0].configEntries[0].configValue;
  }

  async setTopicConfig(name, key, value) {
    const change = { type: ConfigResourceTypes.TOPIC, name, configEntries: [{ name: key, value }] };
    await this.admin.alterConfigs({ resources: [change] });
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
    return [state, members.length];
  }

  async committed(groupId, topic) {
    const [{ partitions }] = await this.admin.fetchOffsets({ groupId, topics: [topic] });
    return Object.fromEntries(partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  }

  async deleteGroup(group) {
    await this.admin.deleteGroups([group]);
  }
}

module.exports = { KafkaJs };
