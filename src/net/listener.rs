//! Binding addresses and accepting connections on them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection::{Connection, ConnectionSettings};
use super::limits::ConnectionLimits;
use crate::api::{ConnectionContext, ListenerInfo, Services};

/// Of the files that the process may have open, a quarter is kept for logs and metadata, but at most this many.
const MAX_RESERVED_DESCRIPTORS: u64 = 1024;

/// One of `listeners`, as it is bound.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    pub name: String,
    /// Empty: every address of the machine.
    pub host: String,
    /// 0: a free one.
    pub port: u16,
    pub backlog: i32,
    /// `socket.send.buffer.bytes` and `socket.receive.buffer.bytes`; none: the system's.
    pub send_buffer_bytes: Option<usize>,
    pub receive_buffer_bytes: Option<usize>,
}

/// Why a listener could not be opened: one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot listen on {host}:{port}: {source}")]
pub struct BindError {
    name: String,
    host: String,
    port: u16,
    source: io::Error,
}

/// The sockets of one listener; a name such as `localhost` may stand for several addresses.
#[derive(Debug)]
pub struct BoundListener {
    pub name: String,
    sockets: Vec<TcpListener>,
    /// The port that the clients find, also where the configuration asked for a free one.
    pub port: u16,
    settings: ListenerSettings,
}

/// Kafka's default of 50 is full within a millisecond when clients come in a storm; each of those that find no place
/// then waits a second before it asks again. A longer queue costs nothing.
const MIN_BACKLOG: i32 = 1024;

impl BoundListener {
    pub fn bind(settings: ListenerSettings) -> Result<Self, BindError> {
        let fail = |source| BindError {
            name: settings.name.clone(),
            host: settings.host.clone(),
            port: settings.port,
            source,
        };
        let mut sockets = Vec::new();
        let mut port = settings.port;
        let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for mut address in resolve(&settings).map_err(fail)? {
            address.set_port(port);
            match bind_one(address, settings.backlog) {
                Ok(socket) => {
                    port = socket.local_addr().map_err(fail)?.port();
                    sockets.push(socket);
                }
                // A host without IPv6 still resolves `localhost` to ::1.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => last_error = error,
                Err(error) => return Err(fail(error)),
            }
        }
        if sockets.is_empty() {
            return Err(fail(last_error));
        }
        Ok(Self { name: settings.name.clone(), sockets, port, settings })
    }

    /// `NAME://host:port`
    pub fn address(&self) -> String {
        format!("{}://{}:{}", self.name, self.settings.host, self.port)
    }

    /// Accepts until `shutdown`, each connection a task of `tasks`. A connection counts against each of `limits`: the
    /// broker's and the listener's own.
    pub fn serve(
        self,
        services: &Arc<Services>,
        connections: &ConnectionSettings,
        limits: [&Arc<ConnectionLimits>; 2],
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let listener = Arc::new(ListenerInfo::new(&self.name, services));
        for socket in self.sockets {
            let acceptor = Acceptor {
                socket,
                settings: self.settings.clone(),
                listener: Arc::clone(&listener),
                services: Arc::clone(services),
                connections: connections.clone(),
                limits: limits.map(Arc::clone),
                tasks: tasks.clone(),
                shutdown: shutdown.clone(),
                warned_at_s: AtomicU64::new(u64::MAX),
            };
            tasks.spawn(acceptor.accept_until_shutdown());
        }
    }
}

fn resolve(settings: &ListenerSettings) -> io::Result<Vec<SocketAddr>> {
    if settings.host.is_empty() {
        // Dual-stack, as Kafka's wildcard; a machine without IPv6 falls back.
        let any: SocketAddr = ([0_u16; 8], settings.port).into();
        let has_ipv6 = Socket::new(Domain::IPV6, Type::STREAM, None).is_ok();
        return Ok(vec![if has_ipv6 { any } else { ([0_u8; 4], settings.port).into() }]);
    }
    let host = settings.host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<_> = (host, settings.port).to_socket_addrs()?.collect();
    addresses.dedup();
    Ok(addresses)
}

fn bind_one(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(address) = address {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted broker takes its port again while old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.max(MIN_BACKLOG))?;
    TcpListener::from_std(socket.into())
}

/// Whether a connection with this descriptor leaves enough of them for the logs, which roll to new files and must not
/// fail because clients took them all. The system gives out the lowest free number, so a high one says that few are left.
fn leaves_descriptors(descriptor: RawFd, limit: Option<u64>) -> bool {
    let Some(limit) = limit else { return true };
    let reserved = (limit / 4).min(MAX_RESERVED_DESCRIPTORS);
    u64::try_from(descriptor).is_ok_and(|descriptor| descriptor < limit - reserved)
}

struct Acceptor {
    socket: TcpListener,
    settings: ListenerSettings,
    listener: Arc<ListenerInfo>,
    services: Arc<Services>,
    connections: ConnectionSettings,
    limits: [Arc<ConnectionLimits>; 2],
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// The last second in which a refusal was logged: a flood of connections is none of log lines.
    warned_at_s: AtomicU64,
}

impl Acceptor {
    async fn accept_until_shutdown(self) {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.accept_all() => {}
        }
    }

    async fn accept_all(&self) {
        loop {
            for limits in &self.limits {
                limits.room().await;
                let delay = limits.delay(self.services.clock.monotonic());
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            match self.socket.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    // Out of file descriptors, or the client was gone before it was accepted.
                    warn!(listener = %self.settings.name, %error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let mut slots = Vec::with_capacity(self.limits.len());
        for limits in &self.limits {
            let Some(slot) = limits.admit(peer.ip()) else {
                debug!(%peer, "refused: max.connections.per.ip is reached");
                self.listener.metrics.rejected();
                return;
            };
            slots.push(slot);
        }
        if !leaves_descriptors(stream.as_raw_fd(), crate::io::open_file_limit()) {
            self.listener.metrics.rejected();
            let now_s = self.services.clock.monotonic().as_secs();
            if self.warned_at_s.swap(now_s, Ordering::Relaxed) != now_s {
                warn!(%peer, "refused: too few open files are left for the logs; raise the limit (ulimit -n)");
            }
            return;
        }
        let throttle = self.services.quotas.connection_throttle(peer.ip());
        if !throttle.is_zero() {
            debug!(%peer, "kept out: connection_creation_rate is reached");
            self.listener.metrics.rejected();
            // Closed at once, most clients would try again at once.
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(throttle) => {}
                }
                drop((stream, slots));
            });
            return;
        }
        if let Err(error) = self.tune(&stream) {
            debug!(%peer, %error, "connection lost before it began");
            return;
        }
        let context = ConnectionContext::new(peer, Arc::clone(&self.listener), Arc::clone(&self.services));
        let connection = Connection::new(stream, Arc::new(context), self.connections.clone(), slots);
        self.tasks.spawn(connection.serve(self.shutdown.clone()));
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if let Some(bytes) = self.settings.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.settings.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_do_not_take_the_last_descriptors() {
        assert!(leaves_descriptors(767, Some(1024)));
        assert!(!leaves_descriptors(768, Some(1024)));
        assert!(leaves_descriptors(98_975, Some(100_000)));
        assert!(!leaves_descriptors(98_976, Some(100_000)));
        assert!(leaves_descriptors(RawFd::MAX, None));
    }
}
