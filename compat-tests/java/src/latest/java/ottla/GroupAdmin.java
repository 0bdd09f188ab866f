package ottla;

import static ottla.Reading.numbered;
import static ottla.Suite.check;
import static ottla.Suite.eventually;
import static ottla.Suite.failsWith;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.ClientMetricsResourceListing;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** What the newest AdminClient does with groups, and what the newest consumer adds. */
public final class GroupAdmin {
    private final String bootstrap;
    private final Clients clients;
    private final AdminClient admin;

    private GroupAdmin(String bootstrap) {
        this.bootstrap = bootstrap;
        clients = new Clients(bootstrap);
        admin = clients.admin();
    }

    public static void main(String[] arguments) {
        GroupAdmin cases = new GroupAdmin(arguments[0]);
        for (String name : Arrays.asList(arguments).subList(1, arguments.length)) {
            Suite.run(name, () -> cases.run(name));
        }
        cases.admin.close();
    }

    private void run(String name) throws Exception {
        switch (name) {
            case "listed": listed(); break;
            case "described": described(); break;
            case "offsets": offsets(); break;
            case "removed-members": removedMembers(); break;
            case "broker-side-regex": brokerSideRegex(); break;
            case "config-resources": configResources(); break;
            case "classic-description": classicDescription(); break;
            default: throw new AssertionError("no such case");
        }
    }

    private Member member(String topic, String... settings) throws Exception {
        clients.createTopic(topic, 2);
        clients.spread(topic, 2, numbered(0, 10));
        Member member = new Member(clients, topic, topic, settings);
        new Reading().until(numbered(0, 10), member);
        member.consumer.commitSync();
        return member;
    }

    private Set<String> names(ListGroupsOptions options) throws Exception {
        return get(admin.listGroups(options).all()).stream().map(GroupListing::groupId).collect(Collectors.toSet());
    }

