"""kafka-python."""

from concurrent.futures import ThreadPoolExecutor, TimeoutError

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import TopicPartition

from suite import DEADLINE, Record, eventually, same


class KafkaPython:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    deletes_groups = True

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.producers = {}

    def send(self, topic, partitions, codec, values):
        if codec not in self.producers:
            compression = None if codec == "none" else codec
            self.producers[codec] = KafkaProducer(
                bootstrap_servers=self.bootstrap,
                compression_type=compression,
                acks="all",
                linger_ms=2,
                delivery_timeout_ms=DEADLINE * 1000,
            )
        producer = self.producers[codec]
        sent = [producer.send(topic, value.encode(), partition=n % partitions) for n, value in enumerate(values)]
        for future in sent:
            future.get(DEADLINE)

    def join(self, group, topic):
        return Member(self.bootstrap, group, topic)

    def create_topic(self, topic, partitions, configs):
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        self.admin.create_topics({topic: wanted})

    def partitions(self, topic):
        return len(self.admin.describe_topics([topic])[0]["partitions"])

    def add_partitions(self, topic, total):
        self.admin.create_partitions({topic: total})

    def topic_config(self, topic, key):
        found = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return found["topic"][topic][key]["value"]

    def set_topic_config(self, topic, key, value):
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})])

    def spans(self, topic):
        def offsets(spec):
            wanted = {TopicPartition(topic, n): spec for n in range(self.partitions(topic))}
            found = self.admin.list_partition_offsets(wanted)
            return {partition.partition: at.offset for partition, at in found.items()}

        ends = offsets(OffsetSpec.LATEST)
        return {partition: (start, ends[partition]) for partition, start in offsets(OffsetSpec.EARLIEST).items()}

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def groups(self):
        return [group["group_id"] for group in self.admin.list_groups()]

    def group(self, group):
        found = self.admin.describe_groups([group])[group]
        return found["group_state"], len(found["members"])

    def committed(self, group, topic):
        found = self.admin.list_group_offsets(group)[group]
        return {partition.partition: committed.offset for partition, committed in found.items()}

    def delete_group(self, group):
        same({group: "OK"}, self.admin.delete_groups([group]), "deleting a group")


class Member:
    """Polls in a thread of its own, as an application does. Members that are polled in turn never get out of a
    rebalance when it takes longer than a poll: a join that ended while nobody waited for it is begun anew."""

    def __init__(self, bootstrap, group, topic):
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.polling = None
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=200,
            fetch_max_wait_ms=100,
            # A topic that was not there yet when the group was joined is found soon.
            metadata_max_age_ms=1000,
        )
        # Who joins before the topic's metadata has come joins once more; kafka-python 3.0.12 never ends that second
        # join when the poll in which it began is over between JoinGroup and SyncGroup.
        self.consumer.subscribe([topic])
        eventually(f"metadata of {topic}", lambda: self.consumer.partitions_for_topic(topic))

    def poll(self, seconds):
        self.polling = self.polling or self.thread.submit(self.consumer.poll, timeout_ms=1000)
        try:
            batches = self.polling.result(seconds).values()
        except TimeoutError:
            return []
        self.polling = None
        return [Record(record.partition, record.offset, record.value.decode()) for batch in batches for record in batch]

    def assigned(self):
        return len(self.consumer.assignment())

    def commit(self):
        self.thread.submit(self.consumer.commit).result()

    def leave(self):
        self.thread.submit(self.consumer.close, autocommit=False).result()
        self.thread.shutdown()
