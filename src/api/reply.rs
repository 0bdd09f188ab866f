//! Responses on their way out: encoded at once, or once what they wait for has happened.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tracing::error;

use crate::protocol::frame::SIZE_BYTES;
use crate::protocol::header::write_response_header;
use crate::protocol::piece::{Piece, memory_bytes};
use crate::protocol::wire::protocol::{Encodable, HeaderVersion};

/// Bytes of the largest response header and the frame's size.
const MAX_HEADER_BYTES: usize = SIZE_BYTES + 5;

/// A whole response frame.
#[derive(Debug)]
pub enum Reply {
    Memory(Bytes),
    Pieces(Vec<Piece>),
}

impl Reply {
    pub fn into_pieces(self) -> Vec<Piece> {
        match self {
            Self::Memory(bytes) => vec![Piece::Bytes(bytes)],
            Self::Pieces(pieces) => pieces,
        }
    }

    /// Encodes a response with its frame size and header.
    pub fn encode<R: ResponseBody>(response: R, version: i16, correlation_id: i32) -> Self {
        response.into_reply(version, correlation_id)
    }

    /// Writes a throttle time into the encoded response, where it tells of none or of less; the time that counts.
    fn tell_throttle_time(self, throttle_ms: i32, at: Option<usize>) -> (Self, i32) {
        const FIELD_BYTES: usize = size_of::<i32>();
        let Some(mut at) = at else { return (self, throttle_ms) };
        let (mut pieces, is_one) = match self {
            Self::Memory(bytes) => (vec![Piece::Bytes(bytes)], true),
            Self::Pieces(pieces) => (pieces, false),
        };
        let mut told_ms = throttle_ms;
        for piece in &mut pieces {
            let size_bytes = piece.size_bytes();
            if at >= size_bytes {
                at -= size_bytes;
                continue;
            }
            let Piece::Bytes(bytes) = piece else { break };
            let Some(field) = bytes.get(at..at + FIELD_BYTES) else { break };
            let told = field.iter().fold(0_i32, |number, &byte| number << 8 | i32::from(byte));
            if told >= throttle_ms {
                told_ms = told;
            } else {
                let mut changed = std::mem::take(bytes).try_into_mut().unwrap_or_else(|shared| shared[..].into());
                changed[at..at + FIELD_BYTES].copy_from_slice(&throttle_ms.to_be_bytes());
                *bytes = changed.freeze();
            }
            break;
        }
        let reply = match (is_one, pieces.pop()) {
            (true, Some(Piece::Bytes(bytes))) => Self::Memory(bytes),
            (_, last) => Self::Pieces(pieces.into_iter().chain(last).collect()),
        };
        (reply, told_ms)
    }

    /// A frame around pieces that are the body.
    pub fn from_pieces(body: Vec<Piece>, correlation_id: i32, flexible: bool) -> Self {
        let body_bytes: usize = body.iter().map(Piece::size_bytes).sum();
        let mut head = BytesMut::with_capacity(MAX_HEADER_BYTES);
        head.put_i32(0);
        write_response_header(&mut head, correlation_id, flexible);
        set_frame_size(&mut head, body_bytes);
        let mut pieces = Vec::with_capacity(body.len() + 1);
        pieces.push(Piece::Bytes(head.freeze()));
        pieces.extend(body);
        Self::Pieces(pieces)
    }
}

fn as_duration(throttle_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(throttle_ms).unwrap_or_default())
}

fn set_frame_size(head: &mut BytesMut, behind_bytes: usize) {
    let size_bytes = (head.len() - SIZE_BYTES + behind_bytes) as i32;
    head[..SIZE_BYTES].copy_from_slice(&size_bytes.to_be_bytes());
}

/// What can be sent as the body of a response.
pub trait ResponseBody: Send + 'static {
    fn into_reply(self, version: i16, correlation_id: i32) -> Reply;
}

impl<M: Encodable + HeaderVersion + Send + 'static> ResponseBody for M {
    fn into_reply(self, version: i16, correlation_id: i32) -> Reply {
        let body_bytes = self.compute_size(version).unwrap_or(0);
        let mut frame = BytesMut::with_capacity(MAX_HEADER_BYTES + body_bytes);
        frame.put_i32(0);
        write_response_header(&mut frame, correlation_id, Self::header_version(version) >= 1);
        let head_bytes = frame.len();
        if let Err(cause) = self.encode(&mut frame, version) {
            // Only a field set that this version cannot carry comes here: a bug of a handler. The client sees a
            // response that does not parse and closes.
            error!(%cause, version, message = std::any::type_name::<M>(), "response does not encode");
            frame.truncate(head_bytes);
        }
        set_frame_size(&mut frame, 0);
        Reply::Memory(frame.freeze())
    }
}

/// What a handler makes of a request.
pub enum Outcome {
    Reply(PendingReply),
    /// Nothing is sent: Produce with acks=0. The connection is not to be read for so long.
    NoReply {
        mute: Duration,
    },
    /// Nothing is sent and the connection is closed.
    Close,
}

