//! A connection that speaks Kafka's protocol as it is told to, right or wrong.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
    ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::wait::{DEADLINE, eventually};

/// Kinds of resources that have configurations.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

/// One connection. Requests may be sent ahead; answers are taken in order.
pub struct Wire {
    stream: TcpStream,
    next_correlation_id: i32,
    next_answer: i32,
    /// The newest version of each API that the broker has, where it is older than what this crate goes by.
    newest: Option<BTreeMap<i16, i16>>,
}

impl Wire {
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream, next_correlation_id: 0, next_answer: 0, newest: None })
    }

    /// A connection to a broker of any age: what is asked by name below goes in the newest version that it has.
    pub fn connect_to_any(address: &str) -> Result<Self> {
        let mut wire = Self::connect(address)?;
        let response = wire.call(0, &ApiVersionsRequest::default())?;
        wire.newest = Some(response.api_keys.iter().map(|api| (api.api_key, api.max_version)).collect());
        Ok(wire)
    }

    fn call_up_to<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let newest = self.newest.as_ref().and_then(|newest| newest.get(&R::KEY)).copied();
        self.call(newest.map_or(version, |newest| newest.min(version)), request)
    }

    /// A second handle on the connection, so that one thread may write while another reads.
    pub fn split(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        let Self { next_correlation_id, next_answer, .. } = *self;
        Ok(Self { stream, next_correlation_id, next_answer, newest: self.newest.clone() })
    }

    /// Sends a request and takes the next answer as its own.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends a request without waiting for its answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        let frame = encode(self.next_correlation_id, version, request)?;
        self.next_correlation_id += 1;
        Ok(self.send_frame(&frame)?)
    }

    /// The next answer, which must carry the next correlation id: answers come in the order of the requests.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut frame = self.read_frame()?.context("the broker closed the connection")?;
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.next_answer, "{} for {}", header.correlation_id, self.next_answer);
        self.next_answer += 1;
        let response = R::Response::decode(&mut frame, version)?;
        ensure!(frame.is_empty(), "{} bytes after the answer to API {}", frame.len(), R::KEY);
        Ok(response)
    }

    /// Counts a request that gets no answer (acks=0).
    pub fn expect_no_answer(&mut self) {
        self.next_answer += 1;
    }

    /// Sends bytes behind their length.
    pub fn send_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(&framed(frame))
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame without its length; none if the broker closed the connection instead.
    pub fn read_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut length = [0; 4];
        if !or_closed(self.stream.read_exact(&mut length))? {
            return Ok(None);
        }
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        Ok(or_closed(self.stream.read_exact(&mut frame))?.then(|| frame.into()))
    }

    /// The ids of the brokers in the metadata.
    pub fn broker_ids(&mut self) -> Result<Vec<i32>> {
        let response = self.call(1, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
        Ok(response.brokers.iter().map(|broker| broker.node_id.0).collect())
    }

    /// Metadata of one topic, which is not created if it is absent.
    pub fn topic(&mut self, topic: &str) -> Result<MetadataResponse> {
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        self.call_up_to(
            11,
            &MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false),
        )
    }

    /// The id of a topic that exists.
    pub fn topic_id(&mut self, topic: &str) -> Result<uuid::Uuid> {
        let response = self.topic(topic)?;
        let found = response.topics.first().context("no such topic")?;
        ensure!(found.error_code == 0, "error {}", found.error_code);
        Ok(found.topic_id)
    }

    /// Creates a topic and waits until each partition is served.
    pub fn create_topic(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        self.request_topic(topic, partitions, configs)?;
        // Kafka answers before its metadata shows the topic, and shows it before the leader serves it.
        eventually("the new topic is served", || {
            let served = |partition| self.list_offset(topic, partition, -1).is_ok_and(|found| found.error_code == 0);
            (0..partitions).all(served).then_some(())
        });
        Ok(())
    }

    /// Creates a topic, and waits for no more than the answer.
    pub fn request_topic(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        let creatable = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(30_000);
        let response = self.call_up_to(7, &request)?;
        let result = &response.topics[0];
        if result.error_code != 0 {
            bail!("create {topic}: error {} {:?}", result.error_code, result.error_message);
        }
        Ok(())
    }

    /// Sets one configuration of a topic or broker; the cluster's default where the name is empty.
    pub fn alter_config(&mut self, kind: i8, name: &str, key: &str, value: &str) -> Result<()> {
        let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let result = self.call(1, &request)?.responses.remove(0);
        ensure!(result.error_code == 0, "{key} of {name}: error {} {:?}", result.error_code, result.error_message);
        Ok(())
    }

    /// How much of an answer could be read now.
    pub fn readable_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.stream).expect("a socket tells it")
    }

    /// Deletes a topic; its files go when `file.delete.delay.ms` is over.
    pub fn delete_topic(&mut self, topic: &str) -> Result<()> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(30_000);
        let code = self.call_up_to(4, &request)?.responses[0].error_code;
        ensure!(code == 0, "delete {topic}: error {code}");
        Ok(())
    }

    /// Sends one batch to one partition (Produce v9) and takes the answer.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: &Bytes,
    ) -> Result<PartitionProduceResponse> {
        let response = self.call_up_to(9, &produce_request(topic, partition, acks, batch.clone()))?;
        Ok(response.responses[0].partition_responses[0].clone())
    }

    /// [`produce`](Self::produce) with acks=all that must succeed; returns the base offset.
    pub fn append(&mut self, topic: &str, partition: i32, batch: &Bytes) -> Result<i64> {
        let answer = self.produce(topic, partition, -1, batch)?;
        ensure!(answer.error_code == 0, "error {} {:?}", answer.error_code, answer.error_message);
        Ok(answer.base_offset)
    }

    /// Fetches one partition (v12, without a session).
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Result<PartitionData> {
        let response = self.call_up_to(12, &fetch_request(topic, partition, offset))?;
        ensure!(response.error_code == 0, "error {}", response.error_code);
        Ok(response.responses[0].partitions[0].clone())
    }

    /// Asks for the offset at a timestamp or at one of the special ones (-1 latest, -2 earliest, -3 max timestamp).
    pub fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> Result<ListOffsetsPartitionResponse> {
        let partition = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        // A Kafka of 2.8 knows no newer version, and no largest timestamp.
        let version = if timestamp == -3 { 7 } else { 6 };
        Ok(self.call_up_to(version, &request)?.topics[0].partitions[0].clone())
    }

    /// Deletes what lies before an offset (-1: everything); returns the error code and the low watermark.
    pub fn delete_records(&mut self, topic: &str, partition: i32, before: i64) -> Result<(i16, i64)> {
        let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
        let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let response = self.call_up_to(2, &request)?;
        let found = &response.topics[0].partitions[0];
        Ok((found.error_code, found.low_watermark))
    }

    /// A new producer id and epoch; a broker that just started may ask to wait (COORDINATOR_LOAD_IN_PROGRESS).
    pub fn new_producer(&mut self) -> Result<(i64, i16)> {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        eventually("a producer id", || match self.call_up_to(4, &request) {
            Ok(response) if response.error_code == 14 => None,
            Ok(response) if response.error_code != 0 => Some(Err(anyhow!("error {}", response.error_code))),
            answer => Some(answer.map(|response| (response.producer_id.0, response.producer_epoch))),
        })
    }
}

/// A request with its header, ready to be framed.
pub fn encode<R: Request>(correlation_id: i32, version: i16, request: &R) -> Result<Bytes> {
    let mut frame = BytesMut::new();
    let key = ApiKey::try_from(R::KEY).ok().context("an API key")?;
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text("compat")));
    header.encode(&mut frame, key.request_header_version(version))?;
    request.encode(&mut frame, version)?;
    Ok(frame.freeze())
}

/// A Produce request with one batch for one partition.
pub fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A Fetch request of one partition that waits for a byte, at most half a second.
pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = fetch_partition(partition, offset);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_topics(vec![FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])])
}

pub fn fetch_partition(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default().with_partition(partition).with_fetch_offset(offset).with_partition_max_bytes(1 << 20)
}

/// A frame behind its size, as it goes over the wire.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as i32).to_be_bytes()[..], frame].concat()
}

pub fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// False if the peer closed or reset the connection.
fn or_closed(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
