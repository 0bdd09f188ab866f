//! The table that a run prints: Ottla's figure, Kafka's, and the one divided by the other.

use std::time::Duration;

use crate::ClientName;
use crate::load::{Kind, Load, Percentiles};
use crate::tally::Tally;

const MIB: f64 = (1 << 20) as f64;

pub struct Report(String);

impl Report {
    pub fn new(rounds: usize) -> Self {
        let head = format!(
            "{rounds} rounds of each broker in turn. Less is better where nothing else is said, but for records/s.\n\n\
             | load | client | figure | Ottla | Kafka | Ottla / Kafka |\n|---|---|---|---:|---:|---:|\n"
        );
        Self(head)
    }

    pub fn starts(&mut self, after: [Duration; 2]) {
        self.row("start", "", "empty directory to first answer, ms", after.map(|took| took.as_secs_f64() * 1e3));
    }

    pub fn idle(&mut self, rss_bytes: [u64; 2]) {
        self.row("idle", "", "resident memory, MiB", rss_bytes.map(|bytes| bytes as f64 / MIB));
    }

    pub fn peak(&mut self, rss_bytes: [u64; 2]) {
        self.row("all", "", "largest resident memory, MiB", rss_bytes.map(|bytes| bytes as f64 / MIB));
    }

    pub fn load(&mut self, load: &Load, client: ClientName, tallies: &[Tally; 2]) {
        let client = match client {
            ClientName::Librdkafka => "librdkafka",
            ClientName::Java => "Java",
        };
        let mut row = |figure: &str, of: &dyn Fn(&Tally) -> f64| {
            self.row(load.name, client, figure, [of(&tallies[0]), of(&tallies[1])]);
        };
        if matches!(load.kind, Kind::Produce { .. } | Kind::Consume { .. }) {
            row("user CPU, s/GB", &|tally| tally.broker().user / tally.gigabytes());
            row("total CPU, s/GB", &|tally| tally.broker().total() / tally.gigabytes());
            row("machine less clients, s/GB", &|tally| tally.machine() / tally.gigabytes());
        }
        row("user CPU, s/million requests", &|tally| tally.broker().user / tally.million_requests());
        row("total CPU, s/million requests", &|tally| tally.broker().total() / tally.million_requests());
        if matches!(load.kind, Kind::Paced { .. }) {
            for (name, of) in
                [("acknowledged", Tally::acknowledged as fn(&Tally) -> _), ("received", Tally::received)]
            {
                let ms = |tally: &Tally, share: fn(Percentiles) -> Duration| {
                    of(tally).map_or(f64::NAN, |all| share(all).as_secs_f64() * 1e3)
                };
                row(&format!("{name} p50, ms"), &|tally| ms(tally, |all| all.p50));
                row(&format!("{name} p99, ms"), &|tally| ms(tally, |all| all.p99));
                row(&format!("{name} p99.9, ms"), &|tally| ms(tally, |all| all.p999));
            }
        } else {
            row("records/s", &Tally::records_per_second);
        }
    }

    /// A table of its own begins.
    pub fn heading(&mut self, head: &str) {
        self.line("");
        self.line(head);
    }

    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub fn into_table(self) -> String {
        self.0
    }

    pub fn row(&mut self, load: &str, client: &str, figure: &str, [ottla, kafka]: [f64; 2]) {
        let digits = if kafka < 100.0 { 2 } else { 0 };
        let ratio = ottla / kafka;
        self.line(&format!("| {load} | {client} | {figure} | {ottla:.digits$} | {kafka:.digits$} | {ratio:.2} |"));
    }
}
