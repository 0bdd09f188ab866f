package ottla;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A consumer in a group that remembers what its listener was told. It commits only when told to. */
final class Member implements AutoCloseable {
    final KafkaConsumer<byte[], byte[]> consumer;
    /** How often partitions were taken from it. */
    int revocations;

    /** Joins with these settings beside the group and what makes tests quick. */
    Member(Clients clients, String group, String topic, String... settings) {
        consumer = clients.member(group, settings);
        consumer.subscribe(Collections.singleton(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                revocations += partitions.isEmpty() ? 0 : 1;
            }
        });
    }

    List<ConsumerRecord<byte[], byte[]>> poll() {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        consumer.poll(Duration.ofMillis(50)).forEach(records::add);
        return records;
    }

    /** The numbers of the partitions it has, of whatever topic. */
    Set<Integer> assigned() {
        Set<Integer> numbers = new TreeSet<>();
        consumer.assignment().forEach(partition -> numbers.add(partition.partition()));
        return numbers;
    }

    /** Leaves the group, unless it is a static member. */
    @Override
    public void close() {
        consumer.close();
    }
}
