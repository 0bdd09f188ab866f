//! One connection: requests start in the order they come, replies leave in that order.
//!
//! Request n+1 starts while n waits (acks=all, long poll). What must not overtake (a topic's creation) is exclusive:
//! nothing behind it starts before it is answered.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::debug;

use super::frame_reader::{Frame, FrameReader, ReadError};
use super::limits::ConnectionSlot;
use super::memory::{GRACE, GrowingLease, MemoryLease, NoRoom, RequestMemory, patience};
use super::writer::write_pieces;
use crate::api::{self, ConnectionContext, PendingReply, Reply, RequestTimer, Started};
use crate::io::{DiskFile, relieving_worker};
use crate::protocol::frame::FrameCaps;
use crate::protocol::piece::{Piece, memory_bytes};

/// What every connection of a broker has in common.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    pub caps: FrameCaps,
    /// For requests.
    pub memory: RequestMemory,
    /// For replies.
    pub reply_memory: RequestMemory,
    /// `connections.max.idle.ms`; none: never.
    pub max_idle: Option<Duration>,
    /// Requests of one connection that are started and not answered.
    pub max_in_flight: usize,
}

/// How long replies may take to leave once the broker stops.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Replies that are ready and wait behind another one hold at most about this much memory.
const MAX_READY_BYTES: usize = 128 * 1024;
/// Requests that were not charged, because each is small, and are kept until their reply is there hold at most about
/// this much memory.
const MAX_KEPT_BYTES: usize = 1024 * 1024;
/// Decoding and answering a frame above this size takes a worker for so long that others have to get another one.
const LONG_WORK_BYTES: usize = 128 * 1024;

/// A request that was started.
struct InFlight {
    reply: PendingReply,
    times: RequestTimer,
    /// What the request takes, where it is kept until its reply is there and was not charged.
    kept_bytes: usize,
    /// For the request, where it is kept until its reply is there.
    lease: GrowingLease,
    /// For the reply; none while it is not there.
    reply_lease: MemoryLease,
}

