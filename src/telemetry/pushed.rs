//! What clients have pushed: how much, and the latest value of each metric.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::otlp::Metric;
use crate::ids::short_name;

/// Values that are kept at once; the names are the clients' choice, and kept [short](short_name).
const MAX_VALUES: usize = 2_000;
/// A value that was not pushed again for so long is forgotten: longer than the longest interval.
const VALUE_LIMIT: Duration = Duration::from_secs(2 * 3_600);

/// The latest value of one metric of one client id.
#[derive(Clone, Debug, PartialEq)]
pub struct PushedValue {
    pub metric: Arc<str>,
    pub client_id: Arc<str>,
    pub value: f64,
}

/// All that was pushed, for metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushedReading {
    pub instances: usize,
    pub pushes: u64,
    pub refused: u64,
    pub bytes: u64,
    pub data_points: u64,
    /// Values that there was no room for.
    pub values_left_out: u64,
    pub values: Vec<PushedValue>,
}

#[derive(Debug, Default)]
pub(super) struct Pushed {
    pub(super) pushes: u64,
    pub(super) refused: u64,
    pub(super) bytes: u64,
    data_points: u64,
    values_left_out: u64,
    values: HashMap<(Arc<str>, Arc<str>), (f64, Duration)>,
}

impl Pushed {
    pub(super) fn take(&mut self, now: Duration, client_id: &str, metrics: &[Metric<'_>]) {
        let client_id: Arc<str> = short_name(client_id).into();
        for metric in metrics {
            self.data_points += metric.data_points as u64;
            let Some(value) = metric.value.filter(|value| value.is_finite()) else { continue };
            let key = (Arc::from(short_name(metric.name)), Arc::clone(&client_id));
            if self.values.len() >= MAX_VALUES && !self.values.contains_key(&key) {
                self.values.retain(|_, (_, at)| now.saturating_sub(*at) < VALUE_LIMIT);
                if self.values.len() >= MAX_VALUES {
                    self.values_left_out += 1;
                    continue;
                }
            }
            self.values.insert(key, (value, now));
        }
    }

    pub(super) fn read(&mut self, now: Duration, instances: usize) -> PushedReading {
        self.values.retain(|_, (_, at)| now.saturating_sub(*at) < VALUE_LIMIT);
        let values = self.values.iter().map(|((metric, client_id), &(value, _))| PushedValue {
            metric: Arc::clone(metric),
            client_id: Arc::clone(client_id),
            value,
        });
        PushedReading {
            instances,
            pushes: self.pushes,
            refused: self.refused,
            bytes: self.bytes,
            data_points: self.data_points,
            values_left_out: self.values_left_out,
            values: values.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_and_forgotten() {
        let mut pushed = Pushed::default();
        let names: Vec<_> = (0..MAX_VALUES + 5).map(|number| number.to_string()).collect();
        let metrics: Vec<_> = names.iter().map(|name| Metric { name, data_points: 1, value: Some(1.0) }).collect();
        pushed.take(Duration::ZERO, "c", &metrics);
        let read = pushed.read(Duration::ZERO, 1);
        assert_eq!((read.values.len(), read.values_left_out, read.data_points), (MAX_VALUES, 5, 2_005));
        pushed.take(VALUE_LIMIT, "c", &[Metric { name: "new", data_points: 1, value: Some(2.0) }]);
        let read = pushed.read(VALUE_LIMIT, 1);
        assert_eq!(read.values.len(), 1);
        assert_eq!((&*read.values[0].metric, read.values[0].value as i64), ("new", 2));
    }

    #[test]
    fn long_names_are_kept_short() {
        let mut pushed = Pushed::default();
        let name = "m".repeat(30_000);
        pushed.take(Duration::ZERO, &"c".repeat(30_000), &[Metric { name: &name, data_points: 1, value: Some(1.0) }]);
        let read = pushed.read(Duration::ZERO, 1);
        assert!(read.values[0].metric.len() + read.values[0].client_id.len() < 1_000);
    }

    #[test]
    fn what_is_no_number_is_only_counted() {
        let mut pushed = Pushed::default();
        let metric = |value| Metric { name: "m", data_points: 3, value };
        pushed.take(Duration::ZERO, "c", &[metric(None), metric(Some(f64::NAN))]);
        let read = pushed.read(Duration::ZERO, 1);
        assert_eq!((read.values.len(), read.data_points), (0, 6));
    }
}
