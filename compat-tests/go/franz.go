package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// franz is franz-go: kgo and kadm.
type franz struct {
	bootstrap string
	// serverSide chooses the consumer group protocol (KIP-848).
	serverSide bool
	admin      *kadm.Client
	producers  map[string]*kgo.Client
}

func newFranz(bootstrap string, serverSide bool) client {
	admin := kadm.NewClient(get(kgo.NewClient(kgo.SeedBrokers(bootstrap))))
	return &franz{bootstrap, serverSide, admin, map[string]*kgo.Client{}}
}

// patience is a context that gives up after the deadline.
func patience() context.Context {
	within, stop := context.WithTimeout(context.Background(), deadline)
	time.AfterFunc(deadline, stop)
	return within
}

func (f *franz) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (f *franz) send(topic string, partitions int, codec string, values []string) {
	producer := f.producers[codec]
	if producer == nil {
		producer = get(kgo.NewClient(kgo.SeedBrokers(f.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(franzCodecs[codec]), kgo.ProducerLinger(2*time.Millisecond)))
		f.producers[codec] = producer
	}
	var records []*kgo.Record
	for n, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: []byte(value)})
	}
	must(producer.ProduceSync(patience(), records...).FirstErr())
}

type franzMember struct {
	consumer *kgo.Client
	lock     sync.Mutex
	owned    map[int32]bool
}

func (f *franz) join(group, topic string) member {
	m := &franzMember{owned: map[int32]bool{}}
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range partitions[topic] {
				if owned {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
		}
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)),
	}
	if f.serverSide {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	m.consumer = get(kgo.NewClient(options...))
	return m
}

func (m *franzMember) poll(within time.Duration) (records []record) {
	waiting, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	m.consumer.PollFetches(waiting).EachRecord(func(r *kgo.Record) {
		records = append(records, record{int(r.Partition), r.Offset, string(r.Value)})
	})
	return records
}

func (m *franzMember) assigned() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.owned)
}

func (m *franzMember) commit() error { return m.consumer.CommitUncommittedOffsets(patience()) }
func (m *franzMember) leave()        { m.consumer.Close() }

func (f *franz) createTopic(topic string, partitions int, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	_, err := f.admin.CreateTopic(patience(), int32(partitions), 1, values, topic)
	return err
}

func (f *franz) partitions(topic string) int {
	return len(get(f.admin.ListTopics(patience(), topic))[topic].Partitions)
}

func (f *franz) addPartitions(topic string, total int) {
	must(get(f.admin.UpdatePartitions(patience(), total, topic)).Error())
}

func (f *franz) topicConfig(topic, key string) string {
	configs := get(get(f.admin.DescribeTopicConfigs(patience(), topic)).On(topic, nil)).Configs
	at := slices.IndexFunc(configs, func(config kadm.Config) bool { return config.Key == key })
	check(at >= 0, "no config %s", key)
	return configs[at].MaybeValue()
}

func (f *franz) setTopicConfig(topic, key, value string) {
	changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}
	for _, response := range get(f.admin.AlterTopicConfigs(patience(), changes, topic)) {
		must(response.Err)
	}
}

func (f *franz) spans(topic string) map[int]span {
	spans := map[int]span{}
	ends := get(f.admin.ListEndOffsets(patience(), topic))
	get(f.admin.ListStartOffsets(patience(), topic)).Each(func(start kadm.ListedOffset) {
		end, _ := ends.Lookup(topic, start.Partition)
		must(start.Err)
		must(end.Err)
		spans[int(start.Partition)] = span{start.Offset, end.Offset}
	})
	return spans
}

func (f *franz) deleteTopic(topic string) { must(get(f.admin.DeleteTopic(patience(), topic)).Err) }
func (f *franz) groups() []string         { return get(f.admin.ListGroups(patience())).Groups() }

func (f *franz) group(group string) (string, int) {
	if f.serverSide {
		found := get(f.admin.DescribeConsumerGroups(patience(), group))[group]
		must(found.Err)
		return found.State, len(found.Members)
	}
	found := get(f.admin.DescribeGroups(patience(), group))[group]
	must(found.Err)
	return found.State, len(found.Members)
}

func (f *franz) committed(group, topic string) map[int]int64 {
	offsets := map[int]int64{}
	for partition, offset := range get(f.admin.FetchOffsets(patience(), group))[topic] {
		must(offset.Err)
		offsets[int(partition)] = offset.At
	}
	return offsets
}

func (f *franz) deleteGroup(group string) error {
	_, err := f.admin.DeleteGroup(patience(), group)
	return err
}
