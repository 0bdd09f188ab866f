package ottla;

import java.util.Collections;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What earlier versions of the AdminClient call by other names. */
final class Compatible {
    private Compatible() {}

    static Map<String, TopicDescription> describe(AdminClient admin, String topic) throws Exception {
        return Suite.get(admin.describeTopics(Collections.singleton(topic)).allTopicNames());
    }

    /** The later versions know only the incremental form. */
    static void replaceConfigs(AdminClient admin, ConfigResource resource, Config config) throws Exception {
        Suite.get(admin.incrementalAlterConfigs(Collections.singletonMap(resource, config.entries().stream()
                .map(entry -> new AlterConfigOp(entry, AlterConfigOp.OpType.SET))
                .collect(Collectors.toList()))).all());
    }

    /** Bytes on the broker's disk of partition 0. */
    static long sizeOf(AdminClient admin, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return Suite.get(admin.describeLogDirs(Collections.singleton(1)).allDescriptions()).get(1).values().stream()
                .filter(dir -> dir.replicaInfos().containsKey(partition))
                .mapToLong(dir -> dir.replicaInfos().get(partition).size())
                .sum();
    }

    /** What the group committed, by partition; nothing where it did not. */
    static OffsetAndMetadata committed(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        return consumer.committed(Collections.singleton(partition)).get(partition);
    }
}
