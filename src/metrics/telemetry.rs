//! What clients pushed (KIP-714). Their metrics' own names are labels: there are too many to be families.

use std::sync::Arc;

use super::exposition::Exposition;
use super::names;

/// What clients have pushed so far.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySnapshot {
    pub instances: usize,
    pub pushes: u64,
    pub refused: u64,
    pub bytes: u64,
    pub data_points: u64,
    pub values_left_out: u64,
    /// Bounded by the receiver.
    pub values: Vec<TelemetryValue>,
}

/// The latest value of one metric of one client id.
#[derive(Clone, Debug)]
pub struct TelemetryValue {
    pub metric: Arc<str>,
    pub client_id: Arc<str>,
    pub value: f64,
}

pub(super) fn render_telemetry(out: &mut Exposition, telemetry: &TelemetrySnapshot) {
    out.single(&names::TELEMETRY_INSTANCES, telemetry.instances);
    for (family, count) in [
        (&names::TELEMETRY_PUSHES, telemetry.pushes),
        (&names::TELEMETRY_REFUSED, telemetry.refused),
        (&names::TELEMETRY_BYTES, telemetry.bytes),
        (&names::TELEMETRY_DATA_POINTS, telemetry.data_points),
        (&names::TELEMETRY_LEFT_OUT, telemetry.values_left_out),
    ] {
        out.single(family, count);
    }
    if telemetry.values.is_empty() {
        return;
    }
    let mut values: Vec<_> = telemetry.values.iter().collect();
    values.sort_by(|one, other| (&one.metric, &one.client_id).cmp(&(&other.metric, &other.client_id)));
    out.family(&names::TELEMETRY_VALUE);
    for value in values {
        let labels = [("metric", &*value.metric), ("clientId", &*value.client_id)];
        out.sample(&names::TELEMETRY_VALUE, &labels, value.value);
    }
}
