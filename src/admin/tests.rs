//! A client of plain sockets against the server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

struct Running {
    port: u16,
    ready: Arc<AtomicBool>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

async fn start(limits: Limits) -> Running {
    start_with(limits, Arc::new(|| "metric 1\n".to_owned())).await
}

async fn start_with(limits: Limits, metrics: Render) -> Running {
    let listener = AdminListener::bind("127.0.0.1", 0).await.unwrap();
    let port = listener.port();
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let pages = Pages {
        metrics,
        health: Arc::new(|| Ok(())),
        readiness: Arc::new(move || {
            is_ready.load(Ordering::SeqCst).then_some(()).ok_or_else(|| "recovering logs".into())
        }),
    };
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    serve_within(limits, listener, pages, &tasks, &shutdown);
    Running { port, ready, tasks, shutdown }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// All that the server answers to `request` until it closes the connection.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        // The server may have closed the connection before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        read_to_end(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.expect("every task ends");
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    // A connection that the server cut is as closed as one it ended.
    let _ = read.expect("the server closes the connection");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn serves_metrics_health_and_readiness() {
    let server = start(LIMITS).await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.ends_with("\r\n\r\nmetric 1\n"), "{metrics}");
    assert!(server.get("/healthz").await.ends_with("\r\n\r\nok\n"));

    let unready = server.get("/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503 ") && unready.ends_with("\r\n\r\nrecovering logs\n"), "{unready}");
    server.ready.store(true, Ordering::SeqCst);
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

#[tokio::test]
async fn refuses_what_it_does_not_serve() {
    let server = start(LIMITS).await;
    assert!(server.get("/").await.starts_with("HTTP/1.1 404 "));
    assert!(server.ask("POST /metrics HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 405 "));
    assert!(server.ask("\0\0\0\x12not http at all\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let long = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    // What it did not read may cut the connection before the answer (431) arrives.
    assert!(!server.ask(&long).await.contains("200 OK"));
    let many = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert!(server.ask(&many).await.starts_with("HTTP/1.1 431 "));
    server.stop().await;
}

#[tokio::test]
async fn a_slow_or_idle_client_is_let_go() {
    let server = start(Limits { head_timeout: Duration::from_millis(50), ..LIMITS }).await;
    server.ask("GET /metrics HT").await;
    server.ask("").await;
    let kept_alive = server.ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(kept_alive.ends_with("ok\n"), "{kept_alive}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_has_a_lifetime() {
    let server = start(Limits { lifetime: Duration::from_millis(50), ..LIMITS }).await;
    let answer = server.ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.ends_with("ok\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_connection_is_cut() {
    let server = start(Limits { connections: 2, ..LIMITS }).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(server.connect().await);
        assert!(server.get("/healthz").await.ends_with("ok\n"), "a probe gets in beside the silent");
    }
    for stream in &mut silent[..8] {
        assert_eq!(read_to_end(stream).await, "", "cut");
    }
    server.stop().await;
}

#[tokio::test]
async fn one_page_of_metrics_is_written_at_a_time() {
    let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen) = (Arc::clone(&at_work), Arc::clone(&most));
    let render = move || {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        String::new()
    };
    let server = start_with(LIMITS, Arc::new(render)).await;
    for _ in 0..8 {
        // Asks and goes away.
        let mut stream = server.connect().await;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    }
    assert!(server.get("/metrics").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(most.load(Ordering::SeqCst), 1);
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_clients() {
    let server = start(LIMITS).await;
    let idle = server.connect().await;
    let mut kept_alive = server.connect().await;
    kept_alive.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    kept_alive.readable().await.unwrap();
    server.stop().await;
    drop((idle, kept_alive));
}

#[tokio::test]
async fn a_taken_port_is_told_from_other_failures() {
    let first = AdminListener::bind("localhost", 0).await.unwrap();
    let error = AdminListener::bind("localhost", first.port()).await.unwrap_err();
    assert!(error.is_port_taken(), "{error}");
    assert!(error.to_string().contains(&format!("localhost:{}", first.port())), "{error}");
    let error = AdminListener::bind("no.such.host.invalid", 0).await.unwrap_err();
    assert!(!error.is_port_taken() && error.to_string().contains("no.such.host.invalid"), "{error}");
    assert!(AdminListener::bind("", 0).await.unwrap().port() != 0);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        AdminListener::bind("[::1]", 0).await.unwrap();
    }
}
