package main

import "time"

// record is one message as a case sees it.
type record struct {
	partition int
	offset    int64
	value     string
}

// span is where a partition begins and ends.
type span struct{ start, end int64 }

// client is a library under test, reduced to what the cases need.
type client interface {
	// codecs that the library can write, "none" first.
	codecs() []string
	// send writes value i to partition i modulo partitions, and returns when all are acknowledged. It outlives a
	// restart of the broker.
	send(topic string, partitions int, codec string, values []string)
	// join starts a member of a group that begins at the first record and commits only when told to.
	join(group, topic string) member

	createTopic(topic string, partitions int, configs map[string]string) error
	partitions(topic string) int
	addPartitions(topic string, total int)
	topicConfig(topic, key string) string
	setTopicConfig(topic, key, value string)
	spans(topic string) map[int]span
	deleteTopic(topic string)

	groups() []string
	// group returns a group's state and the number of its members.
	group(group string) (string, int)
	committed(group, topic string) map[int]int64
	deleteGroup(group string) error
}

// member is one consumer in a group.
type member interface {
	// poll returns what came within the time, maybe nothing. Errors that pass by themselves are not reported.
	poll(within time.Duration) []record
	// assigned returns how many partitions the member has.
	assigned() int
	// commit commits everything that poll returned, and waits for the answer.
	commit() error
	// leave commits nothing and leaves the group.
	leave()
}
