//! Requests of one connection, served by a broker in memory: frames are cut and charged as `net` does it, and handed to
//! the dispatcher. Each request is answered once and in order, or ends the connection, and a client can read each answer.
//!
//! ```text
//!  input, request by request: │ length u16 │ header and body: as many bytes as are left, or fewer │
//! ```

mod broker;
mod responses;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use ottla::api::{self, PendingReply, RequestTimer, Started};
use ottla::protocol::frame::{self, FrameCaps, Front};
use ottla::protocol::header::RequestPrefix;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::input::Input;
use broker::Broker;
pub use broker::records;

const CAPS: FrameCaps = FrameCaps { large_bytes: 64 << 10, other_bytes: 32 << 10 };
/// A large frame takes all of it.
const MEMORY_BYTES: usize = 512 << 10;
/// Bytes of a frame that say how large it may be.
const FRONT_BYTES: usize = 6;
/// More requests of one input only repeat what few find.
const MAX_REQUESTS: usize = 16;

/// Starting one takes longer than most inputs do. One that an input has changed is not used again, so that what an
/// input finds does not hang on those before it.
static UNCHANGED: Mutex<Option<Broker>> = Mutex::new(None);

pub fn run(data: &[u8]) {
    answered(data);
}

/// How many requests were answered.
pub fn answered(data: &[u8]) -> usize {
    let broker = UNCHANGED.lock().take().unwrap_or_else(Broker::start);
    let mut connection = Connection { broker: &broker, in_flight: VecDeque::new(), answered: 0 };
    connection.serve(data);
    let answered = connection.answered;
    assert_eq!(broker.memory.used_and_available_bytes().0, 0, "every lease is given back");
    if !broker.has_changed() {
        *UNCHANGED.lock() = Some(broker);
    }
    answered
}

/// The id that a topic of a new broker has: the same in every process, because it is drawn from a fixed seed.
pub fn topic_id(name: &str) -> uuid::Uuid {
    let broker = Broker::start();
    let topic = broker.connection.services.replicas.topic(name).expect("one of the broker's topics");
    topic.id.0
}

type Lease = Option<OwnedSemaphorePermit>;

struct InFlight {
    prefix: RequestPrefix,
    reply: PendingReply,
    times: RequestTimer,
    _lease: Lease,
}

struct Connection<'a> {
    broker: &'a Broker,
    in_flight: VecDeque<InFlight>,
    answered: usize,
}

impl Connection<'_> {
    fn serve(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        for _ in 0..MAX_REQUESTS {
            let length = usize::from(input.u16());
            let Some((frame, lease)) = self.cut(input.bytes(length)) else { break };
            if !self.start(frame, lease) {
                // As `net` does it: what is in flight goes with the connection.
                return;
            }
            if self.in_flight.back().is_some_and(|last| last.reply.is_exclusive()) {
                self.answer_all();
            }
        }
        self.answer_all();
    }

    /// The request's frame with the room it takes; none where the connection ends. The size in front of it is right:
    /// wrong ones are for the target `frames`.
    fn cut(&mut self, request: &[u8]) -> Option<(Bytes, Lease)> {
        let mut buffer = BytesMut::from(&(request.len() as u32).to_be_bytes()[..]);
        buffer.extend_from_slice(request);
        let front = BytesMut::from(&buffer[..buffer.len().min(FRONT_BYTES)]);
        let Ok(Front::Partial { total_bytes, decoded_bytes }) = frame::inspect(&front, CAPS) else { return None };
        assert_eq!(total_bytes, buffer.len());
        let lease = self.lease(decoded_bytes);
        assert_eq!(frame::inspect(&buffer, CAPS), Ok(Front::Whole { decoded_bytes }));
        Some((frame::take(&mut buffer), lease))
    }

    /// Where there is no room, answers give some back.
    fn lease(&mut self, bytes: usize) -> Lease {
        let memory = &self.broker.memory;
        let lease = memory.lease(bytes).now_or_never().unwrap_or_else(|| {
            self.answer_all();
            memory.lease(bytes).now_or_never().expect("nothing else takes room")
        });
        let charged = lease.as_ref().map_or(0, |lease| lease.num_permits() * 1024);
        assert!(charged >= bytes.min(MEMORY_BYTES) || bytes <= 64 << 10, "{bytes} bytes are charged with {charged}");
        lease
    }

    /// False where the connection is to be closed.
    fn start(&mut self, frame: Bytes, lease: Lease) -> bool {
        let prefix = RequestPrefix::read(&frame).expect("a frame that was let through holds a prefix");
        let _context = self.broker.runtime.enter();
        match api::start(&self.broker.connection, frame) {
            Ok((Started::Pending(reply), times)) => {
                self.in_flight.push_back(InFlight { prefix, reply, times, _lease: lease });
                true
            }
            Ok((Started::NoReply { .. }, _)) => {
                assert_eq!(prefix.api_key, 0, "only Produce goes without an answer");
                true
            }
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                false
            }
        }
    }

    fn answer_all(&mut self) {
        while let Some(InFlight { prefix, mut reply, mut times, _lease }) = self.in_flight.pop_front() {
            let pieces = self.broker.wait_for(&mut reply).into_pieces();
            times.replied(&self.broker.connection);
            responses::check(prefix, &pieces);
            times.sent(&self.broker.connection);
            assert!(reply.take_ready().is_none(), "a request is answered once");
            self.answered += 1;
        }
    }
}
