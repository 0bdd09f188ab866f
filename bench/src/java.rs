//! Kafka's Java client: `java/Driver.java` in one JVM for all rounds.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ottla_compat_tests::tool::{java, kafka_class_path};

use crate::load::{Done, Order, Percentiles};

pub struct JavaClient {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl JavaClient {
    pub fn start() -> Result<Self> {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Driver.java");
        let mut command = java();
        // Neither so small that it collects all the time nor so large that it takes the page cache's room.
        command.args(["-Xms512M", "-Xmx512M", "-cp"]).arg(kafka_class_path()).arg(driver);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("java")?;
        let orders = child.stdin.take().context("a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut client = Self { child, orders, answers };
        let greeting = client.line()?;
        if greeting != "ready" {
            bail!("the Java driver says {greeting}");
        }
        Ok(client)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn produce(&mut self, order: &Order) -> Result<Done> {
        self.run("produce", order)
    }

    pub fn consume(&mut self, order: &Order) -> Result<Done> {
        self.run("consume", order)
    }

    pub fn paced(&mut self, order: &Order) -> Result<Done> {
        self.run("paced", order)
    }

    fn run(&mut self, kind: &str, order: &Order) -> Result<Done> {
        let Order { bootstrap, topic, partitions, records, record_bytes, batch_bytes, rate } = order;
        writeln!(
            self.orders,
            "{kind} bootstrap={bootstrap} topic={topic} partitions={partitions} records={records} \
             record_bytes={record_bytes} batch_bytes={batch_bytes} records_per_turn={} rate={rate}",
            order.records_per_turn(),
        )?;
        let answer = self.line()?;
        parse(&answer).with_context(|| format!("the Java driver says {answer:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the Java driver ended: its standard error says why");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for JavaClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(answer: &str) -> Result<Done> {
    let mut fields = HashMap::new();
    for word in answer.split(' ') {
        let (name, value) = word.split_once('=').context("key=value")?;
        fields.insert(name.to_owned(), value.parse::<u64>()?);
    }
    let get = |name: &str| fields.get(name).copied().with_context(|| format!("no {name}"));
    let nanos = |name: &str| Ok::<_, anyhow::Error>(Duration::from_nanos(get(name)?));
    let percentiles = |name: &str| {
        let at = |share: &str| nanos(&format!("{name}_{share}"));
        Ok::<_, anyhow::Error>(Percentiles { p50: at("p50")?, p99: at("p99")?, p999: at("p999")? })
    };
    Ok(Done {
        records: get("records")?,
        elapsed: nanos("nanos")?,
        requests: get("requests")?,
        acknowledged: percentiles("ack").ok(),
        received: percentiles("e2e").ok(),
    })
}
