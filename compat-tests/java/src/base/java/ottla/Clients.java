package ottla;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Clients of one broker, and the few steps that most cases begin with. */
final class Clients {
    private final String bootstrap;

    Clients(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    Properties properties(String... settings) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < settings.length; i += 2) {
            properties.put(settings[i], settings[i + 1]);
        }
        return properties;
    }

    AdminClient admin() {
        return AdminClient.create(properties());
    }

    KafkaProducer<byte[], byte[]> producer(String... settings) {
        Properties properties = properties(settings);
        // The default of old clients is 1: what is acknowledged then may not yet be below the high watermark.
        properties.putIfAbsent("acks", "all");
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        Properties properties = properties(settings);
        properties.putIfAbsent("auto.offset.reset", "none");
        properties.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** True where -Dgroup.protocol=consumer was asked for. */
    boolean isConsumerProtocol() {
        return "consumer".equals(System.getProperty("group.protocol"));
    }

    /** A consumer for a group that begins at the first record, with what makes tests quick. */
    KafkaConsumer<byte[], byte[]> member(String group, String... settings) {
        Properties properties = properties(settings);
        properties.put("group.id", group);
        properties.putIfAbsent("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        properties.put("fetch.max.wait.ms", "100");
        if (isConsumerProtocol()) {
            properties.put("group.protocol", "consumer");
        } else {
            properties.put("heartbeat.interval.ms", "200");
        }
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** The settings that choose an assignor: the client's, or in the consumer protocol the coordinator's. */
    String[] assignor(String name) {
        if (isConsumerProtocol()) {
            return new String[] {"group.remote.assignor", name};
        }
        Map<String, String> classes = new HashMap<>();
        classes.put("range", "RangeAssignor");
        classes.put("roundrobin", "RoundRobinAssignor");
        classes.put("sticky", "StickyAssignor");
        classes.put("cooperative-sticky", "CooperativeStickyAssignor");
        Suite.check(classes.containsKey(name), "no assignor " + name);
        return new String[] {"partition.assignment.strategy", "org.apache.kafka.clients.consumer." + classes.get(name)};
    }

    void createTopic(String topic, int partitions) throws Exception {
        try (AdminClient admin = admin()) {
            Suite.get(admin.createTopics(Collections.singleton(new NewTopic(topic, partitions, (short) 1))).all());
            Suite.eventually("the topic " + topic, () -> admin.listTopics().names().get().contains(topic));
        }
    }

    /** Sends value i to partition i modulo partitions, waits for each acknowledgement. */
    void spread(String topic, int partitions, List<String> values) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer("linger.ms", "1")) {
            for (int n = 0; n < values.size(); n++) {
                sent.add(producer.send(new ProducerRecord<>(topic, n % partitions, null, utf8(values.get(n)))));
            }
        }
        for (Future<RecordMetadata> future : sent) {
            Suite.get(future);
        }
    }

    /** Sends values to partition 0, waits for each acknowledgement. */
    void send(String topic, String... values) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer("acks", "all")) {
            for (String value : values) {
                Suite.get(producer.send(new ProducerRecord<>(topic, 0, null, utf8(value))));
            }
        }
    }

    /** All records of a partition from its beginning to its end as it is now. */
    List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int partition) {
        TopicPartition from = new TopicPartition(topic, partition);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(Collections.singleton(from));
            consumer.seekToBeginning(Collections.singleton(from));
            long end = consumer.endOffsets(Collections.singleton(from)).get(from);
            List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
            long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(Suite.DEADLINE_S);
            while (consumer.position(from) < end) {
                consumer.poll(Duration.ofMillis(200)).forEach(all::add);
                Suite.check(System.nanoTime() < limit, "read only " + all.size() + " records up to " + end);
            }
            return all;
        }
    }

    static byte[] utf8(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }
}
