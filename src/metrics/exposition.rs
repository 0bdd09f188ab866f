//! The text form that Prometheus reads.
//!
//! All lines of one metric stand together under one `# TYPE` line, which is why the total of a counter and its
//! series per topic are written by the same code.

use std::fmt::{Display, Write as _};

use super::names::{Family, Kind};
use super::summary::SummaryReading;

/// As the JMX exporter writes them: the median has two digits.
const QUANTILES: [(&str, f64); 6] =
    [("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

pub(crate) type Label<'a> = (&'static str, &'a str);

/// A page being written, one family after the other.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// A family of one series without labels.
    pub(crate) fn single(&mut self, family: &Family, value: impl Display) {
        self.family(family);
        self.sample(family, &[], value);
    }

    /// The lines that introduce a family; its samples must follow before the next one.
    pub(crate) fn family(&mut self, family: &Family) {
        let (name, help, kind) = (family.name, family.help, family.kind.name());
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn sample(&mut self, family: &Family, labels: &[Label<'_>], value: impl Display) {
        self.line(family.name, "", labels, None, value);
    }

    /// A whole family of summaries; nothing where there are none.
    pub(crate) fn summaries<'a>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (&'a [Label<'a>], &'a SummaryReading)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_some() {
            self.family(family);
        }
        for (labels, reading) in series {
            for (label, quantile) in QUANTILES {
                let value =
                    reading.quantile(quantile).map_or(f64::NAN, |value| value / family.kind.units_per_value());
                self.line(family.name, "", labels, Some(("quantile", label)), value);
            }
            self.line(family.name, "_count", labels, None, reading.samples());
        }
    }

    /// Lines that somebody else has written, of families that this page does not have yet.
    pub(crate) fn append(&mut self, lines: &str) {
        self.text.push_str(lines);
    }

    pub(crate) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {text}");
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn line(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[Label<'_>],
        last_label: Option<Label<'_>>,
        value: impl Display,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (label, content) in labels.iter().chain(&last_label) {
            self.text.push(separator);
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.push_escaped(content);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn push_escaped(&mut self, content: &str) {
        for character in content.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::SummaryOfMicroseconds | Self::SummaryOfBytes => "summary",
        }
    }

    /// Kafka shows times in milliseconds.
    fn units_per_value(self) -> f64 {
        if matches!(self, Self::SummaryOfMicroseconds) { 1000.0 } else { 1.0 }
    }
}
