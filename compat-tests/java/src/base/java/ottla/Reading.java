package ottla;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** What the members of a group read of one topic. */
final class Reading {
    private final Map<String, Integer> seen = new HashMap<>();
    private final Map<Integer, Long> next = new HashMap<>();

    /** Polls each member once. No partition may skip an offset. */
    void step(Iterable<Member> members) {
        for (Member member : members) {
            for (ConsumerRecord<byte[], byte[]> record : member.poll()) {
                seen.merge(Clients.text(record.value()), 1, Integer::sum);
                long expected = next.getOrDefault(record.partition(), record.offset());
                Suite.check(record.offset() <= expected, "after offset " + expected + " came " + record);
                next.put(record.partition(), Math.max(expected, record.offset() + 1));
            }
        }
    }

    /** Polls the members in turn until every value was seen. */
    void until(List<String> values, Member... members) throws Exception {
        Suite.eventually("all of " + values.size() + " values", () -> {
            step(Arrays.asList(members));
            return has(values);
        });
    }

    boolean has(List<String> values) {
        return seen.keySet().containsAll(values);
    }

    void onlyOnce() {
        seen.forEach((value, times) -> Suite.check(times == 1, value + " came " + times + " times"));
    }

    static List<String> numbered(int begin, int end) {
        List<String> values = new ArrayList<>();
        for (int n = begin; n < end; n++) {
            values.add("value " + n);
        }
        return values;
    }
}
