//! Reads frames off a socket, within the memory bound.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout_at};

use super::memory::{CHECK_INTERVAL, GrowingLease, RequestMemory, UNCHARGED_BYTES, patience};
use crate::protocol::frame::{self, FrameCaps, FrameError, Front};

/// Read at once where the size of what comes is unknown.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// Of a larger frame this much has to come before room is taken for it, since a claimed size costs its sender nothing;
/// then room is taken for so much, and whenever that is full, for so many times as much.
const EARNEST_BYTES: usize = UNCHARGED_BYTES;
const FIRST_ROOM_BYTES: usize = 1024 * 1024;
const ROOM_GROWTH: usize = 4;

/// How long a large frame may stand still.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// One request as it came, with the room it takes.
#[derive(Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    /// What it may take when it is decoded.
    pub decoded_bytes: usize,
    pub lease: GrowingLease,
}

/// Why no more frames come from a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the client closed the connection within a frame")]
    Truncated,
    #[error("nothing came for {} s within a large frame", STALL_LIMIT.as_secs())]
    Stalled,
    #[error("a large frame comes too slowly while others wait for its room")]
    TooSlow,
}

/// The receiving side of one connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    caps: FrameCaps,
    memory: RequestMemory,
    /// Empty and without memory of its own while the connection is idle.
    buffer: BytesMut,
    /// Room for the large frame that is coming in.
    lease: GrowingLease,
    leased_at: Instant,
}

impl FrameReader {
    pub(super) fn new(caps: FrameCaps, memory: RequestMemory) -> Self {
        Self { caps, memory, buffer: BytesMut::new(), lease: GrowingLease::default(), leased_at: Instant::now() }
    }

    /// It holds room that others may want, for a frame that is not whole.
    pub(super) fn holds_room(&self) -> bool {
        self.lease.is_held()
    }

    /// The next frame; none when the client has closed between two frames. May be dropped and called again: what was
    /// read stays in the reader.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Frame>, ReadError> {
        loop {
            match frame::inspect(&self.buffer, self.caps)? {
                Front::Whole { decoded_bytes } => {
                    self.take_room(decoded_bytes).await;
                    return Ok(Some(self.take(decoded_bytes)));
                }
                Front::Partial { total_bytes, decoded_bytes } if self.buffer.len() >= EARNEST_BYTES => {
                    let room_bytes = room_for(self.buffer.len(), total_bytes);
                    self.take_room(decoded_bytes / total_bytes * room_bytes).await;
                    self.buffer.reserve(room_bytes - self.buffer.len());
                }
                Front::Partial { total_bytes, .. } => {
                    self.buffer.reserve(total_bytes.min(EARNEST_BYTES) - self.buffer.len());
                }
                Front::Unknown => {}
            }
            if self.lease.is_held() {
                self.more_in_time(stream).await?;
            } else {
                stream.readable().await?;
            }
            if self.buffer.capacity() == self.buffer.len() {
                self.buffer.reserve(READ_AHEAD_BYTES);
            }
            // Not `try_read_buf`: this way a read that does not fill the buffer counts as the last one, and the next
            // request is waited for without a buffer and a read in vain. Unconstrained, since "not now" is to mean the
            // socket and not this task's budget.
            match unconstrained(stream.read_buf(&mut self.buffer)).now_or_never() {
                Some(Ok(0)) if self.buffer.is_empty() => return Ok(None),
                Some(Ok(0)) => return Err(ReadError::Truncated),
                Some(Err(error)) => return Err(error.into()),
                None if self.buffer.is_empty() => self.buffer = BytesMut::new(),
                Some(Ok(_)) | None => {}
            }
        }
    }

    async fn take_room(&mut self, bytes: usize) {
        let asked_at = Instant::now();
        let is_first = !self.lease.is_held();
        self.memory.grow(&mut self.lease, bytes).await;
        // While it waits for room, the client cannot send.
        self.leased_at = if is_first { Instant::now() } else { self.leased_at + asked_at.elapsed() };
    }

    /// Waits for more of a frame that holds room: who sends nothing does not keep it, and who sends little does not
    /// keep it from others.
    async fn more_in_time(&self, stream: &TcpStream) -> Result<(), ReadError> {
        let stalled_at = Instant::now() + STALL_LIMIT;
        loop {
            if self.memory.is_wanted() && self.leased_at.elapsed() > patience(self.buffer.len()) {
                return Err(ReadError::TooSlow);
            }
            let look_at = stalled_at.min(Instant::now() + CHECK_INTERVAL);
            match timeout_at(look_at, stream.readable()).await {
                Ok(readable) => return Ok(readable?),
                Err(_elapsed) if look_at == stalled_at => return Err(ReadError::Stalled),
                Err(_elapsed) => {}
            }
        }
    }

    fn take(&mut self, decoded_bytes: usize) -> Frame {
        let bytes = frame::take(&mut self.buffer);
        if self.buffer.is_empty() {
            // An idle connection holds no buffer; the frame has the memory now.
            self.buffer = BytesMut::new();
        }
        Frame { bytes, decoded_bytes, lease: std::mem::take(&mut self.lease) }
    }
}

/// How many bytes of a frame there is to be room for, where `arrived_bytes` of it are there.
fn room_for(arrived_bytes: usize, total_bytes: usize) -> usize {
    let mut room_bytes = FIRST_ROOM_BYTES;
    while room_bytes <= arrived_bytes {
        room_bytes *= ROOM_GROWTH;
    }
    room_bytes.min(total_bytes)
}

#[cfg(test)]
mod tests;
