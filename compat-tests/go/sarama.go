package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// ibm is Sarama.
type ibm struct {
	bootstrap []string
	client    sarama.Client
	admin     sarama.ClusterAdmin
	producers map[string]sarama.SyncProducer
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	config.Metadata.Retry.Max, config.Metadata.Retry.Backoff = 300, 100*time.Millisecond
	config.Admin.Retry.Max = 300
	return config
}

func newSarama(bootstrap string) client {
	brokers := []string{bootstrap}
	common := get(sarama.NewClient(brokers, saramaConfig()))
	return &ibm{brokers, common, get(sarama.NewClusterAdminFromClient(common)), map[string]sarama.SyncProducer{}}
}

func (s *ibm) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (s *ibm) send(topic string, partitions int, codec string, values []string) {
	producer := s.producers[codec]
	if producer == nil {
		config := saramaConfig()
		config.Producer.Partitioner = sarama.NewManualPartitioner
		config.Producer.Compression = saramaCodecs[codec]
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Producer.Return.Successes = true
		config.Producer.Retry.Max, config.Producer.Retry.Backoff = 300, 100*time.Millisecond
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		producer = get(sarama.NewSyncProducer(s.bootstrap, config))
		s.producers[codec] = producer
	}
	var messages []*sarama.ProducerMessage
	for n, value := range values {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(n % partitions), Value: sarama.StringEncoder(value)}
		messages = append(messages, message)
	}
	must(producer.SendMessages(messages))
}

// claimed is a message and the session in which it may be marked as read.
type claimed struct {
	message *sarama.ConsumerMessage
	session sarama.ConsumerGroupSession
}

// saramaMember hands the messages of all claims to one channel. A claim ends with its session.
type saramaMember struct {
	group    sarama.ConsumerGroup
	messages chan claimed
	stop     context.CancelFunc
	stopped  chan struct{}

	lock    sync.Mutex
	session sarama.ConsumerGroupSession
	claims  int
}

func (s *ibm) join(group, topic string) member {
	config := saramaConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	running, stop := context.WithCancel(context.Background())
	m := &saramaMember{messages: make(chan claimed), stop: stop, stopped: make(chan struct{})}
	m.group = get(sarama.NewConsumerGroup(s.bootstrap, group, config))
	go func() {
		defer close(m.stopped)
		for running.Err() == nil {
			if m.group.Consume(running, []string{topic}, m) != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	return m
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.set(session, len(slices.Concat(slices.Collect(maps.Values(session.Claims()))...)))
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.set(nil, 0)
	return nil
}

func (m *saramaMember) set(session sarama.ConsumerGroupSession, claims int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session, m.claims = session, claims
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		select {
		case m.messages <- claimed{message, session}:
		case <-session.Context().Done():
			return nil
		}
	}
	return nil
}

func (m *saramaMember) poll(within time.Duration) (records []record) {
	end := time.After(within)
	for {
		select {
		case next := <-m.messages:
			message := next.message
			next.session.MarkMessage(message, "")
			records = append(records, record{int(message.Partition), message.Offset, string(message.Value)})
		case <-end:
			return records
		}
	}
}

func (m *saramaMember) assigned() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.claims
}

// commit says nothing of errors: Sarama reports them elsewhere. The cases look at what is committed.
func (m *saramaMember) commit() error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session != nil {
		m.session.Commit()
	}
	return nil
}

func (m *saramaMember) leave() {
	m.stop()
	<-m.stopped
	must(m.group.Close())
}

func (s *ibm) createTopic(topic string, partitions int, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: values}
	return s.admin.CreateTopic(topic, detail, false)
}

func (s *ibm) partitions(topic string) int {
	found := get(s.admin.DescribeTopics([]string{topic}))[0]
	return len(found.Partitions)
}

func (s *ibm) addPartitions(topic string, total int) {
	must(s.admin.CreatePartitions(topic, int32(total), nil, false))
}

func (s *ibm) topicConfig(topic, key string) string {
	wanted := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}}
	entries := get(s.admin.DescribeConfig(wanted))
	same(1, len(entries), "entries of "+key)
	return entries[0].Value
}

func (s *ibm) setTopicConfig(topic, key, value string) {
	set := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	changes := map[string]sarama.IncrementalAlterConfigsEntry{key: set}
	must(s.admin.IncrementalAlterConfig(sarama.TopicResource, topic, changes, false))
}

func (s *ibm) spans(topic string) map[int]span {
	spans := map[int]span{}
	must(s.client.RefreshMetadata(topic))
	for _, partition := range get(s.client.Partitions(topic)) {
		start := get(s.client.GetOffset(topic, partition, sarama.OffsetOldest))
		spans[int(partition)] = span{start, get(s.client.GetOffset(topic, partition, sarama.OffsetNewest))}
	}
	return spans
}

func (s *ibm) deleteTopic(topic string) { must(s.admin.DeleteTopic(topic)) }

func (s *ibm) groups() []string {
	return slices.Collect(maps.Keys(get(s.admin.ListConsumerGroups())))
}

func (s *ibm) group(group string) (string, int) {
	found := get(s.admin.DescribeConsumerGroups([]string{group}))[0]
	same(sarama.ErrNoError, found.Err, "describing the group")
	return found.State, len(found.Members)
}

func (s *ibm) committed(group, topic string) map[int]int64 {
	offsets := map[int]int64{}
	for partition, block := range get(s.admin.ListConsumerGroupOffsets(group, nil)).Blocks[topic] {
		same(sarama.ErrNoError, block.Err, "a committed offset")
		offsets[int(partition)] = block.Offset
	}
	return offsets
}

func (s *ibm) deleteGroup(group string) error { return s.admin.DeleteConsumerGroup(group) }
