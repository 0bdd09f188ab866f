//! Clients that take much and give nothing back: readers that never read, writers of a byte now and then, thousands of
//! idle ones. What they hold stays within the documented bounds. `-- --nocapture` prints what each cost.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::siege::{alone, besiege};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, encode, fetch_partition, fetch_request, framed, name, produce_request};
use ottla_compat_tests::{Node, only_ottla, rough};

const MIB: u64 = 1 << 20;
/// What the process is without clients.
const BASE_BYTES: u64 = 50 * MIB;
/// The bound on request bytes where `queued.max.request.bytes` sets none, and the one request that may go beyond it.
const REQUEST_BYTES: u64 = (256 + 100) * MIB;
/// The bound on large replies that are in memory.
const REPLY_BYTES: u64 = 128 * MIB;

/// Sends until the socket takes no more for a moment: its reader has stopped.
fn send_until_full(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    stream.set_nonblocking(true)?;
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(some) => sent += some,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(())
}

#[test]
fn readers_that_never_read() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("large", 1, &[])?;
    // Metadata of it takes 80 KB.
    wire.create_topic("wide", 3000, &[])?;
    for _ in 0..60 {
        wire.append("large", 0, &Batch::of_values(&["x".repeat(900_000).as_str()]).encode())?;
    }
    let mut fetch = fetch_request("large", 0, 0).with_max_bytes(i32::MAX);
    fetch.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    let fetch = framed(&encode(0, 12, &fetch)?).repeat(60);
    let metadata = framed(&encode(0, 12, &MetadataRequest::default().with_topics(None))?).repeat(60);
    besiege("300 readers that never read", &mut node, BASE_BYTES + REPLY_BYTES, |node| {
        let mut silent = Vec::new();
        for number in 0..300 {
            let mut stream = rough::connect(&node.bootstrap())?;
            send_until_full(&mut stream, if number % 2 == 0 { &fetch } else { &metadata })?;
            silent.push(stream);
        }
        // All of them are being served.
        eventually("small requests are answered", || node.wire().broker_ids().ok());
        ensure!(node.wire().fetch("large", 0, 0)?.error_code == 0, "others are served");
        silent.into_iter().for_each(rough::reset);
        Ok(())
    })
}

/// Announces 100 MiB, sends the first part at once and the rest byte by byte.
#[test]
fn writers_of_a_byte_now_and_then() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("200 writers of a byte now and then", &mut node, BASE_BYTES + REQUEST_BYTES, |node| {
        let mut head = 104_000_000i32.to_be_bytes().to_vec();
        head.extend([0, 0, 0, 9]);
        let (stop, at) = (AtomicBool::new(false), node.bootstrap());
        std::thread::scope(|scope| -> Result<()> {
            for part in 0..4 {
                let (stop, at, head) = (&stop, &at, &head);
                scope.spawn(move || {
                    let connect = |number: usize| {
                        let mut stream = rough::connect(at).expect("a connection");
                        // Half of them in earnest, as far as the broker can tell.
                        let mut first = head.clone();
                        first.resize(if (number + part).is_multiple_of(2) { 70_000 } else { 1000 }, 0);
                        let _ = stream.write_all(&first);
                        stream
                    };
                    let mut slow: Vec<_> = (0..50).map(connect).collect();
                    while !stop.load(Ordering::SeqCst) {
                        for (number, stream) in slow.iter_mut().enumerate() {
                            // Whom the broker has let go comes again.
                            if stream.write_all(&[0]).is_err() {
                                *stream = connect(number);
                            }
                        }
                        std::thread::sleep(std::time::Duration::from_millis(200));
                    }
                });
            }
            // A request as large as many producers send is answered all the same, and again.
            let batch = Batch::of_values(&["x".repeat(900_000).as_str()]).encode();
            let mut result = node.wire().create_topic("large", 1, &[]);
            for _ in 0..5 {
                result = result.and_then(|()| node.wire().append("large", 0, &batch).map(drop));
            }
            stop.store(true, Ordering::SeqCst);
            result
        })
    })
}