impl Outcome {
    /// The client has done more than its quota allows: once it is answered, its connection is not read for so long.
    pub(super) fn muting(self, throttle_ms: i32) -> Self {
        let mute = as_duration(throttle_ms);
        match self {
            Self::Reply(mut reply) => {
                reply.mute = reply.mute.max(mute);
                Self::Reply(reply)
            }
            Self::NoReply { mute: before } => Self::NoReply { mute: before.max(mute) },
            Self::Close => Self::Close,
        }
    }
}

/// A reply that is there, or comes.
pub struct PendingReply {
    state: State,
    exclusive: bool,
    keeps_request: bool,
    /// How long the connection is not read once the reply was sent.
    mute: Duration,
    throttle: Option<Throttle>,
}

/// A throttle time that the encoded response has to tell.
#[derive(Clone, Copy, Debug)]
struct Throttle {
    throttle_ms: i32,
    /// Where it is told; none where such a response does not.
    at: Option<usize>,
}

enum State {
    Ready(Reply),
    Waiting(Pin<Box<dyn Future<Output = Reply> + Send>>),
    Taken,
}

impl PendingReply {
    fn new(state: State, exclusive: bool, keeps_request: bool) -> Self {
        Self { state, exclusive, keeps_request, mute: Duration::ZERO, throttle: None }
    }

    pub fn ready(reply: Reply) -> Self {
        Self::new(State::Ready(reply), false, false)
    }

    pub fn waiting(future: impl Future<Output = Reply> + Send + 'static, exclusive: bool) -> Self {
        Self::new(State::Waiting(Box::pin(future)), exclusive, true)
    }

    /// What comes later needs nothing of the request's bytes.
    pub fn without_request(mut self) -> Self {
        self.keeps_request = false;
        self
    }

    /// The response is to tell `throttle_ms` at `at` of its frame, unless it tells of more there already; and what it
    /// tells holds.
    pub(super) fn throttled(self, throttle_ms: i32, at: Option<usize>) -> Self {
        Self { throttle: Some(Throttle { throttle_ms, at }), ..self }
    }

    /// Once the reply was taken: how long the connection is not read when it was sent (KIP-219).
    pub fn mute(&self) -> Duration {
        self.mute
    }

    fn settle(&mut self, reply: Reply) -> Reply {
        let Some(Throttle { throttle_ms, at }) = self.throttle.take() else { return reply };
        let (reply, told_ms) = reply.tell_throttle_time(throttle_ms, at);
        self.mute = self.mute.max(as_duration(told_ms));
        reply
    }

    /// The request's memory is in use until the reply is there.
    pub fn keeps_request(&self) -> bool {
        self.keeps_request
    }

    /// Nothing behind this request may start before its reply is there.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        if let State::Waiting(future) = &mut self.state {
            let reply = std::task::ready!(future.as_mut().poll(cx));
            self.state = State::Taken;
            return Poll::Ready(self.settle(reply));
        }
        self.take_ready().map_or(Poll::Pending, Poll::Ready)
    }

    /// Bytes of memory that the reply takes while it waits for its turn.
    pub fn ready_bytes(&self) -> usize {
        match &self.state {
            State::Ready(Reply::Memory(bytes)) => bytes.len(),
            State::Ready(Reply::Pieces(pieces)) => memory_bytes(pieces),
            State::Waiting(_) | State::Taken => 0,
        }
    }

    /// The reply, if it is there without waiting.
    pub fn take_ready(&mut self) -> Option<Reply> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(reply) => Some(self.settle(reply)),
            other => {
                self.state = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(throttle_ms: i32) -> Bytes {
        let head: &[u8] = b"sizecorr";
        Bytes::from([head, &throttle_ms.to_be_bytes(), b"rest"].concat())
    }

    fn taken(reply: Reply, throttle_ms: i32, at: Option<usize>) -> (Bytes, Duration) {
        let mut pending = PendingReply::ready(reply).throttled(throttle_ms, at);
        let pieces = pending.take_ready().map(Reply::into_pieces).unwrap_or_default();
        let mut bytes = BytesMut::new();
        for piece in &pieces {
            if let Piece::Bytes(piece) = piece {
                bytes.extend_from_slice(piece);
            }
        }
        (bytes.freeze(), pending.mute())
    }

    #[test]
    fn the_larger_throttle_time_is_told_and_holds() {
        let ms = Duration::from_millis;
        assert_eq!(taken(Reply::Memory(frame(0)), 700, Some(8)), (frame(700), ms(700)));
        assert_eq!(taken(Reply::Memory(frame(900)), 700, Some(8)), (frame(900), ms(900)));
        assert_eq!(taken(Reply::Memory(frame(0)), 700, None), (frame(0), ms(700)));
        let whole = frame(5);
        let pieces = || vec![Piece::Bytes(whole.slice(..8)), Piece::Bytes(whole.slice(8..))];
        assert_eq!(taken(Reply::Pieces(pieces()), 700, Some(8)), (frame(700), ms(700)));
        assert_eq!(whole, frame(5), "what others hold too is copied");
        assert_eq!(taken(Reply::Memory(frame(0)), 700, Some(14)), (frame(0), ms(700)), "not even there");
    }
}
