//! What counting costs a request: our summaries and counters beside the histograms and counters of
//! `metrics-exporter-prometheus`, alone and with a second thread on the same cache lines.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use metrics::{Key, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::PrometheusBuilder;
use ottla::metrics::{Metrics, RequestTimes, Snapshot};

const METADATA: Metadata<'static> = Metadata::new("bench", Level::INFO, None);
const SAMPLES_PER_REQUEST: usize = 8;

/// Measures `work` alone, then while another thread does the same.
fn alone_and_contended(criterion: &mut Criterion, name: &str, work: impl Fn(u64) + Sync) {
    let mut group = criterion.benchmark_group(name);
    let mut count = 0;
    let mut next = || {
        count += 1;
        work(black_box(count));
    };
    group.bench_function("alone", |bencher| bencher.iter(&mut next));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                count += 1;
                work(count);
            }
        });
        group.bench_function("contended", |bencher| bencher.iter(&mut next));
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
}

fn counters(criterion: &mut Criterion) {
    let metrics = Metrics::new();
    let topic = metrics.topics.topic(&"topic".into());
    alone_and_contended(criterion, "counter/ours", |_| topic.bytes_in.add(1));
    alone_and_contended(criterion, "counter/exporter", |_| metrics.events.isr_shrinks.increment(1));
}

fn latencies(criterion: &mut Criterion) {
    let metrics = Metrics::new();
    let produce = metrics.requests.api(0).expect("the key of Produce");
    alone_and_contended(criterion, "request/ours", |request| {
        let local = Duration::from_micros(request % 5_000);
        produce.received(13, 1_000);
        produce.completed(&RequestTimes { local, ..RequestTimes::default() });
    });

    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let histograms: Vec<_> = (0..SAMPLES_PER_REQUEST)
        .map(|index| recorder.register_histogram(&Key::from_name(format!("histogram{index}")), &METADATA))
        .collect();
    alone_and_contended(criterion, "request/exporter, eight samples and their share of draining", |request| {
        for histogram in &histograms {
            histogram.record((request % 5_000) as f64);
        }
        if request % 100_000 == 0 {
            handle.run_upkeep();
        }
    });
}

fn page(criterion: &mut Criterion) {
    let metrics = Metrics::new();
    for api_key in 0..20 {
        metrics.requests.api(api_key).expect("a known key").completed(&RequestTimes::default());
    }
    let topics: Vec<_> = (0..1_000).map(|index| metrics.topics.topic(&format!("topic-{index}").into())).collect();
    criterion.bench_function("page/20 APIs, 1,000 topics", |bencher| {
        bencher.iter(|| metrics.render(&Snapshot::default()).len());
    });
    drop(topics);
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = counters, latencies, page
}
criterion_main!(benches);
