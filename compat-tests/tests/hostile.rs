//! Clients that mean harm, or know no better: nothing they send takes the broker down, fills its memory, or harms the
//! client beside them. `-- --nocapture` prints what each attack cost.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyhow::{Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::siege::{alone, besiege};
use ottla_compat_tests::wire::{Wire, encode, fetch_request, framed, produce_request};
use ottla_compat_tests::{Node, bomb, only_ottla, rough};

/// What a broker with its defaults may take, whatever comes.
const LIMIT_BYTES: u64 = 200 << 20;

/// `socket.request.max.bytes` by default.
const CAP_BYTES: i32 = 104_857_600;

fn frame(size: i32, content: &[u8]) -> Vec<u8> {
    [&size.to_be_bytes()[..], content].concat()
}

/// API key, version, correlation id, no client id; with the empty tags of flexible headers if `flexible`.
fn header(key: i16, version: i16, flexible: bool) -> Vec<u8> {
    let mut header = BytesMut::new();
    header.put_i16(key);
    header.put_i16(version);
    header.put_i32(7);
    header.put_i16(-1);
    if flexible {
        header.put_u8(0);
    }
    header.to_vec()
}

#[test]
fn frames_that_are_none_close_their_connection() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let metadata = (ApiKey::Metadata as i16).to_be_bytes();
    let mut closing = vec![
        frame(CAP_BYTES + 1, &[]),
        frame(CAP_BYTES + 1, &[0, 0]),
        frame(CAP_BYTES, &metadata),
        b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n".to_vec(),
        // The ClientHello of TLS 1.2, up to its random bytes.
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        framed(&header(ApiKey::Metadata as i16, 1, false)[..8]),
        framed(&header(ApiKey::Metadata as i16, 12, false)[..8]),
    ];
    closing.extend((-2..8).map(|size| frame(size, &[0; 8])));
    closing.extend([i32::MAX, i32::MIN].map(|size| frame(size, &[])));
    for key in [-1, 4, 8, 93, 999, i16::MAX, i16::MIN] {
        closing.push(framed(&header(key, 0, false)));
    }
    for version in [-1, 14, 99, i16::MAX, i16::MIN] {
        closing.push(framed(&header(ApiKey::Metadata as i16, version, true)));
    }
    let mut node = Node::start();
    besiege("frames that are none", &mut node, LIMIT_BYTES, |node| {
        for _ in 0..20 {
            for bytes in &closing {
                let mut stream = rough::connect(&node.bootstrap())?;
                // The broker may close before all of it is sent.
                let _ = stream.write_all(bytes);
                let answer = rough::rest(&mut stream)?;
                ensure!(answer.is_empty(), "{bytes:x?} is answered with {answer:x?}");
            }
        }
        // As large as may be, and then nothing: it waits, and holds nothing meanwhile.
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let mut stream = rough::connect(&node.bootstrap())?;
            stream.write_all(&frame(CAP_BYTES, &[0, 0, 0, 9]))?;
            waiting.push(stream);
        }
        let mut next = rough::noise(1);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..next() % 300).map(|_| next() as u8).collect();
            rough::send_and_reset(&node.bootstrap(), &bytes)?;
        }
        waiting.into_iter().for_each(rough::reset);
        Ok(())
    })
}

/// In each version of each API, lengths and counts of two billion in every field.
#[test]
fn bodies_that_lie_are_answered_or_close_their_connection() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    let listed = node.wire().call(0, &ApiVersionsRequest::default())?.api_keys;
    let claims: [&[u8]; 5] =
        [&[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0x07], &[0x80], &[1, 0xff]];
    besiege("bodies that lie", &mut node, LIMIT_BYTES, |node| {
        let probe = framed(&encode(8, 0, &ApiVersionsRequest::default())?);
        for api in &listed {
            let versions = [api.min_version, (api.min_version + api.max_version) / 2, api.max_version];
            for version in versions {
                let key = ApiKey::try_from(api.api_key).expect("a known API");
                let flexible = key.request_header_version(version) >= 2;
                for claim in claims {
                    for zeros in 0..12 {
                        let mut body = header(api.api_key, version, flexible);
                        body.resize(body.len() + zeros, 0);
                        body.extend(claim.repeat(12));
                        let mut stream = rough::connect(&node.bootstrap())?;
                        let sent = stream.write_all(&framed(&body)).and_then(|()| stream.write_all(&probe));
                        drop(sent);
                        stream.shutdown(Shutdown::Write).ok();
                        rough::rest(&mut stream)?;
                        rough::reset(stream);
                    }
                }
            }
        }
        Ok(())
    })
}

