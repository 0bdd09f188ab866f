//! Reads what matters of an OTLP `MetricsData` message (opentelemetry-proto, `metrics.proto`): names, and numbers.
//!
//! ```text
//!  MetricsData ─1▶ ResourceMetrics ─2▶ ScopeMetrics ─2▶ Metric { 1 name, 5 gauge, 7 sum, 9 histogram, … }
//!                                      gauge, sum ─1▶ NumberDataPoint { 4 double, 6 sfixed64 }
//! ```
//! Everything else is passed over.

/// Bytes that are not such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metrics are not an OTLP message")]
pub struct BadPayload;

/// One metric of a push.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub data_points: usize,
    /// The sum of the data points, where they are numbers.
    pub value: Option<f64>,
}

/// Names longer than this are nobody's.
const MAX_NAME_BYTES: usize = 256;

/// The metrics of a push, in their order; at most `max` of them.
pub fn read_metrics(payload: &[u8], max: usize) -> Result<Vec<Metric<'_>>, BadPayload> {
    let mut metrics = Vec::new();
    for resource in messages(payload, 1) {
        for scope in messages(resource?, 2) {
            for metric in messages(scope?, 2) {
                let metric = read_metric(metric?)?;
                if metrics.len() < max {
                    metrics.push(metric);
                }
            }
        }
    }
    Ok(metrics)
}

fn read_metric(message: &[u8]) -> Result<Metric<'_>, BadPayload> {
    let mut metric = Metric { name: "", data_points: 0, value: None };
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(name)) => metric.name = std::str::from_utf8(name).map_err(|_| BadPayload)?,
            // Gauge and sum; then histogram, exponential histogram and summary, whose points are no numbers.
            (5 | 7, Value::Bytes(data)) => {
                for point in messages(data, 1) {
                    let number = number_of(point?)?;
                    metric.data_points += 1;
                    metric.value = Some(metric.value.unwrap_or_default() + number);
                }
            }
            (9..=11, Value::Bytes(data)) => {
                for point in messages(data, 1) {
                    point?;
                    metric.data_points += 1;
                }
            }
            _ => {}
        }
    }
    if metric.name.len() > MAX_NAME_BYTES { Err(BadPayload) } else { Ok(metric) }
}

fn number_of(point: &[u8]) -> Result<f64, BadPayload> {
    let mut number = 0.0;
    for field in Fields(point) {
        match field? {
            (4, Value::Fixed64(bits)) => number = f64::from_bits(bits),
            (6, Value::Fixed64(bits)) => number = bits as i64 as f64,
            _ => {}
        }
    }
    Ok(number)
}

/// The embedded messages of one field.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], BadPayload>> {
    Fields(message).filter_map(move |field| match field {
        Ok((found, Value::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(bad) => Some(Err(bad)),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Varint,
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message, in their order; ends after the first that makes no sense.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), BadPayload>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(BadPayload))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => {
                self.varint()?;
                Value::Varint
            }
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        assert!(bytes.len() < 128);
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn double(value: f64) -> Vec<u8> {
        [&[4 << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    fn integer(value: i64) -> Vec<u8> {
        [&[6 << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    fn message(metrics: &[Vec<u8>]) -> Vec<u8> {
        let scope: Vec<u8> = metrics.iter().flat_map(|metric| field(2, metric)).collect();
        field(1, &[field(1, b"resource"), field(2, &scope)].concat())
    }

    #[test]
    fn names_and_numbers() {
        let gauge = [field(1, b"a.gauge"), field(3, b"unit"), field(5, &field(1, &double(2.5)))].concat();
        let points = [field(1, &integer(40)), field(1, &integer(2))].concat();
        let sum = [field(1, b"a.sum"), field(7, &points)].concat();
        let histogram = [field(1, b"a.histogram"), field(9, &field(1, b""))].concat();
        let payload = message(&[gauge, sum, histogram]);
        let metric = |name, data_points, value| Metric { name, data_points, value };
        assert_eq!(
            read_metrics(&payload, 10).unwrap(),
            [metric("a.gauge", 1, Some(2.5)), metric("a.sum", 2, Some(42.0)), metric("a.histogram", 1, None)]
        );
        assert_eq!(read_metrics(&payload, 1).unwrap().len(), 1);
        assert_eq!(read_metrics(&[], 10), Ok(vec![]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [&[0x0a_u8][..], &[0x0a, 5, 0], &[0x0b], &[0x80; 11], &[0x0a, 2, 0x12, 9]] {
            assert_eq!(read_metrics(bad, 10), Err(BadPayload), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_crash(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_metrics(&payload, 10);
        }
    }
}
