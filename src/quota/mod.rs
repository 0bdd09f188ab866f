//! Client quotas (KIP-13, 55, 124, 546, 599, 612): how much each client may do, and how long one that did more is kept
//! waiting.
//!
//! Owns: the limits as the metadata has them, the measured rates, throttle times. Never does: delay anything itself. A
//! request is served, its response tells the throttle time, and the connection is not read for so long (KIP-219).
//!
//! ```text
//!  metadata image ──▶ Limits ──┐ which limit is a client's?
//!                              ▼
//!  api: bytes, time ──▶ QuotaManager ──▶ ClientQuotas, kept by the connection ──▶ Meter ──▶ throttle time
//! ```
//!
//! Where no quota is set, a request costs one atomic load.

mod hosts;
mod limits;
mod manager;
mod meter;
mod rate;
mod token_bucket;

pub use hosts::{HostLimits, addresses_of};
pub use limits::{Limits, QuotaKind, Scope};
pub use manager::{ClientQuotas, QuotaManager, QuotaWindows};
pub use meter::{Meter, QuotaExceeded, Reading};
pub use rate::{Rate, Window};
pub use token_bucket::TokenBucket;
