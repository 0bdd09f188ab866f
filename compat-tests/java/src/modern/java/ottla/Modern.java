package ottla;

import static ottla.Suite.check;
import static ottla.Suite.eventually;
import static ottla.Suite.failsWith;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.UnknownTopicIdException;

/** What came after 2.1: topic ids, incremental configs, listed offsets, and group members that are told the truth. */
public final class Modern {
    private final Clients clients;
    private final AdminClient admin;

    private Modern(String bootstrap) {
        clients = new Clients(bootstrap);
        admin = clients.admin();
    }

    public static void main(String[] arguments) {
        Modern cases = new Modern(arguments[0]);
        Suite.run("topic-ids", cases::topicIds);
        Suite.run("created-topic-shows-its-configs", cases::createdTopicShowsItsConfigs);
        Suite.run("incremental-configs", cases::incrementalConfigs);
        Suite.run("failed-append-leaves-nothing", cases::failedAppendLeavesNothing);
        Suite.run("broker-configs", cases::brokerConfigs);
        Suite.run("config-synonyms-and-docs", cases::configSynonymsAndDocs);
        Suite.run("list-offsets", cases::listOffsets);
        Suite.run("log-dir-volume", cases::logDirVolume);
        Suite.run("features", cases::features);
        Suite.run("many-topics", cases::manyTopics);
        Suite.run("groups-work-or-fail-at-once", cases::groupsWorkOrFailAtOnce);
        cases.admin.close();
    }

    private void topicIds() throws Exception {
        clients.createTopic("modern-ids", 2);
        TopicDescription byName = get(admin.describeTopics(Collections.singleton("modern-ids")).allTopicNames()).get("modern-ids");
        Uuid id = byName.topicId();
        check(!id.equals(Uuid.ZERO_UUID), "an id");
        Collection<Uuid> ids = Collections.singleton(id);
        same("modern-ids", get(admin.describeTopics(TopicCollection.ofTopicIds(ids)).allTopicIds()).get(id).name());
        get(admin.deleteTopics(TopicCollection.ofTopicIds(ids)).all());
        eventually("the topic is gone", () -> !get(admin.listTopics().names()).contains("modern-ids"));
        failsWith(UnknownTopicIdException.class, admin.deleteTopics(TopicCollection.ofTopicIds(ids)).all());
    }

    private void createdTopicShowsItsConfigs() throws Exception {
        NewTopic topic = new NewTopic("modern-shown", 4, (short) 1).configs(Collections.singletonMap("segment.bytes", "2000000"));
        CreateTopicsResult made = admin.createTopics(Collections.singleton(topic));
        same(4, get(made.numPartitions("modern-shown")));
        same(1, get(made.replicationFactor("modern-shown")));
        same("2000000", get(made.config("modern-shown")).get("segment.bytes").value());
        check(!get(made.topicId("modern-shown")).equals(Uuid.ZERO_UUID), "an id");
    }

    private ConfigEntry config(ConfigResource resource, String key) throws Exception {
        return get(admin.describeConfigs(Collections.singleton(resource)).all()).get(resource).get(key);
    }

    private void alter(ConfigResource resource, OpType how, String key, String value) throws Exception {
        get(change(resource, how, key, value, false));
    }

    private org.apache.kafka.common.KafkaFuture<Void> change(
            ConfigResource resource, OpType how, String key, String value, boolean validateOnly) {
        List<AlterConfigOp> one = Collections.singletonList(new AlterConfigOp(new ConfigEntry(key, value), how));
        AlterConfigsOptions options = new AlterConfigsOptions().validateOnly(validateOnly);
        return admin.incrementalAlterConfigs(Collections.singletonMap(resource, one), options).all();
    }

    private void becomes(ConfigResource resource, String key, String value) throws Exception {
        eventually(key + " is " + value, () -> value.equals(config(resource, key).value()));
    }

    private void incrementalConfigs() throws Exception {
        clients.createTopic("modern-configs", 1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "modern-configs");
        alter(topic, OpType.SET, "retention.ms", "777");
        becomes(topic, "retention.ms", "777");
        alter(topic, OpType.APPEND, "cleanup.policy", "compact");
        becomes(topic, "cleanup.policy", "delete,compact");
        alter(topic, OpType.SUBTRACT, "cleanup.policy", "delete");
        becomes(topic, "cleanup.policy", "compact");
        alter(topic, OpType.DELETE, "retention.ms", "");
        becomes(topic, "retention.ms", "604800000");
        get(change(topic, OpType.SET, "retention.ms", "888", true));
        failsWith(InvalidConfigurationException.class, change(topic, OpType.SET, "retention.ms", "soon", true));
        same("604800000", config(topic, "retention.ms").value());
    }

