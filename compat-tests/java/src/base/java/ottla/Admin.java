package ottla;

import static ottla.Suite.check;
import static ottla.Suite.eventually;
import static ottla.Suite.failsWith;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** AdminClient, with what every version from 2.1 on has. */
public final class Admin {
    private final Clients clients;
    private final AdminClient admin;

    private Admin(String bootstrap) {
        clients = new Clients(bootstrap);
        admin = clients.admin();
    }

    public static void main(String[] arguments) {
        Admin cases = new Admin(arguments[0]);
        Suite.run("cluster", cases::cluster);
        Suite.run("topics", cases::topics);
        Suite.run("refused-topics", cases::refusedTopics);
        Suite.run("partitions", cases::partitions);
        Suite.run("topic-configs", cases::topicConfigs);
        Suite.run("broker-configs", cases::brokerConfigs);
        Suite.run("log-dirs", cases::logDirs);
        Suite.run("delete-records", cases::deleteRecords);
        cases.admin.close();
    }

    private void cluster() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        Collection<Node> nodes = get(cluster.nodes());
        same(1, nodes.size());
        Node node = nodes.iterator().next();
        same(1, node.id());
        same(node, get(cluster.controller()));
        same(22, get(cluster.clusterId()).length());
    }

    private TopicDescription describe(String topic) throws Exception {
        @SuppressWarnings("deprecation")
        Map<String, TopicDescription> all = Compatible.describe(admin, topic);
        return all.get(topic);
    }

    private void topics() throws Exception {
        NewTopic topic = new NewTopic("admin-topic", 3, (short) 1).configs(Collections.singletonMap("retention.ms", "4242"));
        get(admin.createTopics(Collections.singleton(topic), new CreateTopicsOptions().validateOnly(true)).all());
        check(!get(admin.listTopics().names()).contains("admin-topic"), "validate only creates nothing");
        get(admin.createTopics(Collections.singleton(topic)).all());
        eventually("the topic", () -> get(admin.listTopics().names()).contains("admin-topic"));
        TopicDescription description = describe("admin-topic");
        same(3, description.partitions().size());
        check(!description.isInternal(), "not internal");
        description.partitions().forEach(partition -> {
            same(1, partition.leader().id());
            same(1, partition.replicas().size());
            same(1, partition.isr().size());
        });
        NewTopic assigned = new NewTopic("admin-assigned", Collections.singletonMap(0, Collections.singletonList(1)));
        get(admin.createTopics(Collections.singleton(assigned)).all());
        get(admin.deleteTopics(Arrays.asList("admin-topic", "admin-assigned")).all());
        eventually("the topics are gone", () -> !get(admin.listTopics().names()).contains("admin-topic"));
        failsWith(UnknownTopicOrPartitionException.class, admin.deleteTopics(Collections.singleton("admin-topic")).all());
    }

    private void refusedTopics() throws Exception {
        clients.createTopic("admin-taken", 1);
        refused(TopicExistsException.class, new NewTopic("admin-taken", 1, (short) 1));
        refused(InvalidTopicException.class, new NewTopic("no/slash", 1, (short) 1));
        refused(InvalidPartitionsException.class, new NewTopic("admin-zero", 0, (short) 1));
        refused(InvalidReplicationFactorException.class, new NewTopic("admin-three", 1, (short) 3));
        NewTopic odd = new NewTopic("admin-odd", 1, (short) 1).configs(Collections.singletonMap("no.such.key", "1"));
        refused(InvalidConfigurationException.class, odd);
    }

    private void refused(Class<? extends Throwable> why, NewTopic topic) throws Exception {
        failsWith(why, admin.createTopics(Collections.singleton(topic)).all());
    }

    private void partitions() throws Exception {
        clients.createTopic("admin-grow", 2);
        get(admin.createPartitions(Collections.singletonMap("admin-grow", NewPartitions.increaseTo(5))).all());
        eventually("five partitions", () -> describe("admin-grow").partitions().size() == 5);
        failsWith(InvalidPartitionsException.class,
                admin.createPartitions(Collections.singletonMap("admin-grow", NewPartitions.increaseTo(3))).all());
    }

    private ConfigEntry config(ConfigResource resource, String key) throws Exception {
        return get(admin.describeConfigs(Collections.singleton(resource)).all()).get(resource).get(key);
    }

    private void topicConfigs() throws Exception {
        clients.createTopic("admin-configs", 1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "admin-configs");
        same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, config(topic, "retention.ms").source());
        Config replaced = new Config(Collections.singleton(new ConfigEntry("retention.ms", "5150")));
        Compatible.replaceConfigs(admin, topic, replaced);
        eventually("the change shows", () -> config(topic, "retention.ms").value().equals("5150"));
        same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config(topic, "retention.ms").source());
        ConfigResource absent = new ConfigResource(ConfigResource.Type.TOPIC, "absent");
        failsWith(UnknownTopicOrPartitionException.class, admin.describeConfigs(Collections.singleton(absent)).all());
    }

    private void brokerConfigs() throws Exception {
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        Config config = get(admin.describeConfigs(Collections.singleton(broker)).all()).get(broker);
        same("1", config.get("num.partitions").value());
        check(config.get("num.partitions").isReadOnly(), "read only");
        same("1048588", config.get("message.max.bytes").value());
        check(config.entries().size() > 200, config.entries().size() + " entries");
    }

    private void logDirs() throws Exception {
        clients.createTopic("admin-dirs", 1);
        clients.send("admin-dirs", "some bytes");
        check(Compatible.sizeOf(admin, "admin-dirs") > 60, "a size");
    }

    private void deleteRecords() throws Exception {
        clients.createTopic("admin-delete", 1);
        clients.send("admin-delete", "0", "1", "2", "3");
        TopicPartition partition = new TopicPartition("admin-delete", 0);
        Map<TopicPartition, RecordsToDelete> before = new HashMap<>();
        before.put(partition, RecordsToDelete.beforeOffset(3));
        same(3L, get(admin.deleteRecords(before).lowWatermarks().get(partition)).lowWatermark());
        List<?> left = clients.readAll("admin-delete", 0);
        same(1, left.size());
    }
}
