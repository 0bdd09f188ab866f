//! Requests, their errors and where their time went, per API (Kafka's `RequestMetrics`).

use std::sync::OnceLock;
use std::time::Duration;

use super::exposition::Exposition;
use super::names::{self, API_NAMES, Family};
use super::summary::{Summary, SummaryReading};
use super::topic::Count;
use crate::error::ErrorCode;

/// The versions of an API that are counted; Kafka's highest is 18.
const VERSIONS: usize = 32;
/// Error codes from -1 on; Kafka's highest is 136.
const ERRORS: usize = 160;

/// The metrics of every API, by its key. An API that was never called costs nothing.
#[derive(Debug)]
pub struct RequestMetrics {
    apis: [OnceLock<Box<ApiMetrics>>; API_NAMES.len()],
    fetch_by_followers: OnceLock<Box<ApiMetrics>>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self { apis: [const { OnceLock::new() }; API_NAMES.len()], fetch_by_followers: OnceLock::new() }
    }
}

/// The metrics of one API.
#[derive(Debug)]
pub struct ApiMetrics {
    requests: [Count; VERSIONS],
    errors: [ErrorCount; ERRORS],
    times: Times,
    request_bytes: Summary,
}

#[derive(Debug, Default)]
struct ErrorCount {
    code: OnceLock<ErrorCode>,
    count: Count,
}

#[derive(Debug)]
struct Times {
    total: Summary,
    request_queue: Summary,
    local: Summary,
    remote: Summary,
    response_queue: Summary,
    response_send: Summary,
    throttle: Summary,
}

/// Where the time of one request went; the parts but `throttle` make up its total time.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestTimes {
    /// From the frame's last byte to the handler's start.
    pub request_queue: Duration,
    /// The handler's own work.
    pub local: Duration,
    /// Waiting for a sync, replicas, or records to come.
    pub remote: Duration,
    /// The response is ready; earlier ones of the connection are not.
    pub response_queue: Duration,
    /// Writing to the socket.
    pub response_send: Duration,
    /// How long a quota asked the client to stay away.
    pub throttle: Duration,
}

impl RequestTimes {
    pub fn total(&self) -> Duration {
        self.request_queue + self.local + self.remote + self.response_queue + self.response_send
    }
}

impl RequestMetrics {
    /// The metrics of an API; `None` for a key that Kafka does not know, so that no series comes from the wire.
    /// A consumer's fetches are under the key of Fetch, a follower's under [`Self::fetch_by_follower`].
    pub fn api(&self, api_key: i16) -> Option<&ApiMetrics> {
        let slot = self.apis.get(usize::try_from(api_key).ok()?)?;
        Some(slot.get_or_init(|| Box::new(ApiMetrics::new())))
    }

    pub fn fetch_by_follower(&self) -> &ApiMetrics {
        self.fetch_by_followers.get_or_init(|| Box::new(ApiMetrics::new()))
    }

