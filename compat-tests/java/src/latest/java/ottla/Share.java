package ottla;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Share groups (KIP-932): queues. */
public final class Share {
    private final Clients clients;

    private Share(Clients clients) {
        this.clients = clients;
    }

    public static void main(String[] arguments) throws Exception {
        Share share = new Share(new Clients(arguments[0]));
        if (arguments.length > 1) {
            share.work(arguments[1], arguments[2], arguments[3], Integer.parseInt(arguments[4]));
            return;
        }
        Suite.run("implicit-acknowledgement", share::implicitAcknowledgement);
        Suite.run("explicit-acknowledgement", share::explicitAcknowledgement);
        Suite.run("members-share-a-partition", share::membersShareAPartition);
        Suite.run("record-limit", share::recordLimit);
        Suite.run("renewed-locks", share::renewedLocks);
        Suite.run("closing-gives-back", share::closingGivesBack);
        Suite.run("many-partitions", share::manyPartitions);
        Suite.run("described", share::described);
        Suite.run("offsets-altered-and-deleted", share::offsetsAlteredAndDeleted);
    }

    /**
     * Reads until {@code count} distinct values were accepted and says each of them; in the mode "hold" nothing is ever
     * acknowledged.
     */
    private void work(String group, String topic, String mode, int count) throws Exception {
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(Collections.singleton(topic));
            TreeSet<String> seen = new TreeSet<>();
            while (seen.size() < count) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    String value = Clients.text(record.value());
                    if (mode.equals("accept")) {
                        consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                    }
                    if (seen.add(value)) {
                        System.out.println("got " + value);
                    }
                }
                if (mode.equals("hold") && !records.isEmpty()) {
                    System.out.println("holding");
                    Thread.sleep(TimeUnit.MINUTES.toMillis(5));
                }
                consumer.commitSync();
            }
            System.out.println("done");
        }
    }

    private KafkaShareConsumer<byte[], byte[]> consumer(String group, String... settings) {
        Properties properties = clients.properties(settings);
        properties.put("group.id", group);
        return new KafkaShareConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** A topic with values 0 to count - 1 in partition 0, and a group that begins at its start. */
    private void queue(String name, int partitions, int count) throws Exception {
        clients.createTopic(name, partitions);
        String[] values = IntStream.range(0, count).mapToObj(Integer::toString).toArray(String[]::new);
        clients.send(name, values);
        setGroup(name, "share.auto.offset.reset", "earliest");
    }

    private void setGroup(String group, String key, String value) throws Exception {
        try (AdminClient admin = clients.admin()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            AlterConfigOp set = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
            Map<ConfigResource, Collection<AlterConfigOp>> change =
                Collections.singletonMap(resource, Collections.singletonList(set));
            Suite.get(admin.incrementalAlterConfigs(change).all());
        }
    }

    /** Polls until there are {@code count} values; in order. */
    private static List<String> take(KafkaShareConsumer<byte[], byte[]> consumer, int count) {
        List<String> values = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Suite.DEADLINE_S);
        while (values.size() < count) {
            consumer.poll(Duration.ofMillis(500)).forEach(record -> values.add(Clients.text(record.value())));
            Suite.check(System.nanoTime() < end, "only " + values);
        }
        return values;
    }

    private static List<String> numbers(int from, int to) {
        return IntStream.range(from, to).mapToObj(Integer::toString).collect(Collectors.toList());
    }

    private static void committed(KafkaShareConsumer<byte[], byte[]> consumer) {
        consumer.commitSync().forEach((partition, failure) ->
            Suite.check(!failure.isPresent(), partition + ": " + failure));
    }

    private void implicitAcknowledgement() throws Exception {
        queue("implicit", 1, 20);
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("implicit")) {
            consumer.subscribe(Collections.singleton("implicit"));
            Suite.same(numbers(0, 20), take(consumer, 20));
            committed(consumer);
            clients.send("implicit", "20", "21");
            Suite.same(numbers(20, 22), take(consumer, 2));
            committed(consumer);
        }
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("implicit")) {
            consumer.subscribe(Collections.singleton("implicit"));
            clients.send("implicit", "22");
            Suite.same(numbers(22, 23), take(consumer, 1));
        }
    }

    private void explicitAcknowledgement() throws Exception {
        queue("explicit", 1, 4);
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                 consumer("explicit", "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(Collections.singleton("explicit"));
            List<String> seen = new ArrayList<>();
            Suite.eventually("all but the rejected are accepted", () -> {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    String value = Clients.text(record.value());
                    seen.add(value + " " + record.deliveryCount().map(String::valueOf).orElse("?"));
                    boolean first = record.deliveryCount().map(count -> count == 1).orElse(true);
                    AcknowledgeType type = value.equals("1") ? AcknowledgeType.REJECT
                        : value.equals("2") && first ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT;
                    consumer.acknowledge(record, type);
                }
                committed(consumer);
                return seen.size() >= 5;
            });
            Suite.same(Arrays.asList("0 1", "1 1", "2 1", "3 1", "2 2"), seen);
            clients.send("explicit", "4");
            Suite.eventually("the next", () -> {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    seen.add(Clients.text(record.value()));
                    consumer.acknowledge(record);
                }
                return seen.size() > 5;
            });
            Suite.same("4", seen.get(5));
        }
    }

    private void membersShareAPartition() throws Exception {
        queue("shared", 1, 0);
        try (KafkaShareConsumer<byte[], byte[]> first = consumer("shared", "max.poll.records", "10");
             KafkaShareConsumer<byte[], byte[]> second = consumer("shared", "max.poll.records", "10")) {
            first.subscribe(Collections.singleton("shared"));
            second.subscribe(Collections.singleton("shared"));
            List<String> seen = new ArrayList<>();
            List<Integer> shares = new ArrayList<>(Arrays.asList(0, 0));
            for (int round = 0; round < 20; round++) {
                clients.send("shared", numbers(round * 10, round * 10 + 10).toArray(new String[0]));
                for (int member = 0; member < 2; member++) {
                    for (ConsumerRecord<byte[], byte[]> record :
                            (member == 0 ? first : second).poll(Duration.ofMillis(500))) {
                        seen.add(Clients.text(record.value()));
                        shares.set(member, shares.get(member) + 1);
                    }
                }
            }
            Suite.eventually("all 200, have " + seen.size(), () -> {
                first.poll(Duration.ofMillis(100)).forEach(record -> seen.add(Clients.text(record.value())));
                second.poll(Duration.ofMillis(100)).forEach(record -> seen.add(Clients.text(record.value())));
                return seen.size() >= 200;
            });
            Suite.same(200, new TreeSet<>(seen).size());
            Suite.same(200, seen.size());
        }
    }

    private void recordLimit() throws Exception {
        queue("strict", 1, 0);
        try (org.apache.kafka.clients.producer.KafkaProducer<byte[], byte[]> producer =
                 clients.producer("linger.ms", "1000")) {
            for (String value : numbers(0, 30)) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>("strict", 0, null, Clients.utf8(value)));
            }
        }
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                 consumer("strict", "share.acquire.mode", "record_limit", "max.poll.records", "7")) {
            consumer.subscribe(Collections.singleton("strict"));
            List<String> seen = new ArrayList<>();
            Suite.eventually("all 30", () -> {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                Suite.check(records.count() <= 7, records.count() + " records at once");
                records.forEach(record -> seen.add(Clients.text(record.value())));
                return seen.size() >= 30;
            });
            Suite.same(numbers(0, 30), seen);
        }
    }

    /** The node's locks are 3 seconds long. */
    private void renewedLocks() throws Exception {
        queue("renewed", 1, 1);
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                 consumer("renewed", "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(Collections.singleton("renewed"));
            int renewals = 0;
            long began = 0;
            for (boolean accepted = false; !accepted; ) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    Suite.same("1", record.deliveryCount().map(String::valueOf).orElse("?"));
                    began = began == 0 ? System.nanoTime() : began;
                    accepted = System.nanoTime() - began > TimeUnit.SECONDS.toNanos(5);
                    if (!accepted) {
                        Thread.sleep(500);
                        renewals++;
                    }
                    consumer.acknowledge(record, accepted ? AcknowledgeType.ACCEPT : AcknowledgeType.RENEW);
                }
                committed(consumer);
            }
            Suite.check(renewals > 2, renewals + " renewals");
        }
    }

    private void closingGivesBack() throws Exception {
        queue("closed", 1, 3);
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                 consumer("closed", "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(Collections.singleton("closed"));
            Suite.eventually("records", () -> !consumer.poll(Duration.ofMillis(500)).isEmpty());
        }
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("closed")) {
            consumer.subscribe(Collections.singleton("closed"));
            Suite.same(numbers(0, 3), take(consumer, 3));
        }
    }

    private void manyPartitions() throws Exception {
        queue("wide", 12, 0);
        try (org.apache.kafka.clients.producer.KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (int value = 0; value < 600; value++) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(
                    "wide", value % 12, null, Clients.utf8(Integer.toString(value))));
            }
        }
        List<KafkaShareConsumer<byte[], byte[]>> members = new ArrayList<>();
        try {
            for (int member = 0; member < 3; member++) {
                members.add(consumer("wide"));
                members.get(member).subscribe(Collections.singleton("wide"));
            }
            List<String> seen = new ArrayList<>();
            Suite.eventually("all 600", () -> {
                for (KafkaShareConsumer<byte[], byte[]> member : members) {
                    member.poll(Duration.ofMillis(100)).forEach(record -> seen.add(Clients.text(record.value())));
                }
                return new TreeSet<>(seen).size() >= 600;
            });
            Suite.same(600, seen.size());
        } finally {
            members.forEach(KafkaShareConsumer::close);
        }
    }

    private void described() throws Exception {
        queue("described", 2, 5);
        try (AdminClient admin = clients.admin();
             KafkaShareConsumer<byte[], byte[]> consumer = consumer("described")) {
            consumer.subscribe(Collections.singleton("described"));
            take(consumer, 5);
            committed(consumer);
            ShareGroupDescription group =
                Suite.get(admin.describeShareGroups(Collections.singleton("described")).all()).get("described");
            Suite.same(GroupState.STABLE, group.groupState());
            Suite.same(1, group.members().size());
            Suite.same(2, group.members().iterator().next().assignment().topicPartitions().size());
            Suite.same(Collections.singleton("described"), Suite.get(admin.listGroups().all()).stream()
                .filter(listing -> listing.type().map(type -> type.toString().equals("Share")).orElse(false))
                .map(listing -> listing.groupId()).filter(id -> id.equals("described")).collect(Collectors.toSet()));
            Suite.eventually("no lag", () -> {
                SharePartitionOffsetInfo offsets = offsets(admin, "described", new TopicPartition("described", 0));
                return offsets != null && offsets.lag().isPresent() && offsets.lag().get() == 0;
            });
        }
    }

    private static SharePartitionOffsetInfo offsets(AdminClient admin, String group, TopicPartition partition)
            throws Exception {
        Map<String, ListShareGroupOffsetsSpec> spec =
            Collections.singletonMap(group, new ListShareGroupOffsetsSpec());
        return Suite.get(admin.listShareGroupOffsets(spec).partitionsToOffsetInfo(group)).get(partition);
    }

    private void offsetsAlteredAndDeleted() throws Exception {
        queue("altered", 1, 5);
        TopicPartition partition = new TopicPartition("altered", 0);
        try (AdminClient admin = clients.admin()) {
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("altered")) {
                consumer.subscribe(Collections.singleton("altered"));
                take(consumer, 5);
                committed(consumer);
                Suite.failsWith(GroupNotEmptyException.class,
                    admin.alterShareGroupOffsets("altered", Collections.singletonMap(partition, 2L)).all());
                Suite.failsWith(GroupNotEmptyException.class,
                    admin.deleteShareGroups(Collections.singleton("altered")).all());
            }
            Suite.get(admin.alterShareGroupOffsets("altered", Collections.singletonMap(partition, 2L)).all());
            Suite.same(2L, offsets(admin, "altered", partition).startOffset());
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("altered")) {
                consumer.subscribe(Collections.singleton("altered"));
                Suite.same(numbers(2, 5), take(consumer, 3));
            }
            Suite.get(admin.deleteShareGroupOffsets("altered", Collections.singleton("altered")).all());
            Suite.check(offsets(admin, "altered", partition) == null, "the offsets are gone");
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer("altered")) {
                consumer.subscribe(Collections.singleton("altered"));
                Suite.same(numbers(0, 5), take(consumer, 5));
            }
            Suite.get(admin.deleteShareGroups(Collections.singleton("altered")).all());
            Suite.check(Suite.get(admin.listGroups().all()).stream().noneMatch(group -> group.groupId().equals("altered")),
                "the group is gone");
        }
    }
}
