package ottla;

import static ottla.Reading.numbered;
import static ottla.Suite.check;
import static ottla.Suite.eventually;
import static ottla.Suite.get;
import static ottla.Suite.same;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * Consumers in groups, with what every version from 2.1 on has. Which cases run is for the test to say: a version may
 * lack an assignor or static members. With -Dgroup.protocol=consumer the same cases run in the consumer protocol, where
 * an assignor is the coordinator's.
 */
public final class Groups {
    private final Clients clients;

    private Groups(String bootstrap) {
        clients = new Clients(bootstrap);
    }

    public static void main(String[] arguments) {
        Groups cases = new Groups(arguments[0]);
        for (String name : Arrays.asList(arguments).subList(1, arguments.length)) {
            Suite.run(name, () -> cases.run(name));
        }
    }

    private void run(String name) throws Exception {
        switch (name) {
            case "commits": commits(); break;
            case "positions": positions(); break;
            case "static-members": staticMembers(); break;
            case "left-behind": leftBehind(); break;
            case "pattern": pattern(); break;
            case "under-load": underLoad(); break;
            case "kill":
            case "restart": stopped(name); break;
            default: rebalance(name);
        }
    }

    /** One member has all, a second takes half, the second leaves, the first has all again. */
    private void rebalance(String assignor) throws Exception {
        String topic = "java-rebalance-" + assignor;
        clients.createTopic(topic, 4);
        String[] settings = clients.assignor(assignor);
        Reading read = new Reading();
        List<String> values = numbered(0, 120);
        clients.spread(topic, 4, values.subList(0, 40));
        try (Member first = new Member(clients, topic, topic, settings)) {
            read.until(values.subList(0, 40), first);
            first.consumer.commitSync();
            same(4, first.assigned().size());
            try (Member second = new Member(clients, topic, topic, settings)) {
                share(2, first, second);
                clients.spread(topic, 4, values.subList(40, 80));
                read.until(values.subList(40, 80), first, second);
                first.consumer.commitSync();
                second.consumer.commitSync();
            }
            share(4, first);
            clients.spread(topic, 4, values.subList(80, 120));
            read.until(values, first);
            read.onlyOnce();
        }
    }

    /** Polls until each member has so many partitions, none of them twice. */
    private static void share(int each, Member... members) throws Exception {
        eventually(members.length + " members have " + each + " partitions each", () -> {
            Set<Integer> all = new TreeSet<>();
            boolean even = true;
            for (Member member : members) {
                same(Collections.emptyList(), member.poll());
                all.addAll(member.assigned());
                even &= member.assigned().size() == each;
            }
            return even && all.size() == each * members.length;
        });
    }

    private void commits() throws Exception {
        String topic = "java-commits";
        clients.createTopic(topic, 2);
        clients.spread(topic, 2, numbered(0, 20));
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        try (Member member = new Member(clients, topic, topic)) {
            same(null, committed(member.consumer, zero));
            new Reading().until(numbered(0, 20), member);
            member.consumer.commitSync();
            same(10L, committed(member.consumer, zero).offset());
            member.consumer.commitSync(Collections.singletonMap(zero, new OffsetAndMetadata(4, "four of ten")));
            same("four of ten", committed(member.consumer, zero).metadata());
            same(10L, committed(member.consumer, one).offset());

            AtomicReference<Map<TopicPartition, OffsetAndMetadata>> answer = new AtomicReference<>();
            member.consumer.commitAsync(Collections.singletonMap(one, new OffsetAndMetadata(7)), (offsets, failure) -> {
                check(failure == null, "a commit failed: " + failure);
                answer.set(offsets);
            });
            eventually("the asynchronous commit", () -> {
                member.poll();
                return answer.get() != null;
            });
            same(7L, committed(member.consumer, one).offset());
            try {
                String large = String.join("", Collections.nCopies(5_000, "x"));
                member.consumer.commitSync(Collections.singletonMap(one, new OffsetAndMetadata(8, large)));
                throw new AssertionError("metadata above offset.metadata.max.bytes was taken");
            } catch (KafkaException expected) {
                check(expected.getClass().getSimpleName().equals("OffsetMetadataTooLarge"), "" + expected);
            }
        }
        try (Member next = new Member(clients, topic, topic)) {
            eventually("both partitions", () -> {
                next.poll();
                return next.assigned().size() == 2;
            });
            same(7L, committed(next.consumer, one).offset());
        }
    }

    private static OffsetAndMetadata committed(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        return Compatible.committed(consumer, partition);
    }