    private void listed() throws Exception {
        GroupType type = clients.isConsumerProtocol() ? GroupType.CONSUMER : GroupType.CLASSIC;
        GroupType other = clients.isConsumerProtocol() ? GroupType.CLASSIC : GroupType.CONSUMER;
        try (Member member = member("listed")) {
            Collection<GroupListing> all = get(admin.listGroups().all());
            GroupListing group = all.stream().filter(one -> one.groupId().equals("listed")).findFirst().get();
            same(type, group.type().get());
            same(GroupState.STABLE, group.groupState().get());
            same("consumer", group.protocol());
            check(names(new ListGroupsOptions().withTypes(Set.of(type))).contains("listed"), "by type");
            check(!names(new ListGroupsOptions().withTypes(Set.of(other))).contains("listed"), "not by another type");
            check(names(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))).contains("listed"), "by state");
            check(!names(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))).contains("listed"), "not by another");
        }
        eventually("an empty group", () -> names(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))).contains("listed"));
    }

    private ConsumerGroupDescription describe(String group) throws Exception {
        return get(admin.describeConsumerGroups(Set.of(group)).all()).get(group);
    }

    private void described() throws Exception {
        failsWith(GroupIdNotFoundException.class, admin.describeConsumerGroups(Set.of("nobody")).all());
        try (Member member = member("described", "client.id", "the-client")) {
            ConsumerGroupDescription group = describe("described");
            same(GroupState.STABLE, group.groupState());
            same(clients.isConsumerProtocol() ? GroupType.CONSUMER : GroupType.CLASSIC, group.type());
            same(clients.isConsumerProtocol() ? "uniform" : "range", group.partitionAssignor());
            same(clients.isConsumerProtocol(), group.groupEpoch().isPresent());
            MemberDescription one = group.members().iterator().next();
            same("the-client", one.clientId());
            check(one.host().startsWith("/127.0.0.1"), one.host());
            same(2, one.assignment().topicPartitions().size());
            failsWith(GroupNotEmptyException.class, admin.deleteConsumerGroups(Set.of("described")).all());
        }
        eventually("an empty group", () -> describe("described").groupState() == GroupState.EMPTY);
        get(admin.deleteConsumerGroups(Set.of("described")).all());
        failsWith(GroupIdNotFoundException.class, admin.deleteConsumerGroups(Set.of("described")).all());
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    private void offsets() throws Exception {
        TopicPartition zero = new TopicPartition("offsets", 0);
        TopicPartition one = new TopicPartition("offsets", 1);
        try (Member member = member("offsets")) {
            failsWith(UnknownMemberIdException.class, admin.alterConsumerGroupOffsets("offsets", Map.of(zero, new OffsetAndMetadata(1))).all());
            failsWith(GroupSubscribedToTopicException.class, admin.deleteConsumerGroupOffsets("offsets", Set.of(zero)).partitionResult(zero));
        }
        eventually("an empty group", () -> describe("offsets").groupState() == GroupState.EMPTY);
        get(admin.alterConsumerGroupOffsets("offsets", Map.of(zero, new OffsetAndMetadata(3, "by hand"))).all());
        same(3L, committed("offsets").get(zero).offset());
        same("by hand", committed("offsets").get(zero).metadata());
        same(5L, committed("offsets").get(one).offset());
        get(admin.deleteConsumerGroupOffsets("offsets", Set.of(one)).all());
        same(Set.of(zero), committed("offsets").keySet());

        get(admin.alterConsumerGroupOffsets("made-by-admin", Map.of(one, new OffsetAndMetadata(2))).all());
        ListConsumerGroupOffsetsSpec both = new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(zero, one));
        Map<String, Map<TopicPartition, OffsetAndMetadata>> batch =
                get(admin.listConsumerGroupOffsets(Map.of("offsets", both, "made-by-admin", both)).all());
        same(3L, batch.get("offsets").get(zero).offset());
        same(null, batch.get("offsets").get(one));
        same(null, batch.get("made-by-admin").get(zero));
        same(2L, batch.get("made-by-admin").get(one).offset());
    }

    private void removedMembers() throws Exception {
        try (Member named = member("removed", "group.instance.id", "named")) {
            RemoveMembersFromConsumerGroupOptions wrong =
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")));
            failsWith(UnknownMemberIdException.class, admin.removeMembersFromConsumerGroup("removed", wrong).all());
            same(1, describe("removed").members().size());
            RemoveMembersFromConsumerGroupOptions right =
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("named")));
            get(admin.removeMembersFromConsumerGroup("removed", right).all());
            same(0, describe("removed").members().size());
        }
    }

    /** What groups and subscriptions to metrics are set to, and who has such settings. */
    @SuppressWarnings({"deprecation", "removal"})
    private void configResources() throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, "set-up");
        ConfigResource metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "all-of-them");
        get(admin.incrementalAlterConfigs(Map.of(
                group, List.of(set("consumer.session.timeout.ms", "50000")),
                metrics, List.of(set("metrics", "*"), set("interval.ms", "10000")))).all());
        Map<ConfigResource, Config> described = get(admin.describeConfigs(Set.of(group, metrics)).all());
        ConfigEntry timeout = described.get(group).get("consumer.session.timeout.ms");
        same("50000", timeout.value());
        same(ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, timeout.source());
        same("10000", described.get(metrics).get("interval.ms").value());
        check(get(admin.listConfigResources().all()).containsAll(Set.of(group, metrics)), "all resources");
        Set<ConfigResource.Type> types = Set.of(ConfigResource.Type.CLIENT_METRICS);
        same(Set.of(metrics), Set.copyOf(get(admin.listConfigResources(types, new ListConfigResourcesOptions()).all())));
        same(Set.of(new ClientMetricsResourceListing("all-of-them")), Set.copyOf(get(admin.listClientMetricsResources().all())));
        ConfigEntry wrong = new ConfigEntry("consumer.session.timeout.ms", "1");
        failsWith(InvalidConfigurationException.class, admin.incrementalAlterConfigs(
                Map.of(group, List.of(new AlterConfigOp(wrong, AlterConfigOp.OpType.SET)))).all());
        Map<String, Object> pushing = Map.of("bootstrap.servers", bootstrap, "enable.metrics.push", true);
        try (AdminClient watched = AdminClient.create(pushing)) {
            check(!watched.clientInstanceId(Duration.ofSeconds(30)).equals(Uuid.ZERO_UUID), "the broker names its clients");
        }
    }

    private static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }

    private void classicDescription() throws Exception {
        try (Member member = member("classic")) {
            ClassicGroupDescription group = get(admin.describeClassicGroups(Set.of("classic")).all()).get("classic");
            same(ClassicGroupState.STABLE, group.state());
            same("range", group.protocolData());
            same(1, group.members().size());
        }
        failsWith(GroupIdNotFoundException.class, admin.describeClassicGroups(Set.of("nobody")).all());
    }

    /** The coordinator resolves the pattern, in RE2's syntax; topics that come later belong to it. */
    private void brokerSideRegex() throws Exception {
        clients.createTopic("regex-a", 1);
        clients.createTopic("other-regex-a", 1);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.member("regex")) {
            consumer.subscribe(new SubscriptionPattern("regex-[a-c]+"));
            eventually("one topic", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().equals(Set.of(new TopicPartition("regex-a", 0)));
            });
            clients.createTopic("regex-bc", 1);
            eventually("two topics", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 2;
            });
        }
        try (KafkaConsumer<byte[], byte[]> consumer = clients.member("regex-invalid")) {
            consumer.subscribe(new SubscriptionPattern("(unclosed"));
            eventually("a refused pattern", () -> {
                try {
                    consumer.poll(Duration.ofMillis(50));
                    return false;
                } catch (org.apache.kafka.common.errors.InvalidRegularExpression expected) {
                    return true;
                }
            });
        }
    }
}
