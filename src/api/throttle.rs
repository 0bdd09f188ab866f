//! Quotas and replies: what a request counts for, what its response says of it, how long the connection is not read.
//!
//! Almost every response tells `throttle_time_ms` at a fixed place: there the time is written once the response is
//! encoded, so that hardly a handler has to think of it. Bytes and mutations are counted by the handlers that know them.

use std::sync::Arc;
use std::time::Duration;

use super::RequestContext;
use super::reply::Outcome;
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::quota::{ClientQuotas, Meter, QuotaKind};

/// Where the responses of an API tell `throttle_time_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThrottleTime {
    /// They do not.
    Untold,
    /// First of all, since this version.
    First(i16),
    /// Right behind the error code.
    BehindError,
    /// Behind what has no fixed length: the handler takes [`RequestContext::charge_time`] and tells of it.
    ByHandler,
}

/// Size and correlation id, before the tags of a flexible header.
const HEADER_BYTES: usize = 8;

impl ThrottleTime {
    /// Where in a response's frame it is.
    fn at(self, version: i16, flexible: bool) -> Option<usize> {
        const ERROR_BYTES: usize = 2;
        let body = HEADER_BYTES + usize::from(flexible);
        match self {
            Self::First(since) if version >= since => Some(body),
            Self::BehindError => Some(body + ERROR_BYTES),
            Self::First(_) | Self::Untold | Self::ByHandler => None,
        }
    }
}

/// Who every client is, until clients have to say who they are.
const ANONYMOUS: &str = "ANONYMOUS";

impl RequestContext {
    /// What limits this client; none where nothing limits anybody.
    pub(super) fn quotas(&self) -> Option<Arc<ClientQuotas>> {
        let quotas = &self.services().quotas;
        if !quotas.limits_clients() {
            return None;
        }
        let client_id = self.client_id.as_deref().unwrap_or_default();
        Some(quotas.of_client(&self.connection.quotas, ANONYMOUS, client_id))
    }

    /// Counts `value` against one of the client's quotas; how long it is throttled, in milliseconds.
    pub(super) fn charge(&self, kind: QuotaKind, value: f64) -> i32 {
        self.quotas()
            .and_then(|quotas| quotas.meter(kind).map(Arc::clone))
            .map_or(0, |meter| millis(meter.record(self.services().quotas.now(), value)))
    }

    /// Counts the time that the request took so far; how long the client is throttled, in milliseconds.
    pub(super) fn charge_time(&self) -> i32 {
        const PERCENT: f64 = 100.0;
        let Some(received) = self.received else { return 0 };
        let busy = self.services().clock.monotonic().saturating_sub(received);
        self.charge(QuotaKind::Request, busy.as_secs_f64() * PERCENT)
    }

    /// The client's quota on partitions created and deleted: since `strict_since` a request over it is refused.
    pub(super) fn mutation_quota(&self, strict_since: i16) -> MutationQuota {
        let meter = self.quotas().and_then(|quotas| quotas.meter(QuotaKind::ControllerMutation).map(Arc::clone));
        MutationQuota { meter, strict: self.version >= strict_since, throttled_until: Duration::ZERO }
    }
}

/// What one request takes of the quota on partitions created and deleted (KIP-599).
#[derive(Debug)]
pub(super) struct MutationQuota {
    meter: Option<Arc<Meter>>,
    strict: bool,
    throttled_until: Duration,
}

impl MutationQuota {
    /// Takes `partitions`, or says that there are none left.
    pub(super) fn take(&mut self, cx: &RequestContext, partitions: usize) -> Result<(), AdminError> {
        let Some(meter) = &self.meter else { return Ok(()) };
        let now = cx.services().quotas.now();
        if self.strict {
            return meter.spend_strictly(now, partitions as f64).map_err(|exceeded| {
                self.throttled_until = now + exceeded.throttle;
                AdminError::new(ErrorCode::ThrottlingQuotaExceeded, exceeded.to_string())
            });
        }
        self.throttled_until = now + meter.record(now, partitions as f64);
        Ok(())
    }

    /// How long the client is throttled from now on, in milliseconds.
    pub(super) fn throttle_time_ms(&self, cx: &RequestContext) -> i32 {
        match self.meter {
            Some(_) => millis(self.throttled_until.saturating_sub(cx.services().quotas.now())),
            None => 0,
        }
    }
}

/// Counts the time that a request took, and makes its reply tell of it.
pub(super) fn settle(cx: &RequestContext, flexible: bool, outcome: Outcome) -> Outcome {
    if cx.api.throttle_time == ThrottleTime::ByHandler {
        return outcome;
    }
    let throttle_ms = cx.charge_time();
    match outcome {
        Outcome::Reply(reply) => {
            Outcome::Reply(reply.throttled(throttle_ms, cx.api.throttle_time.at(cx.version, flexible)))
        }
        outcome => outcome.muting(throttle_ms),
    }
}

fn millis(throttle: Duration) -> i32 {
    i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_behind_the_header() {
        assert_eq!(ThrottleTime::First(3).at(2, false), None);
        assert_eq!(ThrottleTime::First(3).at(3, false), Some(8));
        assert_eq!(ThrottleTime::First(3).at(9, true), Some(9));
        assert_eq!(ThrottleTime::BehindError.at(0, false), Some(10));
        assert_eq!(ThrottleTime::ByHandler.at(9, true), None);
    }
}