pub(super) struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    context: Arc<ConnectionContext>,
    settings: ConnectionSettings,
    in_flight: VecDeque<InFlight>,
    idle: IdleTimer,
    /// Until then nothing is read: the client has done more than its quota allows (KIP-219).
    muted_until: Option<Instant>,
    _slots: Vec<ConnectionSlot>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed by the client")]
    Client,
    #[error("idle for too long")]
    Idle,
    #[error("shutting down")]
    Shutdown,
    #[error("reading: {0}")]
    Read(#[from] ReadError),
    #[error("writing: {0}")]
    Write(#[from] io::Error),
    #[error("{0}")]
    Refused(#[from] api::Refusal),
    #[error("{0}")]
    NoRoom(#[from] NoRoom),
    #[error("replies are taken too slowly while others wait for room")]
    TooSlow,
}

/// What happens next on a connection.
enum Event {
    ReplyReady(Reply),
    Frame(Option<Frame>),
    Unmuted,
    Idle,
    Shutdown,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        context: Arc<ConnectionContext>,
        settings: ConnectionSettings,
        slots: Vec<ConnectionSlot>,
    ) -> Self {
        let reader = FrameReader::new(settings.caps, settings.memory.clone());
        let idle = IdleTimer::new(settings.max_idle);
        Self { stream, reader, context, settings, in_flight: VecDeque::new(), idle, muted_until: None, _slots: slots }
    }

    /// Serves until either side closes. After `shutdown` no request is read any more, those in flight are answered.
    pub(super) async fn serve(mut self, shutdown: CancellationToken) {
        // A client that does not take its replies must not hold up the stop.
        let hard_stop = async {
            shutdown.cancelled().await;
            tokio::time::sleep(ANSWER_LIMIT).await;
        };
        let end = tokio::select! {
            end = self.serve_until_end(&shutdown) => end,
            () = hard_stop => End::Shutdown,
        };
        debug!(peer = %self.context.peer, reason = %end, "connection closed");
    }

    async fn serve_until_end(&mut self, shutdown: &CancellationToken) -> End {
        // Once a connection: it enters a list that all connections share.
        let mut stopped = pin!(shutdown.cancelled());
        loop {
            let step = match self.next_event(stopped.as_mut()).await {
                Ok(Event::ReplyReady(reply)) => self.write_ready(reply).await,
                Ok(Event::Frame(Some(frame))) => self.start(frame).await,
                Ok(Event::Frame(None)) => Err(End::Client),
                Ok(Event::Unmuted) => {
                    self.muted_until = None;
                    self.idle.touch();
                    Ok(())
                }
                Ok(Event::Idle) => Err(End::Idle),
                Ok(Event::Shutdown) => self.answer_rest().await.and(Err(End::Shutdown)),
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn next_event(&mut self, stopped: Pin<&mut WaitForCancellationFuture<'_>>) -> Result<Event, End> {
        // A frame that holds room comes in as a whole first: who is muted holds nothing that others want.
        let is_muted = self.muted_until.is_some() && !self.reader.holds_room();
        let may_read = self.may_start() && !is_muted;
        let muted_until = self.muted_until;
        let Self { stream, reader, in_flight, idle, .. } = self;
        tokio::select! {
            biased;
            // First, so that a client that never pauses is stopped too.
            () = stopped => Ok(Event::Shutdown),
            reply = front_reply(in_flight) => Ok(Event::ReplyReady(reply)),
            frame = reader.next(stream), if may_read => Ok(Event::Frame(frame?)),
            () = until(muted_until), if is_muted => Ok(Event::Unmuted),
            () = idle.expired(), if in_flight.is_empty() => Ok(Event::Idle),
        }
    }

    fn may_start(&self) -> bool {
        let behind_exclusive = self.in_flight.back().is_some_and(|last| last.reply.is_exclusive());
        let ready_bytes: usize = self.in_flight.iter().map(|request| request.reply.ready_bytes()).sum();
        let kept_bytes: usize = self.in_flight.iter().map(|request| request.kept_bytes).sum();
        self.in_flight.len() < self.settings.max_in_flight
            && !behind_exclusive
            && ready_bytes < MAX_READY_BYTES
            && kept_bytes < MAX_KEPT_BYTES
    }

    async fn start(&mut self, frame: Frame) -> Result<(), End> {
        self.idle.touch();
        let Frame { bytes, decoded_bytes, lease } = frame;
        let (started, times) = if bytes.len() > LONG_WORK_BYTES && decoded_bytes > bytes.len() * 2 {
            relieving_worker(|| api::start(&self.context, bytes))?
        } else {
            api::start(&self.context, bytes)?
        };
        let reply = match started {
            Started::Pending(reply) => Some(reply),
            Started::NoReply { mute } => {
                self.mute(mute);
                None
            }
        };
        if let Some(reply) = reply {
            let is_kept = reply.keeps_request();
            let kept_bytes = if is_kept && !lease.is_held() { decoded_bytes } else { 0 };
            let reply_lease = self.settings.reply_memory.try_lease(reply.ready_bytes())?;
            let lease = if is_kept { lease } else { GrowingLease::default() };
            self.in_flight.push_back(InFlight { reply, times, kept_bytes, lease, reply_lease });
        }
        // One connection that never runs dry must not keep its worker from the others.
        tokio::task::coop::consume_budget().await;
        Ok(())
    }

    /// Writes the reply at the front, and with it those behind it that are ready too.
    async fn write_ready(&mut self, first: Reply) -> Result<(), End> {
        let mut done: Vec<InFlight> = Vec::with_capacity(1);
        let mut pieces = first.into_pieces();
        if let Some(mut request) = self.in_flight.pop_front() {
            if request.reply_lease.is_none() {
                request.reply_lease = self.settings.reply_memory.try_lease(memory_bytes(&pieces))?;
            }
            done.push(request);
        }
        while let Some(next) = self.in_flight.front_mut() {
            let Some(reply) = next.reply.take_ready() else { break };
            pieces.extend(reply.into_pieces());
            done.extend(self.in_flight.pop_front());
        }
        for request in &mut done {
            request.times.replied(&self.context);
            // The requests are answered; only their replies take room now.
            request.lease = GrowingLease::default();
        }
        let holds_replies = done.iter().any(|request| request.reply_lease.is_some());
        let mute = done.iter().map(|request| request.reply.mute()).max().unwrap_or_default();
        self.write(&pieces, holds_replies).await?;
        self.mute(mute);
        for request in done {
            request.times.sent(&self.context);
        }
        Ok(())
    }

    /// Writes, as long as the client takes; not beyond its time where others wait for the room that this connection
    /// holds meanwhile.
    async fn write(&mut self, pieces: &[Piece], holds_replies: bool) -> Result<(), End> {
        let logs = &self.context.services.logs;
        let on_file_error = |file: &Arc<dyn DiskFile>, error: &io::Error| logs.sending_failed(file, error);
        let holds_requests = self.reader.holds_room() || self.in_flight.iter().any(|request| request.lease.is_held());
        tokio::select! {
            biased;
            written = write_pieces(&self.stream, pieces, self.settings.max_idle, &on_file_error) => {
                Ok(written.map(drop)?)
            }
            () = self.settings.memory.wanted_for(GRACE), if holds_requests => Err(End::TooSlow),
            () = self.settings.reply_memory.wanted_for(patience(memory_bytes(pieces))), if holds_replies => {
                Err(End::TooSlow)
            }
        }
    }

    fn mute(&mut self, time: Duration) {
        if !time.is_zero() {
            self.muted_until = self.muted_until.max(Instant::now().checked_add(time));
        }
    }

    async fn answer_rest(&mut self) -> Result<(), End> {
        while !self.in_flight.is_empty() {
            let reply = front_reply(&mut self.in_flight).await;
            self.write_ready(reply).await?;
        }
        Ok(())
    }
}

/// The reply of the oldest request, once it is there; never, where there is none in flight.
async fn front_reply(in_flight: &mut VecDeque<InFlight>) -> Reply {
    poll_fn(|cx| match in_flight.front_mut() {
        Some(front) => front.reply.poll(cx),
        None => Poll::Pending,
    })
    .await
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Fires when nothing came for `connections.max.idle.ms`. A request only moves a moment in memory; the timer itself is
/// set anew when it fires early, so that it costs nothing per request.
struct IdleTimer {
    max_idle: Option<Duration>,
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    fn new(max_idle: Option<Duration>) -> Self {
        let deadline = Instant::now() + max_idle.unwrap_or_default();
        Self { max_idle, deadline, sleep: Box::pin(tokio::time::sleep_until(deadline)) }
    }

    fn touch(&mut self) {
        self.deadline = Instant::now() + self.max_idle.unwrap_or_default();
    }

    async fn expired(&mut self) {
        if self.max_idle.is_none() {
            std::future::pending::<()>().await;
        }
        loop {
            self.sleep.as_mut().await;
            if self.sleep.deadline() >= self.deadline {
                return;
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}