    pub(crate) fn rotate(&self) {
        for metrics in self.apis.iter().filter_map(OnceLock::get).chain(self.fetch_by_followers.get()) {
            metrics.rotate();
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let requests = self.by_request();
        out.family(&names::REQUESTS);
        for (request, parts) in &requests {
            for version in 0..VERSIONS {
                let count: u64 = parts.iter().map(|metrics| metrics.requests[version].get()).sum();
                if count > 0 {
                    let labels = [("request", *request), ("version", &version.to_string())];
                    out.sample(&names::REQUESTS, &labels, count);
                }
            }
        }
        out.family(&names::ERRORS);
        for (request, parts) in &requests {
            for index in 0..ERRORS {
                let Some(code) = parts.iter().find_map(|metrics| metrics.errors[index].code.get()) else { continue };
                let count: u64 = parts.iter().map(|metrics| metrics.errors[index].count.get()).sum();
                out.sample(&names::ERRORS, &[("request", request), ("error", &kafka_name(*code))], count);
            }
        }
        for (family, summary) in &SUMMARIES {
            let readings: Vec<_> = requests
                .iter()
                .map(|(request, parts)| ([("request", *request)], merged(parts.iter().map(|part| summary(part)))))
                .collect();
            out.summaries(family, readings.iter().map(|(labels, reading)| (&labels[..], reading)));
        }
    }

    /// Every value of the label `request` with what counts under it: `Fetch` is consumers and followers together.
    fn by_request(&self) -> Vec<(&'static str, Vec<&ApiMetrics>)> {
        let mut requests = Vec::new();
        for (key, slot) in self.apis.iter().enumerate() {
            let own = slot.get().map(Box::as_ref);
            if key != names::FETCH as usize {
                requests.extend(own.map(|metrics| (API_NAMES[key], vec![metrics])));
                continue;
            }
            let followers = self.fetch_by_followers.get().map(Box::as_ref);
            let both: Vec<_> = own.into_iter().chain(followers).collect();
            if !both.is_empty() {
                requests.push((API_NAMES[key], both));
            }
            requests.extend(own.map(|metrics| ("FetchConsumer", vec![metrics])));
            requests.extend(followers.map(|metrics| ("FetchFollower", vec![metrics])));
        }
        requests
    }
}

type SummaryOf = fn(&ApiMetrics) -> &Summary;

static SUMMARIES: [(&Family, SummaryOf); 8] = [
    (&names::TOTAL_TIME, |metrics| &metrics.times.total),
    (&names::REQUEST_QUEUE_TIME, |metrics| &metrics.times.request_queue),
    (&names::LOCAL_TIME, |metrics| &metrics.times.local),
    (&names::REMOTE_TIME, |metrics| &metrics.times.remote),
    (&names::RESPONSE_QUEUE_TIME, |metrics| &metrics.times.response_queue),
    (&names::RESPONSE_SEND_TIME, |metrics| &metrics.times.response_send),
    (&names::THROTTLE_TIME, |metrics| &metrics.times.throttle),
    (&names::REQUEST_BYTES, |metrics| &metrics.request_bytes),
];

impl ApiMetrics {
    fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| Count::default()),
            errors: std::array::from_fn(|_| ErrorCount::default()),
            times: Times {
                total: Summary::new(),
                request_queue: Summary::new(),
                local: Summary::new(),
                remote: Summary::new(),
                response_queue: Summary::new(),
                response_send: Summary::new(),
                throttle: Summary::new(),
            },
            request_bytes: Summary::new(),
        }
    }

    /// Counts a request on its arrival.
    pub fn received(&self, version: i16, request_bytes: usize) {
        if let Some(requests) = usize::try_from(version).ok().and_then(|version| self.requests.get(version)) {
            requests.add(1);
        }
        self.request_bytes.record(request_bytes as u64);
    }

    /// Counts an error code that a response carries `times` times.
    pub fn answered(&self, error: ErrorCode, times: u64) {
        let slot = usize::try_from(i32::from(error.code()) + 1).ok().and_then(|index| self.errors.get(index));
        if let Some(slot) = slot {
            slot.code.get_or_init(|| error);
            slot.count.add(times);
        }
    }

    /// Records where the time went, once the response has left.
    pub fn completed(&self, times: &RequestTimes) {
        self.times.total.record_duration(times.total());
        self.times.request_queue.record_duration(times.request_queue);
        self.times.local.record_duration(times.local);
        self.times.remote.record_duration(times.remote);
        self.times.response_queue.record_duration(times.response_queue);
        self.times.response_send.record_duration(times.response_send);
        self.times.throttle.record_duration(times.throttle);
    }

    fn rotate(&self) {
        for (_, summary) in &SUMMARIES {
            summary(self).rotate();
        }
    }
}

fn merged<'a>(mut summaries: impl Iterator<Item = &'a Summary>) -> SummaryReading {
    let mut merged = summaries.next().map_or_else(SummaryReading::empty, Summary::read);
    for summary in summaries {
        merged.merge(&summary.read());
    }
    merged
}

/// Kafka's spelling: `UnknownTopicId` is `UNKNOWN_TOPIC_ID`.
fn kafka_name(code: ErrorCode) -> String {
    let mut name = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}
