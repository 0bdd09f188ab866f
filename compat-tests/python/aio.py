"""aiokafka, on an event loop in a thread of its own, so that the cases stay plain calls."""

import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from suite import DEADLINE, Record, check

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def wait(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, LOOP).result(DEADLINE)


async def started(make):
    """Clients take the running loop when they are made."""
    client = make()
    await client.start()
    return client


def raise_for(errors):
    """Answers name a topic, an error code and maybe a message."""
    for _, code, *_ in errors:
        if code:
            raise for_code(code)


class AioKafka:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    # Its admin client cannot.
    deletes_groups = False

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = wait(started(lambda: AIOKafkaAdminClient(bootstrap_servers=bootstrap)))
        self.producers = {}

    def send(self, topic, partitions, codec, values):
        if codec not in self.producers:
            compression = None if codec == "none" else codec
            self.producers[codec] = wait(
                started(
                    lambda: AIOKafkaProducer(
                        bootstrap_servers=self.bootstrap,
                        compression_type=compression,
                        enable_idempotence=True,
                        linger_ms=2,
                    )
                )
            )
        producer = self.producers[codec]

        async def all_sent():
            sent = [await producer.send(topic, value.encode(), partition=n % partitions) for n, value in enumerate(values)]
            await asyncio.gather(*sent)

        wait(all_sent())

    def join(self, group, topic):
        return Member(self.bootstrap, group, topic)

    def create_topic(self, topic, partitions, configs):
        wanted = NewTopic(topic, partitions, 1, topic_configs=configs)
        raise_for(wait(self.admin.create_topics([wanted])).topic_errors)

    def partitions(self, topic):
        # Asking for a topic by its name creates it.
        if topic not in wait(self.admin.list_topics()):
            return 0
        return len(wait(self.admin.describe_topics([topic]))[0]["partitions"])

    def add_partitions(self, topic, total):
        wait(self.admin.create_partitions({topic: NewPartitions(total)}))

    def topic_config(self, topic, key):
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})
        ((code, message, _, _, entries),) = wait(self.admin.describe_configs([wanted]))[0].resources
        check(code == 0, message)
        return entries[0][1]

    def set_topic_config(self, topic, key, value):
        change = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        for response in wait(self.admin.alter_configs([change])):
            for code, message, *_ in response.resources:
                check(code == 0, message)

    def spans(self, topic):
        """Its admin client lists no offsets, its consumers do."""
        consumer = wait(started(lambda: AIOKafkaConsumer(bootstrap_servers=self.bootstrap)))
        partitions = [TopicPartition(topic, n) for n in range(self.partitions(topic))]
        starts, ends = wait(consumer.beginning_offsets(partitions)), wait(consumer.end_offsets(partitions))
        wait(consumer.stop())
        return {partition.partition: (starts[partition], ends[partition]) for partition in partitions}

    def delete_topic(self, topic):
        raise_for(wait(self.admin.delete_topics([topic])).topic_error_codes)

    def groups(self):
        return [group for group, *_ in wait(self.admin.list_consumer_groups())]

    def group(self, group):
        (found,) = wait(self.admin.describe_consumer_groups([group]))[0].groups
        code, _, state, _, _, members, *_ = found
        check(code == 0, f"error {code}")
        return state, len(members)

    def committed(self, group, topic):
        found = wait(self.admin.list_consumer_group_offsets(group))
        return {partition.partition: committed.offset for partition, committed in found.items()}


class Member:
    def __init__(self, bootstrap, group, topic):
        settings = {
            "bootstrap_servers": bootstrap,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "heartbeat_interval_ms": 200,
            "fetch_max_wait_ms": 100,
        }
        self.consumer = wait(started(lambda: AIOKafkaConsumer(topic, **settings)))

    def poll(self, seconds):
        batches = wait(self.consumer.getmany(timeout_ms=int(seconds * 1000))).values()
        return [Record(record.partition, record.offset, record.value.decode()) for batch in batches for record in batch]

    def assigned(self):
        return len(self.consumer.assignment())

    def commit(self):
        wait(self.consumer.commit())

    def leave(self):
        wait(self.consumer.stop())
