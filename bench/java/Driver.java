import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's Java client as a load: one order a line on standard input (`produce key=value ...`), one line back. One JVM
 * serves all rounds, so that its code is compiled when it counts.
 */
public class Driver {
    /** When a record was due that only prepares the round. */
    private static final long UNMEASURED = 0;

    private final Map<String, String> order = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(new Driver(line).run());
        }
    }

    private final String kind;

    private Driver(String line) {
        String[] words = line.split(" ");
        kind = words[0];
        for (int i = 1; i < words.length; i++) {
            int at = words[i].indexOf('=');
            order.put(words[i].substring(0, at), words[i].substring(at + 1));
        }
    }

    private long number(String key) {
        return Long.parseLong(order.get(key));
    }

    private String run() throws Exception {
        switch (kind) {
            case "produce": return produce();
            case "consume": return consume();
            case "paced": return paced();
            default: throw new IllegalArgumentException(kind);
        }
    }

    private KafkaProducer<byte[], byte[]> producer(long lingerMs) {
        Properties config = new Properties();
        config.put("bootstrap.servers", order.get("bootstrap"));
        config.put("acks", "all");
        config.put("batch.size", order.get("batch_bytes"));
        config.put("linger.ms", lingerMs);
        config.put("buffer.memory", 64L << 20);
        config.put("max.request.size", 2 << 20);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties config = new Properties();
        config.put("bootstrap.servers", order.get("bootstrap"));
        config.put("max.partition.fetch.bytes", 4 << 20);
        config.put("max.poll.records", 10000);
        config.put("auto.offset.reset", "earliest");
        KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < number("partitions"); partition++) {
            partitions.add(new TopicPartition(order.get("topic"), partition));
        }
        consumer.assign(partitions);
        return consumer;
    }

    private String produce() throws Exception {
        long records = number("records");
        long perTurn = number("records_per_turn");
        int partitions = (int) number("partitions");
        byte[] value = new byte[(int) number("record_bytes")];
        AtomicReference<Exception> failure = new AtomicReference<>();
        // Single records leave at once; full batches never wait as long as this.
        try (KafkaProducer<byte[], byte[]> producer = producer(perTurn == 1 ? 0 : 1000)) {
            producer.partitionsFor(order.get("topic"));
            long begin = System.nanoTime();
            for (long i = 0; i < records; i++) {
                int partition = (int) (i / perTurn % partitions);
                producer.send(new ProducerRecord<>(order.get("topic"), partition, null, value), (metadata, error) -> {
                    if (error != null) failure.set(error);
                });
            }
            producer.flush();
            long elapsed = System.nanoTime() - begin;
            if (failure.get() != null) throw failure.get();
            return done(records, elapsed, requests(producer.metrics(), "producer-metrics"), "");
        }
    }

    private String consume() {
        long records = number("records");
        long seen = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.seekToBeginning(consumer.assignment());
            long begin = System.nanoTime();
            while (seen < records) {
                seen += consumer.poll(Duration.ofMillis(500)).count();
            }
            long elapsed = System.nanoTime() - begin;
            return done(seen, elapsed, requests(consumer.metrics(), "consumer-metrics"), "");
        }
    }

    /** Each record carries when it was due; both latencies count from there. */
    private String paced() throws Exception {
        int records = (int) number("records");
        long rate = number("rate");
        long[] acknowledged = new long[records];
        long[] received = new long[records];
        AtomicReference<Exception> failure = new AtomicReference<>();
        AtomicInteger acks = new AtomicInteger();
        long[] consumerRequests = new long[1];
        CountDownLatch reading = new CountDownLatch((int) number("partitions"));
        Thread reader = new Thread(() -> {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                consumer.seekToBeginning(consumer.assignment());
                int seen = 0;
                while (seen < records && failure.get() == null) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                        long due = ByteBuffer.wrap(record.value()).getLong();
                        if (due == UNMEASURED) {
                            reading.countDown();
                        } else {
                            received[seen++] = System.nanoTime() - due;
                        }
                    }
                }
                consumerRequests[0] = requests(consumer.metrics(), "consumer-metrics");
            }
        });
        reader.start();
        try (KafkaProducer<byte[], byte[]> producer = producer(0)) {
            // One record to each partition, of which nothing is measured: connections are made, leaders found.
            for (int partition = 0; partition < number("partitions"); partition++) {
                byte[] value = new byte[(int) number("record_bytes")];
                producer.send(new ProducerRecord<>(order.get("topic"), partition, null, value)).get();
            }
            if (!reading.await(60, TimeUnit.SECONDS)) throw new IllegalStateException("the consumer does not read");
            long begin = System.nanoTime();
            for (int i = 0; i < records; i++) {
                long due = begin + i * 1_000_000_000L / rate;
                for (long now = System.nanoTime(); now < due; now = System.nanoTime()) {
                    Thread.sleep((due - now) / 1_000_000, (int) ((due - now) % 1_000_000));
                }
                byte[] value = new byte[(int) number("record_bytes")];
                ByteBuffer.wrap(value).putLong(due);
                int partition = (int) (i / number("records_per_turn") % number("partitions"));
                producer.send(new ProducerRecord<>(order.get("topic"), partition, null, value), (metadata, error) -> {
                    if (error != null) failure.set(error);
                    acknowledged[acks.getAndIncrement()] = System.nanoTime() - due;
                });
            }
            producer.flush();
            long elapsed = System.nanoTime() - begin;
            reader.join();
            if (failure.get() != null) throw failure.get();
            long requests = requests(producer.metrics(), "producer-metrics") + consumerRequests[0];
            String latencies = percentiles("ack", acknowledged) + percentiles("e2e", received);
            return done(records, elapsed, requests, latencies);
        }
    }

    private static long requests(Map<MetricName, ? extends Metric> metrics, String group) {
        for (Map.Entry<MetricName, ? extends Metric> metric : metrics.entrySet()) {
            if (metric.getKey().name().equals("request-total") && metric.getKey().group().equals(group)) {
                return ((Double) metric.getValue().metricValue()).longValue();
            }
        }
        throw new IllegalStateException("no request-total in " + group);
    }

    private static String percentiles(String name, long[] samples) {
        Arrays.sort(samples);
        StringBuilder line = new StringBuilder();
        double[] shares = {0.5, 0.99, 0.999};
        String[] names = {"p50", "p99", "p999"};
        for (int i = 0; i < shares.length; i++) {
            int at = Math.max(0, (int) Math.ceil(samples.length * shares[i]) - 1);
            line.append(' ').append(name).append('_').append(names[i]).append('=').append(samples[at]);
        }
        return line.toString();
    }

    private static String done(long records, long elapsedNanos, long requests, String more) {
        return "records=" + records + " nanos=" + elapsedNanos + " requests=" + requests + more;
    }
}
