"""confluent-kafka: librdkafka, in either group protocol."""

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from suite import DEADLINE, Record, check


def only(futures):
    """The answer about the one thing that was asked for."""
    (future,) = futures.values()
    return future.result(DEADLINE)


class Confluent:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    deletes_groups = True

    def __init__(self, bootstrap, group_protocol):
        self.common = {"bootstrap.servers": bootstrap, "broker.address.family": "v4", "reconnect.backoff.max.ms": 500}
        self.group_protocol = group_protocol
        self.admin = AdminClient(self.common)
        self.producers = {}

    def send(self, topic, partitions, codec, values):
        if codec not in self.producers:
            settings = {"compression.type": codec, "enable.idempotence": True, "linger.ms": 2}
            self.producers[codec] = Producer(self.common | settings)
        producer, errors = self.producers[codec], []
        for n, value in enumerate(values):
            report = lambda error, _: errors.append(error) if error else None
            producer.produce(topic, value.encode(), partition=n % partitions, on_delivery=report)
        check(producer.flush(DEADLINE) == 0, "records are left in the queue")
        check(not errors, f"{len(errors)} records failed: {errors[:1]}")

    def join(self, group, topic):
        return Member(self.common, group, topic, self.group_protocol)

    def create_topic(self, topic, partitions, configs):
        only(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def partitions(self, topic):
        found = self.admin.list_topics(timeout=DEADLINE).topics.get(topic)
        return len(found.partitions) if found else 0

    def add_partitions(self, topic, total):
        only(self.admin.create_partitions([NewPartitions(topic, total)]))

    def topic_config(self, topic, key):
        return only(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))[key].value

    def set_topic_config(self, topic, key, value):
        change = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        only(self.admin.incremental_alter_configs([resource]))

    def spans(self, topic):
        def offsets(spec):
            partitions = [TopicPartition(topic, n) for n in range(self.partitions(topic))]
            found = self.admin.list_offsets({partition: spec for partition in partitions})
            return {partition.partition: future.result(DEADLINE).offset for partition, future in found.items()}

        ends = offsets(OffsetSpec.latest())
        return {partition: (start, ends[partition]) for partition, start in offsets(OffsetSpec.earliest()).items()}

    def delete_topic(self, topic):
        only(self.admin.delete_topics([topic]))

    def groups(self):
        found = self.admin.list_consumer_groups().result(DEADLINE)
        check(not found.errors, f"{found.errors}")
        return [group.group_id for group in found.valid]

    def group(self, group):
        found = only(self.admin.describe_consumer_groups([group]))
        return found.state.name.capitalize(), len(found.members)

    def committed(self, group, topic):
        found = only(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {partition.partition: partition.offset for partition in found.topic_partitions}

    def delete_group(self, group):
        only(self.admin.delete_consumer_groups([group]))


class Member:
    def __init__(self, common, group, topic, group_protocol):
        settings = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        settings |= {"group.protocol": group_protocol, "fetch.wait.max.ms": 100}
        if group_protocol == "classic":
            settings |= {"heartbeat.interval.ms": 200}
        self.consumer = Consumer(common | settings)
        self.consumer.subscribe([topic])

    def poll(self, seconds):
        records = []
        for message in self.consumer.consume(500, seconds):
            # An error here is about a connection; librdkafka comes back by itself.
            if not message.error():
                records.append(Record(message.partition(), message.offset(), message.value().decode()))
        return records

    def assigned(self):
        return len(self.consumer.assignment())

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            # There is nothing to commit where nothing was read since the last time.
            if error.args[0].name() != "_NO_OFFSET":
                raise

    def leave(self):
        self.consumer.close()
