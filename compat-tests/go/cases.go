package main

import (
	"fmt"
	"slices"
	"time"
)

// suite holds the cases, which are the same for each library.
type suite struct {
	client client
	// prefix keeps the topics and groups of two libraries on one broker apart.
	prefix string
}

func (s suite) cases() map[string]func() {
	return map[string]func(){
		"codecs":       s.codecs,
		"rebalance":    s.rebalance,
		"commits":      s.commits,
		"admin-topics": s.adminTopics,
		"admin-groups": s.adminGroups,
		"kill":         func() { s.stopped("kill") },
		"restart":      func() { s.stopped("restart") },
	}
}

func numbered(from, to int) []string {
	var values []string
	for n := from; n < to; n++ {
		values = append(values, fmt.Sprintf("a value that compresses, number %d", n))
	}
	return values
}

func (s suite) topic(name string, partitions int) string {
	topic := s.prefix + "-" + name
	must(s.client.createTopic(topic, partitions, nil))
	eventually("the topic "+topic, func() bool { return s.client.partitions(topic) == partitions })
	return topic
}

// reading keeps what members of a group read.
type reading struct {
	seen map[string]int
	next map[int]int64
}

func newReading() *reading { return &reading{map[string]int{}, map[int]int64{}} }

// until polls the members in turn until every value was seen.
func (r *reading) until(values []string, members ...member) {
	missing := func(value string) bool { return r.seen[value] == 0 }
	eventually(fmt.Sprintf("all of %d values", len(values)), func() bool {
		for _, member := range members {
			for _, record := range member.poll(20 * time.Millisecond) {
				r.seen[record.value]++
				next, known := r.next[record.partition]
				check(!known || record.offset <= next, "partition %d goes from %d to %d", record.partition, next, record.offset)
				r.next[record.partition] = max(next, record.offset+1)
			}
		}
		return !slices.ContainsFunc(values, missing)
	})
}

// onlyOnce fails if a value came twice.
func (r *reading) onlyOnce() {
	for value, times := range r.seen {
		check(times == 1, "%q came %d times", value, times)
	}
}

// share polls until the members have these numbers of partitions.
func share(members []member, expected ...int) {
	eventually(fmt.Sprintf("the shares %v", expected), func() bool {
		var found []int
		for _, member := range members {
			check(len(member.poll(20*time.Millisecond)) == 0, "a record while none is new")
			found = append(found, member.assigned())
		}
		slices.Sort(found)
		return slices.Equal(found, expected)
	})
}

func (s suite) codecs() {
	for _, codec := range s.client.codecs() {
		topic := s.topic("codec-"+codec, 1)
		values := numbered(0, 300)
		s.client.send(topic, 1, codec, values)
		reader := s.client.join(s.prefix+"-codec-"+codec, topic)
		read := newReading()
		read.until(values, reader)
		read.onlyOnce()
		reader.leave()
	}
}

// rebalance: one member has all, a second takes half, the second leaves, the first has all again. Each commits what it
// read before a change, so nothing comes twice.
func (s suite) rebalance() {
	topic := s.topic("rebalance", 4)
	group := s.prefix + "-rebalance"
	values := numbered(0, 240)
	s.client.send(topic, 4, "none", values[:80])
	read := newReading()
	first := s.client.join(group, topic)
	read.until(values[:80], first)
	must(first.commit())
	share([]member{first}, 4)

	second := s.client.join(group, topic)
	share([]member{first, second}, 2, 2)
	s.client.send(topic, 4, "none", values[80:160])
	read.until(values[80:160], first, second)
	must(first.commit())
	must(second.commit())

	second.leave()
	share([]member{first}, 4)
	s.client.send(topic, 4, "none", values[160:])
	read.until(values, first)
	read.onlyOnce()
	must(first.commit())
	first.leave()
	for partition, offset := range s.client.committed(group, topic) {
		same(60, offset, fmt.Sprintf("committed of partition %d", partition))
	}
}

