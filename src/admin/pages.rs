//! The routes and what they answer.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

/// Writes a page. May take some milliseconds of CPU time; runs on a blocking thread.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Says whether all is well, or in one line what is not. Runs on a worker thread: it must not block.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Where the answers come from.
#[derive(Clone)]
pub struct Pages {
    pub metrics: Render,
    pub health: Check,
    pub readiness: Check,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl Pages {
    pub(super) fn into_router(self, tasks: TaskTracker) -> Router {
        let metrics = Arc::new(MetricsPage { render: self.metrics, tasks, one_at_a_time: Arc::default() });
        Router::new()
            .route("/metrics", get(metrics_page).with_state(metrics))
            .route("/healthz", get(check_page).with_state(self.health))
            .route("/readyz", get(check_page).with_state(self.readiness))
    }
}

struct MetricsPage {
    render: Render,
    tasks: TaskTracker,
    /// Many scrapers at once must not take the CPU from the clients.
    one_at_a_time: Arc<Mutex<()>>,
}

async fn metrics_page(State(page): State<Arc<MetricsPage>>) -> Response {
    let turn = Arc::clone(&page.one_at_a_time).lock_owned().await;
    let render = Arc::clone(&page.render);
    // The turn ends with the work: a client that goes away meanwhile makes no room for a second one.
    let render_in_turn = move || {
        let _turn = turn;
        render()
    };
    match page.tasks.spawn_blocking(render_in_turn).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn check_page(State(check): State<Check>) -> Response {
    match check() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
