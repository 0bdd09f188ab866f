//! Quotas and replies: what a request counts for, what its response says of it, how long the connection is not read.
//!
//! Every response but a few begins with `throttle_time_ms`: there the time is written once the response is encoded, so
//! that no handler has to think of it. Bytes and mutations are counted by the handlers that know them.

use std::sync::Arc;
use std::time::Duration;

use super::RequestContext;
use super::reply::Outcome;
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::quota::{ClientQuotas, Meter, QuotaKind};

/// The APIs whose responses begin with `throttle_time_ms`, and since which version they do.
const BEGINS_WITH_THROTTLE_TIME: &[(i16, i16)] = &[
    (1, 1),
    (2, 2),
    (3, 3),
    (8, 3),
    (9, 3),
    (10, 1),
    (11, 2),
    (12, 1),
    (13, 1),
    (14, 1),
    (15, 1),
    (16, 1),
    (19, 2),
    (20, 1),
    (21, 0),
    (22, 0),
    (23, 2),
    (24, 0),
    (25, 0),
    (26, 0),
    (28, 0),
    (29, 0),
    (30, 0),
    (31, 0),
    (32, 0),
    (33, 0),
    (34, 0),
    (35, 0),
    (37, 0),
    (42, 0),
    (43, 0),
    (44, 0),
    (45, 0),
    (46, 0),
    (48, 0),
    (49, 0),
    (50, 0),
    (51, 0),
    (57, 0),
    (60, 0),
    (61, 0),
    (64, 0),
    (65, 0),
    (66, 0),
    (68, 0),
    (69, 0),
    (71, 0),
    (72, 0),
    (74, 0),
    (75, 0),
    (76, 0),
    (77, 0),
    (78, 0),
    (79, 0),
    (88, 0),
    (89, 0),
    (90, 0),
    (91, 0),
    (92, 0),
];

/// Size and correlation id, before the tags of a flexible header.
const HEADER_BYTES: usize = 8;

/// Where in a response's frame `throttle_time_ms` is.
fn throttle_time_at(api_key: i16, version: i16, flexible: bool) -> Option<usize> {
    let row = BEGINS_WITH_THROTTLE_TIME.binary_search_by_key(&api_key, |(key, _)| *key).ok()?;
    let (_, since) = BEGINS_WITH_THROTTLE_TIME[row];
    (version >= since).then_some(HEADER_BYTES + usize::from(flexible))
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
pub(super) fn settle(cx: &RequestContext, flexible: bool, busy: Duration, outcome: Outcome) -> Outcome {
    const PERCENT: f64 = 100.0;
    let throttle_ms = cx.charge(QuotaKind::Request, busy.as_secs_f64() * PERCENT);
    match outcome {
        Outcome::Reply(reply) => {
            let at = throttle_time_at(cx.api.key, cx.version, flexible);
            Outcome::Reply(reply.throttled(throttle_ms, at))
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
        assert!(BEGINS_WITH_THROTTLE_TIME.is_sorted());
        assert_eq!(throttle_time_at(3, 2, false), None);
        assert_eq!(throttle_time_at(3, 3, false), Some(8));
        assert_eq!(throttle_time_at(3, 9, true), Some(9));
        assert_eq!(throttle_time_at(0, 9, true), None, "Produce has it at the end");
        assert_eq!(throttle_time_at(18, 3, true), None, "so has ApiVersions");
    }

    /// An API that is served and not listed is muted without being told why.
    #[test]
    fn every_api_is_known() {
        const ELSEWHERE: [i16; 7] = [0, 18, 38, 39, 40, 41, 47];
        const NOWHERE: [i16; 3] = [17, 36, 55];
        for row in super::super::TABLE {
            let listed = throttle_time_at(row.key, *row.versions.end(), true).is_some();
            assert!(listed || ELSEWHERE.contains(&row.key) || NOWHERE.contains(&row.key), "{}", row.name);
        }
    }
}
