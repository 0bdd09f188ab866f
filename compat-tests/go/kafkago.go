package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
)

var kafkaGoCodecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// segmentio is kafka-go.
type segmentio struct {
	bootstrap string
	client    *kafka.Client
	producers map[string]*kafka.Writer
	members   int
}

func newKafkaGo(bootstrap string) client {
	address := get(net.ResolveTCPAddr("tcp", bootstrap))
	return &segmentio{bootstrap, &kafka.Client{Addr: address}, map[string]*kafka.Writer{}, 0}
}

func (s *segmentio) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (s *segmentio) send(topic string, partitions int, codec string, values []string) {
	producer := s.producers[codec]
	if producer == nil {
		producer = &kafka.Writer{
			Addr: s.client.Addr, RequiredAcks: kafka.RequireAll, Compression: kafkaGoCodecs[codec],
			MaxAttempts: 300, WriteBackoffMin: 50 * time.Millisecond, WriteBackoffMax: 200 * time.Millisecond,
			BatchTimeout: 2 * time.Millisecond,
			Balancer: kafka.BalancerFunc(func(message kafka.Message, _ ...int) int {
				return message.WriterData.(int)
			}),
		}
		s.producers[codec] = producer
	}
	var messages []kafka.Message
	for n, value := range values {
		messages = append(messages, kafka.Message{Topic: topic, Value: []byte(value), WriterData: n % partitions})
	}
	must(producer.WriteMessages(patience(), messages...))
}

type kafkaGoMember struct {
	reader *kafka.Reader
	// done holds the last message of each partition that poll returned.
	done map[int]kafka.Message
	// described tells what the group's coordinator gave this member: a reader does not say.
	described func() int
}

func (s *segmentio) join(group, topic string) member {
	s.members++
	name := fmt.Sprintf("kafka-go-%d", s.members)
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{s.bootstrap}, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset,
		Dialer:            &kafka.Dialer{ClientID: name, Timeout: deadline},
		HeartbeatInterval: 200 * time.Millisecond, JoinGroupBackoff: 100 * time.Millisecond,
		MaxWait: 100 * time.Millisecond, ReadBackoffMin: 20 * time.Millisecond,
	})
	return &kafkaGoMember{reader, map[int]kafka.Message{}, func() int { return s.assignedTo(group, name) }}
}

func (s *segmentio) assignedTo(group, name string) (partitions int) {
	for _, member := range s.describe(group).Members {
		if member.ClientID == name {
			for _, topic := range member.MemberAssignments.Topics {
				partitions += len(topic.Partitions)
			}
		}
	}
	return partitions
}

func (m *kafkaGoMember) poll(within time.Duration) (records []record) {
	waiting, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	for {
		message, err := m.reader.FetchMessage(waiting)
		if err != nil {
			return records
		}
		m.done[message.Partition] = message
		records = append(records, record{message.Partition, message.Offset, string(message.Value)})
	}
}

func (m *kafkaGoMember) assigned() int { return m.described() }

func (m *kafkaGoMember) commit() error {
	var messages []kafka.Message
	for _, message := range m.done {
		messages = append(messages, message)
	}
	clear(m.done)
	return m.reader.CommitMessages(patience(), messages...)
}

func (m *kafkaGoMember) leave() { must(m.reader.Close()) }

func (s *segmentio) createTopic(topic string, partitions int, configs map[string]string) error {
	wanted := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for key, value := range configs {
		wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	request := &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}}
	return get(s.client.CreateTopics(patience(), request)).Errors[topic]
}

func (s *segmentio) partitions(topic string) int {
	return len(get(s.client.Metadata(patience(), &kafka.MetadataRequest{Topics: []string{topic}})).Topics[0].Partitions)
}

func (s *segmentio) addPartitions(topic string, total int) {
	wanted := []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(total)}}
	request := &kafka.CreatePartitionsRequest{Topics: wanted}
	must(get(s.client.CreatePartitions(patience(), request)).Errors[topic])
}

func (s *segmentio) topicConfig(topic, key string) string {
	resource := kafka.DescribeConfigRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key},
	}
	request := &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{resource}}
	entries := get(s.client.DescribeConfigs(patience(), request)).Resources[0].ConfigEntries
	same(1, len(entries), "entries of "+key)
	return entries[0].ConfigValue
}

func (s *segmentio) setTopicConfig(topic, key, value string) {
	change := kafka.IncrementalAlterConfigsRequestConfig{
		Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet,
	}
	resource := kafka.IncrementalAlterConfigsRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{change},
	}
	request := &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{resource},
	}
	must(get(s.client.IncrementalAlterConfigs(patience(), request)).Resources[0].Error)
}

func (s *segmentio) spans(topic string) map[int]span {
	var wanted []kafka.OffsetRequest
	for partition := range s.partitions(topic) {
		wanted = append(wanted, kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition))
	}
	request := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: wanted}}
	spans := map[int]span{}
	for _, found := range get(s.client.ListOffsets(patience(), request)).Topics[topic] {
		must(found.Error)
		spans[found.Partition] = span{found.FirstOffset, found.LastOffset}
	}
	return spans
}

func (s *segmentio) deleteTopic(topic string) {
	request := &kafka.DeleteTopicsRequest{Topics: []string{topic}}
	must(get(s.client.DeleteTopics(patience(), request)).Errors[topic])
}

func (s *segmentio) groups() (groups []string) {
	response := get(s.client.ListGroups(patience(), &kafka.ListGroupsRequest{}))
	must(response.Error)
	for _, group := range response.Groups {
		groups = append(groups, group.GroupID)
	}
	return groups
}

func (s *segmentio) describe(group string) kafka.DescribeGroupsResponseGroup {
	request := &kafka.DescribeGroupsRequest{GroupIDs: []string{group}}
	found := get(s.client.DescribeGroups(patience(), request)).Groups[0]
	must(found.Error)
	return found
}

func (s *segmentio) group(group string) (string, int) {
	found := s.describe(group)
	return found.GroupState, len(found.Members)
}

func (s *segmentio) committed(group, topic string) map[int]int64 {
	var wanted []int
	for partition := range s.partitions(topic) {
		wanted = append(wanted, partition)
	}
	request := &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: wanted}}
	response := get(s.client.OffsetFetch(patience(), request))
	must(response.Error)
	offsets := map[int]int64{}
	for _, found := range response.Topics[topic] {
		must(found.Error)
		offsets[found.Partition] = found.CommittedOffset
	}
	return offsets
}

func (s *segmentio) deleteGroup(group string) error {
	request := &kafka.DeleteGroupsRequest{GroupIDs: []string{group}}
	return get(s.client.DeleteGroups(patience(), request)).Errors[group]
}
