"""The cases, which are the same for each library.

A library is a class with these methods: codecs, send(topic, partitions, codec, values), join(group, topic) -> member,
create_topic(topic, partitions, configs), partitions(topic), add_partitions(topic, total), topic_config(topic, key),
set_topic_config(topic, key, value), spans(topic) -> {partition: (start, end)}, delete_topic(topic), groups(),
group(group) -> (state, members), committed(group, topic) -> {partition: offset}, delete_group(group).
A member begins at the first record and commits only when told to: poll(seconds) -> records, assigned() -> number of
partitions, commit(), leave().
"""

import threading

from suite import broker, check, eventually, fails, same


def numbered(begin, end):
    return [f"a value that compresses, number {n}" for n in range(begin, end)]


class Reading:
    """What members of a group read."""

    def __init__(self):
        self.seen = {}
        self.next = {}

    def until(self, values, *members):
        """Polls the members in turn until every value was seen; no partition may skip an offset."""

        def all_seen():
            for member in members:
                for record in member.poll(0.02):
                    self.seen[record.value] = self.seen.get(record.value, 0) + 1
                    expected = self.next.get(record.partition, record.offset)
                    check(record.offset <= expected, f"{record} after offset {expected}")
                    self.next[record.partition] = max(expected, record.offset + 1)
            return all(value in self.seen for value in values)

        eventually(f"all of {len(values)} values", all_seen)

    def only_once(self):
        for value, times in self.seen.items():
            same(1, times, value)


def share(members, expected):
    """Polls until the members have these numbers of partitions."""

    def found():
        for member in members:
            same([], member.poll(0.02), "records while none is new")
        return sorted(member.assigned() for member in members) == expected

    eventually(f"the shares {expected}", found)


class Cases:
    def __init__(self, client, prefix):
        self.client = client
        self.prefix = prefix

    def topic(self, name, partitions):
        topic = f"{self.prefix}-{name}"
        self.client.create_topic(topic, partitions, {})
        eventually(f"the topic {topic}", lambda: self.client.partitions(topic) == partitions)
        return topic

    def codecs(self):
        for codec in self.client.codecs:
            topic = self.topic(f"codec-{codec}", 1)
            values = numbered(0, 300)
            self.client.send(topic, 1, codec, values)
            reader, read = self.client.join(f"{self.prefix}-codec-{codec}", topic), Reading()
            read.until(values, reader)
            read.only_once()
            reader.leave()

    def rebalance(self):
        """One member has all, a second takes half, the second leaves, the first has all again. Each commits what it
        read before a change, so nothing comes twice."""
        topic, group = self.topic("rebalance", 4), f"{self.prefix}-rebalance"
        values, read = numbered(0, 240), Reading()
        self.client.send(topic, 4, "none", values[:80])
        first = self.client.join(group, topic)
        read.until(values[:80], first)
        first.commit()
        share([first], [4])

        second = self.client.join(group, topic)
        share([first, second], [2, 2])
        self.client.send(topic, 4, "none", values[80:160])
        read.until(values[80:160], first, second)
        first.commit()
        second.commit()

        second.leave()
        share([first], [4])
        self.client.send(topic, 4, "none", values[160:])
        read.until(values, first)
        read.only_once()
        first.commit()
        first.leave()
        same({n: 60 for n in range(4)}, self.client.committed(group, topic), "committed")

    def commits(self):
        """Who comes later goes on after what was committed, and sees again what was not."""
        topic, group = self.topic("commits", 1), f"{self.prefix}-commits"
        values = numbered(0, 30)

        def read(values):
            self.client.send(topic, 1, "none", values)
            reader, read = self.client.join(group, topic), Reading()
            read.until(values, reader)
            read.only_once()
            same(len(values), len(read.seen), "values read")
            return reader

        first = read(values[:10])
        first.commit()
        same({0: 10}, self.client.committed(group, topic), "the first commit")
        first.leave()
        read(values[10:20]).leave()
        same({0: 10}, self.client.committed(group, topic), "after a member that did not commit")

        third, again = self.client.join(group, topic), Reading()
        again.until(values[10:20], third)
        same(10, len(again.seen), "values that were not committed")
        third.commit()
        third.leave()
        same({0: 20}, self.client.committed(group, topic), "the second commit")

    def admin_topics(self):
        client, topic = self.client, f"{self.prefix}-topics"
        client.create_topic(topic, 3, {"retention.ms": "77777"})
        eventually("three partitions", lambda: client.partitions(topic) == 3)
        fails("a topic is created twice", lambda: client.create_topic(topic, 3, {}))
        same("77777", client.topic_config(topic, "retention.ms"), "retention.ms")
        client.set_topic_config(topic, "retention.ms", "88888")
        eventually("the changed config", lambda: client.topic_config(topic, "retention.ms") == "88888")
        client.add_partitions(topic, 5)
        eventually("five partitions", lambda: client.partitions(topic) == 5)
        client.send(topic, 5, "none", numbered(0, 10))
        same({n: (0, 2) for n in range(5)}, client.spans(topic), "offsets")
        client.delete_topic(topic)
        eventually("no topic", lambda: client.partitions(topic) == 0)

    def admin_groups(self):
        client, topic, group = self.client, self.topic("groups", 2), f"{self.prefix}-groups"
        values = numbered(0, 10)
        client.send(topic, 2, "none", values)
        reader = client.join(group, topic)
        Reading().until(values, reader)
        reader.commit()
        check(group in client.groups(), "the group is not listed")
        same(("Stable", 1), client.group(group), "the group")
        same({0: 5, 1: 5}, client.committed(group, topic), "committed")
        if client.deletes_groups:
            fails("a group with a member is deleted", lambda: client.delete_group(group))
        reader.leave()
        eventually("an empty group", lambda: client.group(group) == ("Empty", 0))
        if client.deletes_groups:
            client.delete_group(group)
            check(group not in client.groups(), "the deleted group is listed")

    def stopped(self, order):
        """The broker stops in the midst of producing and consuming. Nothing that was acknowledged is lost, the
        consumer goes on in its group, and its commits hold."""
        topic, group = self.topic(order, 2), f"{self.prefix}-{order}"
        values, read = numbered(0, 3000), Reading()
        self.client.send(topic, 2, "none", values[:1000])
        reader = self.client.join(group, topic)
        read.until(values[:1000], reader)
        reader.commit()

        failures = []

        def send():
            try:
                for begin in range(1000, 3000, 100):
                    self.client.send(topic, 2, "none", values[begin : begin + 100])
            except Exception as failure:
                failures.append(failure)

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        read.until(values[:1200], reader)
        broker(order)
        read.until(values, reader)
        sending.join()
        same([], failures, "failures to send")

        def committed():
            reader.poll(0.02)
            try:
                reader.commit()
                return min(self.client.committed(group, topic).values()) >= 1500
            except Exception:
                # A connection that the stop cut, or a rebalance after it, may cost an attempt.
                return False

        eventually("a commit after the stop", committed)
        reader.leave()

    def by_name(self):
        return {
            "codecs": self.codecs,
            "rebalance": self.rebalance,
            "commits": self.commits,
            "admin-topics": self.admin_topics,
            "admin-groups": self.admin_groups,
            "kill": lambda: self.stopped("kill"),
            "restart": lambda: self.stopped("restart"),
        }
