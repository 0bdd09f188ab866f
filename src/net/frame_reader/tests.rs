use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

const CAPS: FrameCaps = FrameCaps { large_bytes: 10 << 20, other_bytes: 1 << 20 };
const METADATA: [u8; 2] = [0, 3];
const PRODUCE: [u8; 2] = [0, 0];

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn frame(api_key: [u8; 2], size_bytes: usize) -> Vec<u8> {
    let mut bytes = (size_bytes as i32).to_be_bytes().to_vec();
    bytes.extend(api_key);
    bytes.resize(4 + size_bytes, 7);
    bytes
}

/// Reads for as long as something comes.
async fn read_a_while(reader: &mut FrameReader, stream: &mut TcpStream) -> Option<Result<Option<Frame>, ReadError>> {
    tokio::time::timeout(Duration::from_millis(100), reader.next(stream)).await.ok()
}

#[tokio::test]
async fn a_claimed_size_takes_no_room() {
    let (mut client, mut server) = pair().await;
    let memory = RequestMemory::new(20 << 20);
    let mut reader = FrameReader::new(CAPS, memory.clone());
    let whole = frame(PRODUCE, 10 << 20);
    client.write_all(&whole[..EARNEST_BYTES - 1]).await.unwrap();
    assert!(read_a_while(&mut reader, &mut server).await.is_none());
    assert!(!reader.holds_room());
    assert!(reader.buffer.capacity() <= 2 * EARNEST_BYTES, "{}", reader.buffer.capacity());
    client.write_all(&whole[EARNEST_BYTES - 1..=EARNEST_BYTES]).await.unwrap();
    assert!(read_a_while(&mut reader, &mut server).await.is_none());
    assert!(reader.holds_room());
    assert_eq!(memory.used_and_available_bytes().0, FIRST_ROOM_BYTES as u64);
    assert_eq!(room_for(FIRST_ROOM_BYTES, whole.len()), FIRST_ROOM_BYTES * ROOM_GROWTH);
    assert_eq!(room_for(FIRST_ROOM_BYTES * ROOM_GROWTH, whole.len()), whole.len());
}

#[tokio::test]
async fn a_small_frame_that_grows_when_decoded_is_charged() {
    let (mut client, mut server) = pair().await;
    let mut reader = FrameReader::new(CAPS, RequestMemory::new(20 << 20));
    for (api_key, size_bytes, is_charged) in [(METADATA, 500, false), (METADATA, 5000, true), (PRODUCE, 5000, false)]
    {
        client.write_all(&frame(api_key, size_bytes)).await.unwrap();
        let read = reader.next(&mut server).await.unwrap().unwrap();
        assert_eq!(read.bytes.len(), size_bytes);
        assert_eq!(read.lease.is_held(), is_charged, "API {api_key:?}, {size_bytes} bytes");
        assert!(!reader.holds_room(), "the frame has it");
    }
}

#[tokio::test]
async fn who_sends_slowly_does_not_keep_room_from_others() {
    let (mut client, mut server) = pair().await;
    let memory = RequestMemory::new(FIRST_ROOM_BYTES);
    let mut reader = FrameReader::new(CAPS, memory.clone());
    client.write_all(&frame(PRODUCE, 9 << 20)[..EARNEST_BYTES]).await.unwrap();
    assert!(read_a_while(&mut reader, &mut server).await.is_none());
    // As if it had been sending for an hour.
    reader.leased_at = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    let mut other = Box::pin(memory.lease(FIRST_ROOM_BYTES));
    assert!(futures_util::poll!(&mut other).is_pending());
    assert!(matches!(reader.next(&mut server).await, Err(ReadError::TooSlow)));
    drop(reader);
    assert!(other.await.is_some());
}

#[tokio::test]
async fn who_sends_slowly_is_let_be_while_there_is_room() {
    let (mut client, mut server) = pair().await;
    let mut reader = FrameReader::new(CAPS, RequestMemory::new(40 << 20));
    client.write_all(&frame(PRODUCE, 9 << 20)[..EARNEST_BYTES]).await.unwrap();
    assert!(read_a_while(&mut reader, &mut server).await.is_none());
    reader.leased_at = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    assert!(read_a_while(&mut reader, &mut server).await.is_none(), "still waiting for more");
}
