package ottla;

import static ottla.Clients.text;
import static ottla.Clients.utf8;
import static ottla.Suite.check;
import static ottla.Suite.failsWith;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;

/** Producer and consumer, with what every version from 2.1 on has. */
public final class Records {
    private final Clients clients;

    private Records(String bootstrap) {
        clients = new Clients(bootstrap);
    }

    public static void main(String[] arguments) {
        Records cases = new Records(arguments[0]);
        Suite.run("round-trip", cases::roundTrip);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            Suite.run("codec-" + codec, () -> cases.codec(codec));
        }
        Suite.run("idempotent-producer", cases::idempotentProducer);
        Suite.run("acks", cases::acks);
        Suite.run("nulls-and-headers", cases::nullsAndHeaders);
        Suite.run("large-and-too-large", cases::largeAndTooLarge);
        Suite.run("timestamps", cases::timestamps);
        Suite.run("offsets-for-times", cases::offsetsForTimes);
        Suite.run("seek-and-position", cases::seekAndPosition);
        Suite.run("out-of-range", cases::outOfRange);
        Suite.run("many-partitions", cases::manyPartitions);
        Suite.run("auto-created-topic", cases::autoCreatedTopic);
        Suite.run("transactions-fail-at-once", cases::transactionsFailAtOnce);
    }

    private void roundTrip() throws Exception {
        clients.createTopic("java-round", 1);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("acks", "all", "linger.ms", "5")) {
            for (int n = 0; n < 10_000; n++) {
                sent.add(producer.send(new ProducerRecord<>("java-round", 0, utf8("key " + n), utf8("value " + n))));
            }
        }
        for (int n = 0; n < sent.size(); n++) {
            same((long) n, get(sent.get(n)).offset());
        }
        List<ConsumerRecord<byte[], byte[]>> read = clients.readAll("java-round", 0);
        same(10_000, read.size());
        for (int n = 0; n < read.size(); n++) {
            same((long) n, read.get(n).offset());
            same("key " + n, text(read.get(n).key()));
            same("value " + n, text(read.get(n).value()));
        }
    }

    private void codec(String codec) throws Exception {
        String topic = "java-" + codec;
        clients.createTopic(topic, 1);
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", codec, "linger.ms", "20")) {
            for (int n = 0; n < 2_000; n++) {
                producer.send(new ProducerRecord<>(topic, 0, null, utf8("again and again and again " + n)));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> read = clients.readAll(topic, 0);
        same(2_000, read.size());
        for (int n = 0; n < read.size(); n++) {
            same("again and again and again " + n, text(read.get(n).value()));
        }
    }

    private void idempotentProducer() throws Exception {
        clients.createTopic("java-once", 3);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                clients.producer("enable.idempotence", "true", "acks", "all", "max.in.flight.requests.per.connection", "5")) {
            for (int n = 0; n < 3_000; n++) {
                sent.add(producer.send(new ProducerRecord<>("java-once", n % 3, null, utf8("" + n))));
            }
            producer.flush();
        }
        for (int n = 0; n < sent.size(); n++) {
            same((long) (n / 3), get(sent.get(n)).offset());
        }
        same(1_000, clients.readAll("java-once", 2).size());
    }

    private void acks() throws Exception {
        clients.createTopic("java-acks", 1);
        for (String acks : new String[] {"0", "1", "all"}) {
            try (KafkaProducer<byte[], byte[]> producer = clients.producer("acks", acks, "enable.idempotence", "false")) {
                RecordMetadata metadata = get(producer.send(new ProducerRecord<>("java-acks", 0, null, utf8(acks))));
                same(!acks.equals("0"), metadata.hasOffset());
            }
            int expected = acks.equals("0") ? 1 : acks.equals("1") ? 2 : 3;
            Suite.eventually("the record is there", () -> clients.readAll("java-acks", 0).size() == expected);
        }
    }

    private void nullsAndHeaders() throws Exception {
        clients.createTopic("java-nulls", 1);
        String[] kinds = {null, "", "x"};
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (String key : kinds) {
                for (String value : kinds) {
                    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>("java-nulls", 0, utf8(key), utf8(value));
                    record.headers().add("twice", utf8("1")).add("none", null).add("twice", utf8("2")).add("", new byte[0]);
                    get(producer.send(record));
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> read = clients.readAll("java-nulls", 0);
        for (int n = 0; n < 9; n++) {
            ConsumerRecord<byte[], byte[]> record = read.get(n);
            same(kinds[n / 3], text(record.key()));
            same(kinds[n % 3], text(record.value()));
            StringBuilder headers = new StringBuilder();
            for (Header header : record.headers()) {
                headers.append(header.key()).append('=').append(text(header.value())).append(' ');
            }
            same("twice=1 none=null twice=2 = ", headers.toString());
        }
    }

    private void largeAndTooLarge() throws Exception {
        clients.createTopic("java-large", 1);
        byte[] large = new byte[1_000_000];
        Arrays.fill(large, (byte) 7);
        try (KafkaProducer<byte[], byte[]> producer =
                clients.producer("max.request.size", "10000000", "buffer.memory", "50000000")) {
            get(producer.send(new ProducerRecord<>("java-large", 0, null, large)));
            failsWith(RecordTooLargeException.class, producer.send(new ProducerRecord<>("java-large", 0, null, new byte[3_000_000])));
        }
        List<ConsumerRecord<byte[], byte[]>> read = clients.readAll("java-large", 0);
        same(1, read.size());
        check(Arrays.equals(large, read.get(0).value()), "the large value");
    }

    private void timestamps() throws Exception {
        clients.createTopic("java-times", 1);
        long begin = System.currentTimeMillis() - 100_000;
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("linger.ms", "20", "compression.type", "gzip")) {
            for (int n = 0; n < 100; n++) {
                producer.send(new ProducerRecord<>("java-times", 0, begin + 100 * n, null, utf8("" + n)));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> read = clients.readAll("java-times", 0);
        for (int n = 0; n < 100; n++) {
            same(begin + 100 * n, read.get(n).timestamp());
        }
        TopicPartition partition = new TopicPartition("java-times", 0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            same(50L, find(consumer, partition, begin + 4_901).offset());
            same(begin + 5_000, find(consumer, partition, begin + 4_901).timestamp());
            same(null, find(consumer, partition, begin + 9_901));
        }
    }

    /** Records out of order in time, in batches of one. */
    private void offsetsForTimes() throws Exception {
        clients.createTopic("java-disorder", 1);
        long begin = System.currentTimeMillis() - 100_000;
        long[] times = {100, 50, 200, 10, 400, 300};
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (long time : times) {
                get(producer.send(new ProducerRecord<>("java-disorder", 0, begin + time, null, utf8("" + time))));
            }
        }
        TopicPartition partition = new TopicPartition("java-disorder", 0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            same(0L, find(consumer, partition, begin + 60).offset());
            same(2L, find(consumer, partition, begin + 101).offset());
            same(4L, find(consumer, partition, begin + 250).offset());
            same(null, find(consumer, partition, begin + 401));
        }
    }

    private static OffsetAndTimestamp find(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long time) {
        Map<TopicPartition, OffsetAndTimestamp> found = consumer.offsetsForTimes(Collections.singletonMap(partition, time));
        return found.get(partition);
    }

    private void seekAndPosition() throws Exception {
        clients.createTopic("java-seek", 1);
        clients.send("java-seek", "0", "1", "2", "3", "4");
        TopicPartition partition = new TopicPartition("java-seek", 0);
        List<TopicPartition> one = Collections.singletonList(partition);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("max.poll.records", "1")) {
            consumer.assign(one);
            same(0L, consumer.beginningOffsets(one).get(partition));
            same(5L, consumer.endOffsets(one).get(partition));
            consumer.seek(partition, 3);
            same("3", next(consumer));
            same(4L, consumer.position(partition));
            consumer.seekToBeginning(one);
            same("0", next(consumer));
            consumer.seekToEnd(one);
            same(5L, consumer.position(partition));
            consumer.seek(partition, 4);
            same("4", next(consumer));
            same(1, consumer.partitionsFor("java-seek").size());
            check(consumer.listTopics().containsKey("java-seek"), "listed");
        }
    }

    static String next(KafkaConsumer<byte[], byte[]> consumer) {
        long limit = System.nanoTime() + Suite.DEADLINE_S * 1_000_000_000L;
        while (System.nanoTime() < limit) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
            if (!records.isEmpty()) {
                return text(records.iterator().next().value());
            }
        }
        throw new AssertionError("no further record");
    }

    private void outOfRange() throws Exception {
        clients.createTopic("java-range", 1);
        clients.send("java-range", "0");
        TopicPartition partition = new TopicPartition("java-range", 0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            consumer.assign(Collections.singleton(partition));
            consumer.seek(partition, 1_000);
            try {
                Suite.eventually("an error", () -> {
                    consumer.poll(Duration.ofMillis(200));
                    return false;
                });
            } catch (OffsetOutOfRangeException expected) {
                same(1_000L, expected.offsetOutOfRangePartitions().get(partition));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("auto.offset.reset", "earliest")) {
            consumer.assign(Collections.singleton(partition));
            consumer.seek(partition, 1_000);
            same("0", next(consumer));
        }
    }

    private void manyPartitions() throws Exception {
        clients.createTopic("java-many", 100);
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("linger.ms", "5")) {
            for (int n = 0; n < 2_000; n++) {
                producer.send(new ProducerRecord<>("java-many", n % 100, utf8("" + n), utf8("v")));
            }
        }
        List<TopicPartition> all = new ArrayList<>();
        for (int partition = 0; partition < 100; partition++) {
            all.add(new TopicPartition("java-many", partition));
        }
        int[] read = new int[100];
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            int[] count = {0};
            Suite.eventually("2000 records", () -> {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    read[record.partition()]++;
                    count[0]++;
                }
                return count[0] == 2_000;
            });
        }
        for (int partition = 0; partition < 100; partition++) {
            same(20, read[partition]);
        }
    }

    private void autoCreatedTopic() throws Exception {
        clients.send("java-auto", "made by the first record");
        same("made by the first record", text(clients.readAll("java-auto", 0).get(0).value()));
    }

    /** While transactions are not served, a producer must learn so quickly, and never hang. Kafka serves them. */
    private void transactionsFailAtOnce() {
        long begin = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("transactional.id", "t", "max.block.ms", "50000")) {
            producer.initTransactions();
        } catch (KafkaException expected) {
            check(!(expected instanceof org.apache.kafka.common.errors.TimeoutException), "a timeout: " + expected);
        }
        long seconds = (System.nanoTime() - begin) / 1_000_000_000L;
        check(seconds < 30, "it took " + seconds + " s");
    }
}
