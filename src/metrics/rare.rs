//! Counters of what seldom happens, as handles of the `metrics` crate.

use metrics::{Counter, Key, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::names::{self, Family};

/// Events that an operator looks for one by one. Each handle is resolved when the broker starts.
#[derive(Debug)]
pub struct RareEvents {
    pub isr_shrinks: Counter,
    pub isr_expands: Counter,
    pub unclean_leader_elections: Counter,
    pub fetch_session_evictions: Counter,
    /// Batches that validation refused, by the reason.
    pub invalid_magic: Counter,
    pub invalid_crc: Counter,
    pub invalid_offset_or_sequence: Counter,
    pub no_key_in_compacted_topic: Counter,
    page: PrometheusHandle,
}

impl RareEvents {
    pub(crate) fn new() -> Self {
        // Not installed globally: each broker of a process has its own.
        let recorder = PrometheusBuilder::new().build_recorder();
        let counter = |family| register(&recorder, family);
        Self {
            isr_shrinks: counter(&names::ISR_SHRINKS),
            isr_expands: counter(&names::ISR_EXPANDS),
            unclean_leader_elections: counter(&names::UNCLEAN_ELECTIONS),
            fetch_session_evictions: counter(&names::FETCH_SESSION_EVICTIONS),
            invalid_magic: counter(&names::INVALID_MAGIC),
            invalid_crc: counter(&names::INVALID_CRC),
            invalid_offset_or_sequence: counter(&names::INVALID_SEQUENCE),
            no_key_in_compacted_topic: counter(&names::NO_KEY_COMPACTED),
            page: recorder.handle(),
        }
    }

    pub(crate) fn upkeep(&self) {
        self.page.run_upkeep();
    }

    pub(crate) fn render(&self) -> String {
        self.page.render()
    }
}

fn register(recorder: &PrometheusRecorder, family: &Family) -> Counter {
    const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
    recorder.describe_counter(family.name.into(), None, family.help.into());
    recorder.register_counter(&Key::from_name(family.name), &METADATA)
}
