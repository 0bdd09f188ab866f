//! The pages for operators: `/metrics`, `/healthz`, `/readyz` over HTTP.
//!
//! Owns: the listener of `admin.listeners`, its limits, its routes.
//! Never does: knows what is healthy or what is measured. It is given functions that say so.
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | 200, the metrics in Prometheus' text format |
//! | `/healthz` | 200 as long as the process should live, 503 and why where a restart is called for |
//! | `/readyz` | 200 once clients can be served, 503 and why before that and from shutdown on |

mod listener;
mod pages;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use listener::{AdminListener, BindError};
pub use pages::{Check, Pages, Render};

/// What one client, or many, may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Open connections; another one cuts the oldest, so that clients who say nothing keep no probe out.
    connections: usize,
    headers: usize,
    /// The request line and the headers together.
    head_bytes: usize,
    /// To send a request's head, which is also how long an idle connection is kept.
    head_timeout: Duration,
    /// After which a connection is closed behind its current response, so that no stalled reader keeps it for good.
    lifetime: Duration,
    /// To finish a response once the connection has to go.
    grace: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    headers: 64,
    head_bytes: 16 * 1024,
    head_timeout: Duration::from_secs(30),
    lifetime: Duration::from_secs(600),
    grace: Duration::from_secs(2),
};

/// Serves `pages` until `shutdown`; every task is one of `tasks`.
pub fn serve(listener: AdminListener, pages: Pages, tasks: &TaskTracker, shutdown: &CancellationToken) {
    serve_within(LIMITS, listener, pages, tasks, shutdown);
}

fn serve_within(
    limits: Limits,
    listener: AdminListener,
    pages: Pages,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let server = Server {
        limits,
        router: pages.into_router(tasks.clone()),
        open: Arc::default(),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
    };
    for socket in listener.into_sockets() {
        tasks.spawn(server.clone().accept(socket));
    }
}

#[derive(Clone)]
struct Server {
    limits: Limits,
    router: Router,
    /// What cuts each open connection, oldest first.
    open: Arc<Mutex<VecDeque<CancellationToken>>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Server {
    async fn accept(self, socket: TcpListener) {
        let shutdown = self.shutdown.clone();
        let _ = shutdown.run_until_cancelled(self.accept_forever(&socket)).await;
    }

    async fn accept_forever(&self, socket: &TcpListener) -> Infallible {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let cut = self.enter();
                    let (server, open) = (self.clone(), Arc::clone(&self.open));
                    self.tasks.spawn(async move {
                        server.serve_connection(stream, &cut).await;
                        cut.cancel();
                        open.lock().retain(|connection| !connection.is_cancelled());
                    });
                }
                Err(error) => self.wait_after(&error).await,
            }
        }
    }

    /// Counts a new connection in; the oldest one goes where there are too many.
    fn enter(&self) -> CancellationToken {
        let cut = CancellationToken::new();
        let mut open = self.open.lock();
        open.push_back(cut.clone());
        while open.len() > self.limits.connections {
            if let Some(oldest) = open.pop_front() {
                oldest.cancel();
            }
        }
        cut
    }

    /// Out of file descriptors, most likely: the same error would come back at once.
    async fn wait_after(&self, error: &io::Error) {
        warn!(%error, "admin listener can't accept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    async fn serve_connection(self, stream: TcpStream, cut: &CancellationToken) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_bytes)
            .max_headers(self.limits.headers)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = cut.cancelled() => Ok(()),
            () = self.shutdown.cancelled() => finish(connection, self.limits.grace).await,
            () = tokio::time::sleep(self.limits.lifetime) => finish(connection, self.limits.grace).await,
        };
        if let Err(error) = result {
            debug!(%error, "admin connection ended");
        }
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Ends a connection behind the response it is writing, or without it once `grace` has passed.
async fn finish(mut connection: std::pin::Pin<&mut Connection>, grace: Duration) -> hyper::Result<()> {
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(grace, connection).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests;