    /** Where a member begins: at what was committed, else where it is told to, else it says so. */
    private void positions() throws Exception {
        String topic = "java-positions";
        clients.createTopic(topic, 1);
        clients.send(topic, "0", "1", "2", "3");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Member member = new Member(clients, topic, topic, "auto.offset.reset", "none")) {
            eventually("a member that knows no position", () -> {
                try {
                    member.poll();
                    return false;
                } catch (NoOffsetForPartitionException expected) {
                    return true;
                }
            });
        }
        try (Member member = new Member(clients, topic + "-latest", topic, "auto.offset.reset", "latest")) {
            eventually("the partition", () -> {
                check(member.poll().isEmpty(), "a record from before the group");
                return member.assigned().size() == 1;
            });
            same(4L, member.consumer.position(partition));
            member.consumer.seek(partition, 2);
            same("2", Records.next(member.consumer));
            member.consumer.seekToBeginning(Collections.singleton(partition));
            same("0", Records.next(member.consumer));
            member.consumer.commitSync(Collections.singletonMap(partition, new OffsetAndMetadata(3)));
        }
        try (Member member = new Member(clients, topic + "-latest", topic, "auto.offset.reset", "latest")) {
            same("3", Records.next(member.consumer));
        }
    }

    /** A static member that comes back in time has what it had, and nobody else notices. */
    private void staticMembers() throws Exception {
        String topic = "java-static";
        clients.createTopic(topic, 4);
        try (Member stays = new Member(clients, topic, topic, "group.instance.id", "stays")) {
            Member goes = new Member(clients, topic, topic, "group.instance.id", "goes");
            share(2, stays, goes);
            Set<Integer> before = goes.assigned();
            int revocations = stays.revocations;
            goes.close();
            try (Member back = new Member(clients, topic, topic, "group.instance.id", "goes")) {
                eventually("the same partitions", () -> {
                    stays.poll();
                    back.poll();
                    return back.assigned().equals(before);
                });
                same(2, stays.assigned().size());
                same(revocations, stays.revocations);
                replaced(topic, stays, back);
            }
        }
    }

    /** Who takes the name of a member that is there is refused or takes its place, by protocol; never are there two. */
    private void replaced(String topic, Member stays, Member back) throws Exception {
        Set<Integer> before = back.assigned();
        try (Member twin = new Member(clients, topic, topic, "group.instance.id", "goes")) {
            AtomicBoolean refused = new AtomicBoolean();
            eventually("one of two of a name is refused", () -> {
                for (Member member : new Member[] {stays, twin, back}) {
                    try {
                        member.poll();
                    } catch (KafkaException failure) {
                        String kind = failure.getClass().getSimpleName();
                        check(member != stays, "the wrong member was refused: " + failure);
                        same(clients.isConsumerProtocol() ? "UnreleasedInstanceIdException" : "FencedInstanceIdException", kind);
                        same(clients.isConsumerProtocol() ? twin : back, member);
                        refused.set(true);
                    }
                }
                return refused.get();
            });
            Member remains = clients.isConsumerProtocol() ? back : twin;
            eventually("the one that remains has the partitions", () -> {
                stays.poll();
                remains.poll();
                return remains.assigned().equals(before);
            });
        }
    }

    /** Who does not poll for too long is out: its commit is refused, another member has its partitions. */
    private void leftBehind() throws Exception {
        String topic = "java-left-behind";
        clients.createTopic(topic, 2);
        try (Member slow = new Member(clients, topic, topic, "max.poll.interval.ms", "2000");
                Member quick = new Member(clients, topic, topic)) {
            share(1, slow, quick);
            eventually("the quick member has both", () -> {
                quick.poll();
                return quick.assigned().size() == 2;
            });
            try {
                slow.consumer.commitSync(Collections.singletonMap(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
                throw new AssertionError("a member that was left behind could commit");
            } catch (CommitFailedException expected) {
                same(null, committed(quick.consumer, new TopicPartition(topic, 0)));
            }
        }
    }

    /** A pattern finds topics that are made later. */
    private void pattern() throws Exception {
        clients.createTopic("java-pattern-1", 1);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.member("java-pattern", "metadata.max.age.ms", "500")) {
            consumer.subscribe(Pattern.compile("java-pattern-[0-9]"));
            eventually("one topic", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 1;
            });
            clients.createTopic("java-pattern-2", 1);
            clients.createTopic("java-pattern-x", 1);
            eventually("two topics", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 2;
            });
        }
    }

    /** Members come and go while records are written: each record is read. */
    private void underLoad() throws Exception {
        String topic = "java-under-load";
        int total = 6_000;
        clients.createTopic(topic, 6);
        List<Future<?>> sent = Collections.synchronizedList(new ArrayList<>());
        Thread writer = new Thread(() -> {
            try (KafkaProducer<byte[], byte[]> producer = clients.producer("linger.ms", "1")) {
                for (int n = 0; n < total; n++) {
                    sent.add(producer.send(new ProducerRecord<>(topic, n % 6, null, Clients.utf8("value " + n))));
                    if (n % 100 == 0) {
                        producer.flush();
                    }
                }
            }
        });
        Reading read = new Reading();
        List<Member> members = new ArrayList<>();
        writer.start();
        for (int round = 0; round < 6; round++) {
            if (round == 3) {
                Member leaves = members.remove(0);
                leaves.consumer.commitSync();
                leaves.close();
            } else {
                members.add(new Member(clients, topic, topic));
            }
            List<String> goal = numbered(0, total * (round + 1) / 8);
            eventually("round " + round, () -> {
                read.step(members);
                members.forEach(member -> member.consumer.commitAsync());
                return read.has(goal) && members.stream().noneMatch(member -> member.assigned().isEmpty());
            });
        }
        read.until(numbered(0, total), members.toArray(new Member[0]));
        writer.join();
        for (Future<?> future : sent) {
            get(future);
        }
        members.forEach(Member::close);
    }

    /** The broker stops while a member reads and commits. */
    private void stopped(String order) throws Exception {
        String topic = "java-" + order;
        clients.createTopic(topic, 2);
        clients.spread(topic, 2, numbered(0, 500));
        Reading read = new Reading();
        try (Member member = new Member(clients, topic, topic)) {
            read.until(numbered(0, 500), member);
            member.consumer.commitSync();
            Suite.broker(order);
            same(250L, committed(member.consumer, new TopicPartition(topic, 0)).offset());
            clients.spread(topic, 2, numbered(500, 1_000));
            read.until(numbered(0, 1_000), member);
            eventually("a commit after the stop", () -> {
                member.poll();
                try {
                    member.consumer.commitSync();
                } catch (CommitFailedException rebalanced) {
                    return false;
                }
                return committed(member.consumer, new TopicPartition(topic, 1)).offset() == 500;
            });
        }
    }
}
