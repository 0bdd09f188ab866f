//! Metrics that clients push (KIP-714): who is asked for which, and what comes.
//!
//! Owns: the subscriptions as the metadata has them, a bounded memory of client instances, what was pushed, counted and
//! shown on `/metrics`. Kafka has a plug-in receive the metrics; here the broker is the receiver.
//!
//! ```text
//!  configs/client-metrics/… ──▶ Subscriptions ──┐ which match this client?
//!                                               ▼
//!  GetTelemetrySubscriptions ──▶ ClientTelemetry ── instances: subscription id, when it asked and pushed last
//!  PushTelemetry ─────────────▶      │ decompress (capped) ──▶ otlp ──▶ Pushed: counts, latest values ──▶ /metrics
//! ```

mod instances;
mod otlp;
mod pushed;
mod service;
mod subscriptions;

pub use instances::ClientFacts;
pub use otlp::{BadPayload, Metric, read_metrics};
pub use pushed::{PushedReading, PushedValue};
pub use service::{ClientTelemetry, Push, Subscribed, TelemetryError};
pub use subscriptions::{Subscription, Subscriptions};
