package ottla;

import static ottla.Suite.check;
import static ottla.Suite.eventually;
import static ottla.Suite.failsWith;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** AdminClient on the cluster itself: leaders, replicas, the quorum, features, producers. */
public final class Cluster {
    private final Clients clients;
    private final AdminClient admin;

    private Cluster(String bootstrap) {
        clients = new Clients(bootstrap);
        admin = clients.admin();
    }

    public static void main(String[] arguments) {
        Cluster cases = new Cluster(arguments[0]);
        Suite.run("elections", cases::elections);
        Suite.run("reassignments", cases::reassignments);
        Suite.run("quorum", cases::quorum);
        Suite.run("update-features", cases::updateFeatures);
        Suite.run("producers", cases::producers);
        Suite.run("replica-log-dirs", cases::replicaLogDirs);
        Suite.run("quotas", cases::quotas);
        Suite.run("unregister", cases::unregister);
        cases.admin.close();
    }

    private void quotas() throws Exception {
        ClientQuotaEntity one = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "quota-one"));
        Map<String, String> any = new HashMap<>();
        any.put(ClientQuotaEntity.CLIENT_ID, null);
        ClientQuotaEntity others = new ClientQuotaEntity(any);
        get(admin.alterClientQuotas(List.of(
                new ClientQuotaAlteration(one, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))),
                new ClientQuotaAlteration(others, List.of(new ClientQuotaAlteration.Op("request_percentage", 200.0))))).all());
        same(Map.of(one, Map.of("producer_byte_rate", 1e6)), quotas(ClientQuotaFilter.containsOnly(List.of(
                ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, "quota-one")))));
        same(Map.of(others, Map.of("request_percentage", 200.0)), quotas(ClientQuotaFilter.containsOnly(List.of(
                ClientQuotaFilterComponent.ofDefaultEntity(ClientQuotaEntity.CLIENT_ID)))));
        same(2, quotas(ClientQuotaFilter.all()).size());
        failsWith(InvalidRequestException.class, admin.alterClientQuotas(List.of(
                new ClientQuotaAlteration(one, List.of(new ClientQuotaAlteration.Op("no_such_rate", 1.0))))).all());
        get(admin.alterClientQuotas(List.of(
                new ClientQuotaAlteration(one, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))),
                new ClientQuotaAlteration(others, List.of(new ClientQuotaAlteration.Op("request_percentage", null))))).all());
        same(Map.of(), quotas(ClientQuotaFilter.all()));
    }

    private Map<ClientQuotaEntity, Map<String, Double>> quotas(ClientQuotaFilter filter) throws Exception {
        return get(admin.describeClientQuotas(filter).entities());
    }

    private void elections() throws Exception {
        clients.createTopic("cluster-elect", 2);
        TopicPartition led = new TopicPartition("cluster-elect", 1);
        TopicPartition absent = new TopicPartition("cluster-elect", 9);
        for (ElectionType type : ElectionType.values()) {
            Set<TopicPartition> asked = new HashSet<>(List.of(led, absent));
            Map<TopicPartition, Optional<Throwable>> results = get(admin.electLeaders(type, asked).partitions());
            same(ElectionNotNeededException.class, results.get(led).get().getClass());
            same(UnknownTopicOrPartitionException.class, results.get(absent).get().getClass());
            same(Collections.emptyMap(), get(admin.electLeaders(type, null).partitions()));
        }
    }

    private void reassign(TopicPartition partition, Integer... replicas) throws Exception {
        get(reassignment(partition, replicas));
    }

    private org.apache.kafka.common.KafkaFuture<Void> reassignment(TopicPartition partition, Integer... replicas) {
        Optional<NewPartitionReassignment> to =
                replicas.length == 0 ? Optional.empty() : Optional.of(new NewPartitionReassignment(List.of(replicas)));
        return admin.alterPartitionReassignments(Map.of(partition, to)).all();
    }

    private void reassignments() throws Exception {
        clients.createTopic("cluster-move", 1);
        TopicPartition partition = new TopicPartition("cluster-move", 0);
        reassign(partition, 1);
        failsWith(NoReassignmentInProgressException.class, reassignment(partition));
        failsWith(InvalidReplicaAssignmentException.class, reassignment(partition, 2));
        failsWith(InvalidReplicaAssignmentException.class, reassignment(partition, 1, 1));
        failsWith(UnknownTopicOrPartitionException.class, reassignment(new TopicPartition("cluster-move", 4), 1));
        same(Collections.emptyMap(), get(admin.listPartitionReassignments().reassignments()));
        same(Collections.emptyMap(), get(admin.listPartitionReassignments(Set.of(partition)).reassignments()));
    }

    private void quorum() throws Exception {
        QuorumInfo info = get(admin.describeMetadataQuorum().quorumInfo());
        same(1, info.leaderId());
        same(1, info.voters().size());
        same(1, info.voters().get(0).replicaId());
        check(info.voters().get(0).logEndOffset() >= info.highWatermark(), "" + info);
        check(info.highWatermark() > 0 && info.leaderEpoch() > 0, "" + info);
        same(0, info.observers().size());
    }

    private void update(boolean validateOnly, String feature, int level, FeatureUpdate.UpgradeType type) throws Exception {
        get(updated(validateOnly, feature, level, type));
    }

    private org.apache.kafka.common.KafkaFuture<Void> updated(
            boolean validateOnly, String feature, int level, FeatureUpdate.UpgradeType type) {
        Map<String, FeatureUpdate> updates = Map.of(feature, new FeatureUpdate((short) level, type));
        return admin.updateFeatures(updates, new UpdateFeaturesOptions().validateOnly(validateOnly)).all();
    }

    private void updateFeatures() throws Exception {
        for (boolean validateOnly : new boolean[] {true, false}) {
            update(validateOnly, "metadata.version", 30, FeatureUpdate.UpgradeType.UPGRADE);
            failsWith(InvalidUpdateVersionException.class,
                    updated(validateOnly, "metadata.version", 99, FeatureUpdate.UpgradeType.UPGRADE));
            failsWith(InvalidUpdateVersionException.class,
                    updated(validateOnly, "metadata.version", 29, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE));
            failsWith(InvalidUpdateVersionException.class,
                    updated(validateOnly, "no.version", 1, FeatureUpdate.UpgradeType.UPGRADE));
        }
    }

    private void producers() throws Exception {
        clients.createTopic("cluster-producers", 1);
        TopicPartition partition = new TopicPartition("cluster-producers", 0);
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("enable.idempotence", "true")) {
            get(producer.send(new ProducerRecord<>("cluster-producers", "value".getBytes())));
        }
        List<ProducerState> states =
                get(admin.describeProducers(Set.of(partition)).partitionResult(partition)).activeProducers();
        same(1, states.size());
        same(0, states.get(0).lastSequence());
        check(states.get(0).currentTransactionStartOffset().isEmpty(), "" + states);
    }

    private void replicaLogDirs() throws Exception {
        clients.createTopic("cluster-dirs", 1);
        TopicPartitionReplica replica = new TopicPartitionReplica("cluster-dirs", 0, 1);
        Map<String, LogDirDescription> dirs = get(admin.describeLogDirs(Set.of(1)).allDescriptions()).get(1);
        String home = dirs.keySet().iterator().next();
        eventually("the replica has its place", () -> home.equals(
                get(admin.describeReplicaLogDirs(Set.of(replica)).all()).get(replica).getCurrentReplicaLogDir()));
        check(get(admin.describeReplicaLogDirs(Set.of(replica)).all()).get(replica).getFutureReplicaLogDir() == null,
                "no move");
        get(admin.alterReplicaLogDirs(Map.of(replica, home)).all());
        failsWith(LogDirNotFoundException.class, admin.alterReplicaLogDirs(Map.of(replica, "/no/such/place")).all());
        TopicPartitionReplica absent = new TopicPartitionReplica("cluster-none", 0, 1);
        failsWith(UnknownTopicOrPartitionException.class, admin.alterReplicaLogDirs(Map.of(absent, home)).all());
    }

    private void unregister() throws Exception {
        failsWith(BrokerIdNotRegisteredException.class, admin.unregisterBroker(7).all());
    }
}