#[test]
fn clients_that_vanish_leave_nothing_behind() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("large", 1, &[])?;
    for _ in 0..30 {
        wire.append("large", 0, &Batch::of_values(&["x".repeat(900_000).as_str()]).encode())?;
    }
    let mut fetch = fetch_request("large", 0, 0).with_max_bytes(i32::MAX);
    fetch.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    let fetch = framed(&encode(7, 12, &fetch)?);
    let metadata = framed(&encode(7, 12, &kafka_protocol::messages::MetadataRequest::default())?);
    let produce = produce_request("large", 0, -1, Batch::of_values(&["y".repeat(100_000).as_str()]).encode());
    let produce = framed(&encode(7, 9, &produce)?);
    besiege("clients that vanish", &mut node, LIMIT_BYTES, |node| {
        let at = node.bootstrap();
        for round in 0..500 {
            drop(rough::connect(&at)?);
            rough::send_and_reset(&at, &[])?;
            rough::send_and_reset(&at, &produce[..round * 200 % produce.len()])?;
            // Half open: what was asked before may be answered, and then the broker closes too.
            rough::send_and_finish(&at, &metadata)?;
            // In the midst of a response of 27 MB, after as much as came at once.
            let mut stream = rough::connect(&at)?;
            stream.write_all(&fetch)?;
            let mut some = vec![0; 100_000];
            ensure!(stream.read(&mut some)? > 0, "a response begins");
            rough::reset(stream);
        }
        // Byte by byte is a valid request too.
        let mut stream = rough::connect(&at)?;
        for byte in &metadata {
            stream.write_all(&[*byte])?;
        }
        ensure!(stream.read(&mut [0; 4])? > 0, "an answer to a request that came byte by byte");
        Ok(())
    })
}

#[test]
fn a_hundred_thousand_garbage_connections_in_series() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    besiege("100,000 garbage connections", &mut node, LIMIT_BYTES, |node| {
        let mut next = rough::noise(2);
        for number in 0..100_000_u64 {
            let mut bytes = next().to_be_bytes().repeat(1 + number as usize % 8);
            // Each second one begins like a frame of a request.
            if number % 2 == 0 {
                bytes[..6].copy_from_slice(&[0, 0, 0, 40, 0, (number % 76) as u8]);
            }
            rough::send_and_reset(&node.bootstrap(), &bytes)?;
        }
        Ok(())
    })
}

/// The broker opens batches where a topic asks for another compression than the producer's.
#[test]
fn batches_that_decompress_to_gigabytes_are_refused() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("opened", 1, &[("compression.type", "uncompressed")])?;
    // One batch of 64 MiB is open at a time, and half as much again while its buffer grows.
    besiege("decompression bombs", &mut node, 200 << 20, |node| {
        for size in [1_000, 100_000, 900_000] {
            for (codec, batch) in bomb::all(size) {
                let answer = node.wire().produce("opened", 0, -1, &batch)?;
                ensure!(answer.error_code != 0, "{codec} of {size} bytes is taken");
            }
        }
        let at_once: Vec<_> = (0..8).map(|_| node.wire()).collect();
        std::thread::scope(|scope| {
            for mut wire in at_once {
                scope.spawn(move || {
                    for (codec, batch) in bomb::all(900_000) {
                        let answer = wire.produce("opened", 0, -1, &batch).expect("an answer");
                        assert!(answer.error_code != 0, "{codec} is taken");
                    }
                });
            }
        });
        Ok(())
    })
}

#[test]
fn record_counts_that_lie_are_refused() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    // Only there are the records looked at.
    wire.create_topic("opened", 1, &[("compression.type", "gzip")])?;
    let records = Batch::of_values(&["a", "b"]).encode();
    for count in [0, 1, 3, 1_000_000, i32::MAX, -1, i32::MIN + 1] {
        let lying: Bytes = bomb::batch(0, count, &records[61..]);
        let answer = wire.produce("opened", 0, -1, &lying)?;
        assert!(answer.error_code != 0, "a count of {count} for two records is taken");
    }
    assert_eq!(wire.append("opened", 0, &records)?, 0);
    Ok(())
}

/// Clients of all kinds take the descriptors; the logs keep theirs, also when they roll.
#[test]
fn clients_do_not_take_the_last_open_files() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    // The soft limit is as low as some systems have it; the hard one is what the broker may go to.
    let mut node = Node::with_open_files((100, 400), &[]);
    assert_eq!(node.open_file_limit(), 400, "raised at the start");
    let mut wire = node.wire();
    wire.create_topic("rolling", 1, &[("segment.bytes", "1048576")])?;
    besiege("more connections than files", &mut node, LIMIT_BYTES, |node| {
        let held: Vec<_> = (0..1000).map(|_| rough::connect(&node.bootstrap())).collect::<std::io::Result<_>>()?;
        let batch = Batch::of_values(&["x".repeat(600_000).as_str()]).encode();
        for offset in 0..20 {
            ensure!(wire.append("rolling", 0, &batch)? == offset, "a log that rolls");
        }
        ensure!(node.open_files() <= 400, "{} open files", node.open_files());
        drop(held);
        Ok(())
    })?;
    Wire::connect(&node.bootstrap())?.broker_ids()?;
    Ok(())
}
