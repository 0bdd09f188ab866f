//! What the hot paths allocate: a small fixed number of blocks a request, whatever the size of the batch, and no more
//! bytes than the frame that came in. A real broker is asked over a real socket; the client allocates nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ottla::adopt::note::Wishes;
use ottla::api::Loggers;
use ottla::broker::Broker;
use ottla::config::{self, Sources};
use ottla::ids::Offset;
use ottla::protocol::records::{NewRecord, RecordBatchBuilder};
use ottla::protocol::wire::messages::create_topics_request::CreatableTopic;
use ottla::protocol::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla::protocol::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla::protocol::wire::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest, RequestHeader, TopicName};
use ottla::protocol::wire::protocol::{Encodable, HeaderVersion, Request, StrBytes};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests that are counted; the mean takes out what the broker does now and then.
const COUNTED: u64 = 200;
/// Requests before them: buffers that stay reach their size.
const WARM_UP: u64 = 50;

/// Blocks that a request may take, from the frame to the reply.
const PRODUCE_BLOCKS: f64 = 40.0;
const FETCH_BLOCKS: f64 = 40.0;

/// Beside a frame's own bytes: what it is read and answered with, and the first 64 KiB of a large one, which come before
/// room is taken for the rest.
const REST_BYTES: f64 = 128.0 * 1024.0;
/// A large frame takes about four blocks more: its room grows once, and is leased. The mean of a small frame's varies by
/// one or two with how many of them share a sync.
const LARGE_FRAME_BLOCKS: f64 = 8.0;

#[test]
fn produce_and_fetch_allocate_a_fixed_number_of_blocks() {
    let profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let set = vec![
        format!("listeners=PLAINTEXT://127.0.0.1:{port}"),
        "admin.listeners=".to_owned(),
        format!("log.dirs={}", home.path().display()),
    ];
    let loaded = config::load(&Sources { set, ..Sources::default() }).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start(loaded.config, Wishes::default(), Loggers::silent())).unwrap();
    let mut client = Client::connect(port);
    client.exchange(&frame(7, &create_topics(&["small", "large"])));

    let (small, large) = (batch(1), batch(900));
    assert!(small.len() < 1200 && large.len() > 900_000);
    for (name, count, limit, frames) in [
        ("produce", 1.0, PRODUCE_BLOCKS, [produce("small", &small), produce("large", &large)]),
        ("fetch", 0.0, FETCH_BLOCKS, [fetch("small", small.len()), fetch("large", large.len())]),
    ] {
        let [of_small, of_large] = [&frames[0], &frames[1]].map(|frame| client.count(frame));
        println!("{name}: {of_small:?} for a batch of 1 record, {of_large:?} for one of 900");
        assert!(of_small.blocks <= limit, "{name}: {of_small:?}");
        assert!(of_large.blocks <= of_small.blocks + LARGE_FRAME_BLOCKS, "{name}: {of_small:?}, {of_large:?}");
        for (frame, counted) in frames.iter().zip([of_small, of_large]) {
            let expected = count * frame.len() as f64 + REST_BYTES;
            assert!(counted.bytes <= expected, "{name}: {counted:?} for a frame of {}", frame.len());
        }
    }
    runtime.block_on(broker.shut_down()).unwrap();
    drop(profiler);
}

/// Of one request, in the mean.
#[derive(Clone, Copy, Debug)]
struct Allocated {
    blocks: f64,
    bytes: f64,
}

struct Client {
    stream: TcpStream,
    reply: Vec<u8>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream, reply: vec![0; 4 << 20] }
    }

    /// Sends a request and takes its reply.
    fn exchange(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).unwrap();
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).unwrap();
        let size = u32::from_be_bytes(size) as usize;
        self.stream.read_exact(&mut self.reply[..size]).unwrap();
    }

    fn count(&mut self, frame: &[u8]) -> Allocated {
        for _ in 0..WARM_UP {
            self.exchange(frame);
        }
        let before = dhat::HeapStats::get();
        for _ in 0..COUNTED {
            self.exchange(frame);
        }
        let after = dhat::HeapStats::get();
        let mean = |before: u64, after: u64| (after - before) as f64 / COUNTED as f64;
        Allocated {
            blocks: mean(before.total_blocks, after.total_blocks),
            bytes: mean(before.total_bytes, after.total_bytes),
        }
    }
}

/// A batch of `records` records of 1000 bytes.
fn batch(records: i64) -> Bytes {
    let value = [7; 1000];
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    for at in 0..records {
        let timestamp_ms = 1_700_000_000_000 + at;
        builder.append(&NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
    }
    builder.build().unwrap().into()
}

fn create_topics(names: &[&'static str]) -> CreateTopicsRequest {
    let topic = |name: &&'static str| {
        let mut topic = CreatableTopic::default();
        topic.name = TopicName(StrBytes::from_static_str(name));
        topic.num_partitions = 1;
        topic.replication_factor = 1;
        topic
    };
    let mut request = CreateTopicsRequest::default();
    request.topics = names.iter().map(topic).collect();
    request.timeout_ms = 30_000;
    request
}

fn produce(topic: &'static str, batch: &Bytes) -> Bytes {
    let mut partition = PartitionProduceData::default();
    partition.records = Some(batch.clone());
    let mut data = TopicProduceData::default();
    data.name = TopicName(StrBytes::from_static_str(topic));
    data.partition_data = vec![partition];
    let mut request = ProduceRequest::default();
    request.acks = -1;
    request.timeout_ms = 30_000;
    request.topic_data = vec![data];
    frame(9, &request)
}

/// The first batch of a topic, which is this large.
fn fetch(topic: &'static str, batch_bytes: usize) -> Bytes {
    let mut partition = FetchPartition::default();
    partition.partition_max_bytes = batch_bytes as i32;
    let mut fetched = FetchTopic::default();
    fetched.topic = TopicName(StrBytes::from_static_str(topic));
    fetched.partitions = vec![partition];
    let mut request = FetchRequest::default();
    request.max_bytes = i32::MAX;
    request.session_epoch = -1;
    request.topics = vec![fetched];
    frame(12, &request)
}

fn frame<R: Request + Encodable + HeaderVersion>(version: i16, request: &R) -> Bytes {
    let mut header = RequestHeader::default();
    header.request_api_key = R::KEY;
    header.request_api_version = version;
    header.correlation_id = 7;
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let size = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame.freeze()
}
