//! Responses on their way out: encoded at once, or once what they wait for has happened.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    /// Nothing is sent: Produce with acks=0.
    NoReply,
    /// Nothing is sent and the connection is closed.
    Close,
}

/// A reply that is there, or comes.
pub struct PendingReply {
    state: State,
    exclusive: bool,
    keeps_request: bool,
}

enum State {
    Ready(Reply),
    Waiting(Pin<Box<dyn Future<Output = Reply> + Send>>),
    Taken,
}

impl PendingReply {
    pub fn ready(reply: Reply) -> Self {
        Self { state: State::Ready(reply), exclusive: false, keeps_request: false }
    }

    pub fn waiting(future: impl Future<Output = Reply> + Send + 'static, exclusive: bool) -> Self {
        Self { state: State::Waiting(Box::pin(future)), exclusive, keeps_request: true }
    }

    /// What comes later needs nothing of the request's bytes.
    pub fn without_request(mut self) -> Self {
        self.keeps_request = false;
        self
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
            return Poll::Ready(reply);
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
            State::Ready(reply) => Some(reply),
            other => {
                self.state = other;
                None
            }
        }
    }
}