    private void failedAppendLeavesNothing() throws Exception {
        clients.createTopic("modern-append", 1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "modern-append");
        failsWith(InvalidConfigurationException.class, change(topic, OpType.APPEND, "cleanup.policy", "shred", false));
        alter(topic, OpType.SET, "segment.ms", "9000");
        becomes(topic, "segment.ms", "9000");
        same("delete", config(topic, "cleanup.policy").value());
    }

    private void brokerConfigs() throws Exception {
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        ConfigResource cluster = new ConfigResource(ConfigResource.Type.BROKER, "");
        alter(cluster, OpType.SET, "log.retention.ms", "123456");
        becomes(broker, "log.retention.ms", "123456");
        same(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, config(broker, "log.retention.ms").source());
        alter(broker, OpType.SET, "log.retention.ms", "654321");
        becomes(broker, "log.retention.ms", "654321");
        same(ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG, config(broker, "log.retention.ms").source());
        clients.createTopic("modern-inherits", 1);
        becomes(new ConfigResource(ConfigResource.Type.TOPIC, "modern-inherits"), "retention.ms", "654321");
        alter(broker, OpType.DELETE, "log.retention.ms", "");
        alter(cluster, OpType.DELETE, "log.retention.ms", "");
        failsWith(InvalidRequestException.class, change(broker, OpType.SET, "num.partitions", "3", false));
    }

    private void configSynonymsAndDocs() throws Exception {
        clients.createTopic("modern-synonyms", 1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "modern-synonyms");
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        ConfigEntry entry = get(admin.describeConfigs(Collections.singleton(topic), options).all()).get(topic).get("max.message.bytes");
        check(entry.synonyms().stream().anyMatch(synonym -> synonym.name().equals("message.max.bytes")), "" + entry.synonyms());
        same(ConfigEntry.ConfigType.INT, entry.type());
        check(entry.documentation() != null && !entry.documentation().isEmpty(), "a doc");
    }

    private void listOffsets() throws Exception {
        clients.createTopic("modern-offsets", 1);
        TopicPartition partition = new TopicPartition("modern-offsets", 0);
        long begin = System.currentTimeMillis() - 50_000;
        long[] times = {100, 300, 200};
        same(-1L, offset(partition, OffsetSpec.maxTimestamp()).offset());
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (long time : times) {
                get(producer.send(new ProducerRecord<>("modern-offsets", 0, begin + time, null, Clients.utf8("v"))));
            }
        }
        same(0L, offset(partition, OffsetSpec.earliest()).offset());
        same(3L, offset(partition, OffsetSpec.latest()).offset());
        same(1L, offset(partition, OffsetSpec.maxTimestamp()).offset());
        same(begin + 300, offset(partition, OffsetSpec.maxTimestamp()).timestamp());
        same(1L, offset(partition, OffsetSpec.forTimestamp(begin + 101)).offset());
        same(-1L, offset(partition, OffsetSpec.forTimestamp(begin + 301)).offset());
    }

    private ListOffsetsResultInfo offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        return get(admin.listOffsets(Collections.singletonMap(partition, spec)).partitionResult(partition));
    }

    private void logDirVolume() throws Exception {
        Map<String, LogDirDescription> dirs = get(admin.describeLogDirs(Collections.singleton(1)).allDescriptions()).get(1);
        same(1, dirs.size());
        LogDirDescription dir = dirs.values().iterator().next();
        check(dir.totalBytes().getAsLong() > 0 && dir.usableBytes().getAsLong() > 0, "a volume: " + dir);
    }

    private void features() throws Exception {
        Map<String, Short> finalized = new HashMap<>();
        get(admin.describeFeatures().featureMetadata()).finalizedFeatures()
                .forEach((feature, range) -> finalized.put(feature, range.maxVersionLevel()));
        check(finalized.getOrDefault("metadata.version", (short) 0) >= 25, "" + finalized);
    }

    private void manyTopics() throws Exception {
        Collection<NewTopic> topics = new java.util.ArrayList<>();
        for (int n = 0; n < 50; n++) {
            topics.add(new NewTopic("modern-many-" + n, 2, (short) 1));
        }
        get(admin.createTopics(topics).all());
        eventually("fifty topics", () -> get(admin.listTopics().names()).stream()
                .filter(name -> name.startsWith("modern-many-")).count() == 50);
    }

    /**
     * What is not served must not be waited for. Clients before 2.4 do wait: they ask in the same versions as
     * librdkafka, which must not be told of an error.
     */
    private void groupsWorkOrFailAtOnce() throws Exception {
        clients.createTopic("modern-group", 1);
        clients.send("modern-group", "for a group");
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("group.id", "g", "auto.offset.reset", "earliest")) {
            consumer.subscribe(Collections.singleton("modern-group"));
            same("for a group", Records.next(consumer));
        } catch (KafkaException expected) {
            check(!(expected instanceof org.apache.kafka.common.errors.TimeoutException), "a timeout: " + expected);
        }
    }
}