// commits: who comes later goes on after what was committed, and sees again what was not.
func (s suite) commits() {
	topic := s.topic("commits", 1)
	group := s.prefix + "-commits"
	values := numbered(0, 30)
	read := func(values []string) member {
		s.client.send(topic, 1, "none", values)
		reader, seen := s.client.join(group, topic), newReading()
		seen.until(values, reader)
		seen.onlyOnce()
		same(len(values), len(seen.seen), "values read")
		return reader
	}
	first := read(values[:10])
	must(first.commit())
	same(10, s.client.committed(group, topic)[0], "the first commit")
	first.leave()
	read(values[10:20]).leave()
	same(10, s.client.committed(group, topic)[0], "after a member that did not commit")

	third, seen := s.client.join(group, topic), newReading()
	seen.until(values[10:20], third)
	same(10, len(seen.seen), "values that were not committed")
	must(third.commit())
	third.leave()
	same(20, s.client.committed(group, topic)[0], "the second commit")
}

func (s suite) adminTopics() {
	topic := s.prefix + "-topics"
	must(s.client.createTopic(topic, 3, map[string]string{"retention.ms": "77777"}))
	eventually("three partitions", func() bool { return s.client.partitions(topic) == 3 })
	check(s.client.createTopic(topic, 3, nil) != nil, "a topic was created twice")
	same("77777", s.client.topicConfig(topic, "retention.ms"), "retention.ms")
	s.client.setTopicConfig(topic, "retention.ms", "88888")
	eventually("the changed config", func() bool { return s.client.topicConfig(topic, "retention.ms") == "88888" })
	s.client.addPartitions(topic, 5)
	eventually("five partitions", func() bool { return s.client.partitions(topic) == 5 })
	s.client.send(topic, 5, "none", numbered(0, 10))
	spans := s.client.spans(topic)
	same(5, len(spans), "partitions with offsets")
	for partition, found := range spans {
		same(span{0, 2}, found, fmt.Sprintf("offsets of partition %d", partition))
	}
	s.client.deleteTopic(topic)
	eventually("no topic", func() bool { return s.client.partitions(topic) == 0 })
}

func (s suite) adminGroups() {
	topic := s.topic("groups", 2)
	group := s.prefix + "-groups"
	values := numbered(0, 10)
	s.client.send(topic, 2, "none", values)
	reader := s.client.join(group, topic)
	newReading().until(values, reader)
	must(reader.commit())
	check(slices.Contains(s.client.groups(), group), "the group is not listed")
	state, members := s.client.group(group)
	same("Stable", state, "state")
	same(1, members, "members")
	committed := s.client.committed(group, topic)
	check(len(committed) == 2 && committed[0] == 5 && committed[1] == 5, "committed %v", committed)
	check(s.client.deleteGroup(group) != nil, "a group with a member was deleted")
	reader.leave()
	eventually("an empty group", func() bool {
		state, members := s.client.group(group)
		return state == "Empty" && members == 0
	})
	must(s.client.deleteGroup(group))
	check(!slices.Contains(s.client.groups(), group), "the deleted group is listed")
}

// stopped: the broker stops in the midst of producing and consuming. Nothing that was acknowledged is lost, the
// consumer goes on in its group, and its commits hold.
func (s suite) stopped(order string) {
	topic := s.topic(order, 2)
	group := s.prefix + "-" + order
	values := numbered(0, 3000)
	sent := make(chan any, 1)
	s.client.send(topic, 2, "none", values[:1000])
	reader, read := s.client.join(group, topic), newReading()
	read.until(values[:1000], reader)
	must(reader.commit())
	go func() {
		defer func() { sent <- recover() }()
		for from := 1000; from < 3000; from += 100 {
			s.client.send(topic, 2, "none", values[from:from+100])
		}
	}()
	read.until(values[:1200], reader)
	broker(order)
	read.until(values, reader)
	if thrown := <-sent; thrown != nil {
		panic(thrown)
	}
	// A connection that the stop cut, or a rebalance after it, may cost an attempt.
	eventually("a commit after the stop", func() bool {
		reader.poll(20 * time.Millisecond)
		return despite(func() bool {
			must(reader.commit())
			committed := s.client.committed(group, topic)
			return committed[0] >= 1500 && committed[1] >= 1500
		})
	})
	reader.leave()
}
