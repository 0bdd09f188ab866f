//! Use of client quotas, under the names that dashboards for Kafka's quotas ask for.

use std::sync::Arc;

use super::exposition::Exposition;
use super::names::{self, Family};

/// Above so many, the rest of the clients have no series of their own: client ids are the clients' choice.
const SERIES_MAX: usize = 1_000;

/// What those who share one limit did lately.
#[derive(Clone, Debug)]
pub struct QuotaSnapshot {
    /// Kafka's word for what is limited: `Produce`, `Fetch`, `Request`, `ControllerMutation`.
    pub resource: &'static str,
    /// Empty where the limit is not the user's.
    pub user: Arc<str>,
    /// Empty where the limit is not the client id's.
    pub client_id: Arc<str>,
    pub value: f64,
    pub throttle_ms: f64,
}

impl QuotaSnapshot {
    fn family(&self) -> &'static Family {
        match self.resource {
            "Request" => &names::QUOTA_REQUEST_TIME,
            "ControllerMutation" => &names::QUOTA_TOKENS,
            _ => &names::QUOTA_BYTE_RATE,
        }
    }
}

pub(super) fn render_quotas(out: &mut Exposition, quotas: &[QuotaSnapshot]) {
    if quotas.is_empty() {
        return;
    }
    let mut shown: Vec<_> = quotas.iter().collect();
    shown.sort_by(|one, other| {
        let key = |quota: &QuotaSnapshot| (quota.resource, Arc::clone(&quota.user), Arc::clone(&quota.client_id));
        key(one).cmp(&key(other))
    });
    if shown.len() > SERIES_MAX {
        out.comment(&format!("series of {} clients with quotas are left out", shown.len() - SERIES_MAX));
        shown.truncate(SERIES_MAX);
    }
    for family in [&names::QUOTA_BYTE_RATE, &names::QUOTA_REQUEST_TIME, &names::QUOTA_TOKENS] {
        let mut of_family = shown.iter().filter(|quota| std::ptr::eq(quota.family(), family)).peekable();
        if of_family.peek().is_some() {
            out.family(family);
        }
        for quota in of_family {
            out.sample(family, &quota.labels(), quota.value);
        }
    }
    out.family(&names::QUOTA_THROTTLE_TIME);
    for quota in shown {
        out.sample(&names::QUOTA_THROTTLE_TIME, &quota.labels(), quota.throttle_ms);
    }
}

impl QuotaSnapshot {
    fn labels(&self) -> [(&'static str, &str); 3] {
        [("resource", self.resource), ("user", &self.user), ("clientId", &self.client_id)]
    }
}
