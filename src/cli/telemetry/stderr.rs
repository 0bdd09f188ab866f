//! A thread that writes log lines, so that nobody else waits for a slow terminal or pipe.
//!
//! ```text
//! event ──▶ Line (one formatted event) ── try_send ──▶ queue of 4,096 lines ──▶ thread ──▶ stderr
//!                                          full: counted in `dropped_lines`, said once there is room
//! ```

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// At some 200 bytes a line: less than a megabyte.
const QUEUED_LINES_MAX: usize = 4_096;
/// A longer event is cut: what came from the wire must not fill the queue with megabytes.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Lines that are ready together share one write of about so many bytes.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a dying process waits for its last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Answered once everything queued before it is written.
    Flush(SyncSender<()>),
}

/// Keeps the log complete: dropping it waits, for at most a second, until what is queued is written.
#[derive(Debug)]
pub struct LogGuard {
    queue: LineQueue,
}

/// Where formatted events go.
#[derive(Clone, Debug)]
pub(super) struct LineQueue {
    sender: SyncSender<Message>,
    dropped_lines: Arc<AtomicU64>,
}

/// One event while it is being formatted; queued when dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    queue: &'a LineQueue,
    bytes: Vec<u8>,
}

impl LogGuard {
    /// Starts the thread. It ends with the process, or when nobody can send to it any more.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUED_LINES_MAX);
        let queue = LineQueue { sender, dropped_lines: Arc::default() };
        let dropped_lines = Arc::clone(&queue.dropped_lines);
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || write_lines(&receiver, output, &dropped_lines))?;
        Ok(Self { queue })
    }

    pub(super) fn writer(&self) -> LineQueue {
        self.queue.clone()
    }

    /// Makes a panic one event among the others, written before the process aborts.
    pub(super) fn log_panics(&self) {
        let queue = self.queue.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let message =
                text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let backtrace = std::backtrace::Backtrace::capture();
            tracing::error!(%place, %backtrace, "panic: {message}");
            queue.flush(FLUSH_TIMEOUT);
        }));
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_TIMEOUT);
    }
}

impl LineQueue {
    /// Waits until all that is queued now is written, or until about `timeout`.
    fn flush(&self, timeout: Duration) {
        const TRIES: u32 = 50;
        let (done, is_done) = mpsc::sync_channel(1);
        // The queue of std can't be waited on with a timeout, so a full one is asked again.
        for _ in 0..TRIES {
            if self.sender.try_send(Message::Flush(done.clone())).is_ok() {
                let _ = is_done.recv_timeout(timeout);
                return;
            }
            std::thread::sleep(timeout / TRIES);
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: self, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.len() == LINE_BYTES_MAX {
            bytes.extend_from_slice(b" [cut]\n");
        }
        if !bytes.is_empty() && self.queue.sender.try_send(Message::Line(bytes)).is_err() {
            self.queue.dropped_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_lines(receiver: &Receiver<Message>, mut output: impl Write, dropped_lines: &AtomicU64) {
    let mut buffer = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        let mut flushed = Vec::new();
        while let Some(message) = next {
            match message {
                Message::Line(bytes) => buffer.extend_from_slice(&bytes),
                Message::Flush(done) => flushed.push(done),
            }
            next = if buffer.len() < WRITE_BYTES { receiver.try_recv().ok() } else { None };
        }
        // Nobody is left to tell that stderr is closed.
        let _ = output.write_all(&buffer).and_then(|()| output.flush());
        buffer.clear();
        for done in flushed {
            let _ = done.try_send(());
        }
        let dropped = dropped_lines.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(lines = dropped, "log lines dropped, stderr is too slow");
        }
    }
}
