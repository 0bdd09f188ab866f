//! Reads frames off a socket, within the memory bound.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;

use super::memory::{MemoryLease, RequestMemory};
use crate::protocol::frame::{self, FrameCaps, FrameError, Front};

/// Read at once where the size of what comes is unknown.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// How long a large frame may stand still.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// One request as it came, with the room it takes.
#[derive(Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    pub lease: MemoryLease,
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
}

/// The receiving side of one connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    caps: FrameCaps,
    memory: RequestMemory,
    /// Empty and without memory of its own while the connection is idle.
    buffer: BytesMut,
    /// Room for the large frame that is coming in.
    lease: MemoryLease,
}

impl FrameReader {
    pub(super) fn new(caps: FrameCaps, memory: RequestMemory) -> Self {
        Self { caps, memory, buffer: BytesMut::new(), lease: None }
    }

    /// The next frame; none when the client has closed between two frames. May be dropped and called again: what was
    /// read stays in the reader.
    pub(super) async fn next(&mut self, stream: &TcpStream) -> Result<Option<Frame>, ReadError> {
        loop {
            match frame::inspect(&self.buffer, self.caps)? {
                Front::Whole => return Ok(Some(self.take())),
                Front::Partial { total_bytes, decoded_bytes } => {
                    if self.lease.is_none() {
                        self.lease = self.memory.lease(decoded_bytes).await;
                    }
                    self.buffer.reserve(total_bytes - self.buffer.len());
                }
                Front::Unknown => {}
            }
            if self.lease.is_some() {
                // Others may be waiting for this room: who sends nothing does not keep it.
                let readable = tokio::time::timeout(STALL_LIMIT, stream.readable());
                readable.await.map_err(|_elapsed| ReadError::Stalled)??;
            } else {
                stream.readable().await?;
            }
            if self.buffer.capacity() == self.buffer.len() {
                self.buffer.reserve(READ_AHEAD_BYTES);
            }
            match stream.try_read_buf(&mut self.buffer) {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(ReadError::Truncated),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self) -> Frame {
        let bytes = frame::take(&mut self.buffer);
        if self.buffer.is_empty() {
            // An idle connection holds no buffer; the frame has the memory now.
            self.buffer = BytesMut::new();
        }
        Frame { bytes, lease: self.lease.take() }
    }
}