#[test]
fn five_thousand_idle_connections() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let allowed = rough::raise_open_file_limit();
    let connections = 5000.min(allowed.saturating_sub(500) as usize);
    let mut node = Node::start();
    let case = format!("{connections} idle connections");
    besiege(&case, &mut node, BASE_BYTES + 5000 * 16 * 1024, |node| {
        let mut idle = Vec::new();
        for number in 0..connections {
            let mut wire = node.wire();
            // Some never say a word, some are half way into a request, the others have had an answer.
            match number % 3 {
                0 => {}
                1 => wire.send_bytes(&[0, 0, 1])?,
                _ => drop(wire.broker_ids()?),
            }
            idle.push(wire);
        }
        ensure!(node.open_files() >= connections, "{} are open", node.open_files());
        Ok(())
    })
}

#[test]
fn a_thousand_long_polls_of_many_partitions() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    node.wire().create_topic("quiet", 1000, &[])?;
    let partitions = (0..1000).map(|partition| fetch_partition(partition, 0)).collect();
    let topic = FetchTopic::default().with_topic(name("quiet")).with_partitions(partitions);
    let request = FetchRequest::default().with_max_wait_ms(20_000).with_min_bytes(1).with_topics(vec![topic]);
    besiege("1,000 long polls of 1,000 partitions", &mut node, 4 * BASE_BYTES, |node| {
        let mut waiting = Vec::new();
        for _ in 0..1000 {
            let mut wire = node.wire();
            wire.send(12, &request)?;
            waiting.push(wire);
        }
        // Their memory is not that of requests: large ones are taken meanwhile.
        node.wire().create_topic("large", 1, &[])?;
        let batch = Batch::of_values(&["x".repeat(900_000).as_str()]).encode();
        for _ in 0..20 {
            node.wire().append("large", 0, &batch)?;
        }
        // News wake those that still wait; the others were told that there is nothing.
        node.wire().append("quiet", 7, &Batch::of_values(&["news"]).encode())?;
        for wire in &mut waiting {
            ensure!(wire.receive::<FetchRequest>(12)?.error_code == 0, "an answer");
        }
        Ok(())
    })
}

#[test]
fn a_thousand_requests_in_flight_on_one_connection() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("flight", 1, &[])?;
    besiege("1,000 requests in flight on one connection", &mut node, 4 * BASE_BYTES, |_| {
        let batch = Batch::of_values(&["x".repeat(50_000).as_str()]).encode();
        let mut sender = wire.split()?;
        std::thread::scope(|scope| -> Result<()> {
            let sending = scope.spawn(move || -> Result<Wire> {
                for _ in 0..1000 {
                    sender.send(9, &produce_request("flight", 0, -1, batch.clone()))?;
                }
                Ok(sender)
            });
            for offset in 0..1000 {
                let answer = wire.receive::<ProduceRequest>(9)?;
                let answer = &answer.responses[0].partition_responses[0];
                ensure!((answer.error_code, answer.base_offset) == (0, offset), "in order");
            }
            sending.join().expect("the sender")?;
            Ok(())
        })
    })
}

#[test]
fn requests_of_100_mib_in_parallel() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    node.wire().create_topic("huge", 1, &[])?;
    besiege("8 requests of 100 MiB in parallel", &mut node, BASE_BYTES + REQUEST_BYTES, |node| {
        let mut frame = framed(&encode(0, 9, &produce_request("huge", 0, -1, vec![0; 104_000_000].into()))?);
        frame.truncate(104_857_604);
        std::thread::scope(|scope| -> Result<()> {
            let sendings: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        let mut wire = node.wire();
                        wire.send_bytes(&frame)?;
                        ensure!(
                            wire.receive::<ProduceRequest>(9)?.responses[0].partition_responses[0].error_code != 0
                        );
                        Ok(())
                    })
                })
                .collect();
            sendings.into_iter().try_for_each(|sending| sending.join().expect("a sender"))
        })
    })
}
