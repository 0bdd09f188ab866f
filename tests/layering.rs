//! Rules of the source tree that the compiler does not check: who may import whom, which modules are pure, where files
//! and unsafe code may be touched, how long a file may be, and that nothing is left unfinished.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A module imports only from the lines above its own (and from its own line).
const LAYERS: &[&[&str]] = &[
    &["ids", "time", "error"],
    &["metrics"],
    &["io"],
    &["config"],
    &["protocol"],
    &["log"],
    &["metadata"],
    &["controller"],
    &["security"],
    &["quota"],
    &["telemetry"],
    &["client"],
    &["replication"],
    &["coordinator"],
    &["api"],
    &["net"],
    &["admin"],
    &["adopt", "check"],
    &["broker"],
    &["cli"],
];

/// Modules that decide and never act: no task, file, clock or random number of their own.
const PURE: &[&str] = &[
    "config",
    "log/producer_state",
    "log/leader_epochs",
    "metadata/image",
    "controller/machine",
    "controller/election",
    "controller/placement",
    "controller/reassignment",
    "security/acl",
    "quota/token_bucket",
    "quota/rate",
    "quota/limits",
    "telemetry/otlp",
    "telemetry/subscriptions",
    "telemetry/instances",
    "telemetry/pushed",
    "replication/truncation",
    "coordinator/record_codec",
    "coordinator/group/records",
    "coordinator/group/classic",
    "coordinator/group/consumer",
    "coordinator/group/offsets",
    "coordinator/group/assignor",
    "coordinator/group/share",
    "coordinator/share/records",
    "coordinator/share/share_partition",
    "coordinator/share/share_state_shard",
    "coordinator/share/state_batches",
    "coordinator/transaction/machine",
    "adopt/metadata_records",
    "adopt/kafka_metadata",
    "adopt/topic_configs",
    "adopt/zookeeper",
    "adopt/plan",
];

/// A random number generator may come in as an argument.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::env",
    "std::thread",
    "crate::io",
    "rand::rng",
    "rand::random",
    "Instant::now",
    "SystemTime::now",
    "async fn",
];

/// Without tests; a longer file is two concepts.
const LINES_MAX: usize = 700;

/// Joined here so that this file does not hold what it looks for.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("dbg", "!"),
];

#[test]
fn the_source_tree_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = Vec::new();
    let sources = rust_files(&root.join("src"));
    assert!(sources.len() > 10, "the sources are not where they are looked for");
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root.join("src")).unwrap().to_str().unwrap().to_owned();
        complaints.extend(check_source(&name, &text));
    }
    for folder in
        ["src", "tests", "benches", "compat-tests/src", "compat-tests/tests", "fuzz/src", "fuzz/fuzz_targets"]
    {
        for path in rust_files(&root.join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            complaints.extend(check_tidiness(&name, &text));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Layers, purity, files and unsafe code, in one file of `src/`.
fn check_source(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let module = module_path(name);
    if name == "lib.rs" || name == "main.rs" || is_test_file(name) {
        return complaints;
    }
    let Some(own_layer) = layer_of(&module[0]) else {
        return vec![format!("src/{name}: module '{}' has no place in the layers", module[0])];
    };
    let code = code_of(text);
    for (line, path) in paths(&code, module.len()) {
        let target = path.split("::").nth(1).unwrap_or_default();
        if target != module[0] && layer_of(target).is_some_and(|layer| layer > own_layer) {
            complaints
                .push(format!("src/{name}:{line}: {} must not import {target}, which lies below it", module[0]));
        }
    }
    let at = |place: usize| code[..place].matches('\n').count() + 1;
    if module[0] != "io" {
        for forbidden in ["std::fs", "tokio::fs", "unsafe"] {
            for place in words(&code, forbidden) {
                complaints.push(format!("src/{name}:{}: '{forbidden}' is for io/ only", at(place)));
            }
        }
    }
    if PURE.iter().any(|pure| name.trim_end_matches(".rs") == *pure || name.starts_with(&format!("{pure}/"))) {
        for forbidden in IMPURE {
            for place in words(&code, forbidden) {
                complaints.push(format!("src/{name}:{}: a pure module must not use '{forbidden}'", at(place)));
            }
        }
    }
    complaints
}

/// Length and marks of unfinished work, in any Rust file.
fn check_tidiness(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = without_tests(text).lines().count();
    if lines > LINES_MAX && !is_test_file(name) {
        complaints.push(format!("{name}: {lines} lines without tests, more than {LINES_MAX}: split it by concept"));
    }
    for (index, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| words(line, mark).next().is_some()) {
            complaints.push(format!("{name}:{}: '{mark}' is left", index + 1));
        }
        if line.trim() == "#[ignore]" {
            complaints.push(format!("{name}:{}: an ignored test says why", index + 1));
        }
    }
    complaints
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `log/tests/crash.rs` is `[log, tests, crash]`, `log/mod.rs` is `[log]`.
fn module_path(name: &str) -> Vec<String> {
    let mut module: Vec<_> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// Test code may import what it likes and write files.
fn is_test_file(name: &str) -> bool {
    name.starts_with("tests/")
        || name.starts_with("compat-tests/")
        || name.split('/').any(|part| ["tests", "tests.rs", "testing", "testing.rs"].contains(&part))
}

fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |tests| &text[..tests])
}

/// The paths that lead out of a module at this depth, as `crate::...`, with their lines.
fn paths(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let outwards = "super::".repeat(depth);
    for start in ["crate::", outwards.as_str()] {
        for place in words(code, start.trim_end_matches("::")) {
            let Some(rest) = code[place..].strip_prefix(start) else { continue };
            let line = code[..place].matches('\n').count() + 1;
            for target in targets(rest) {
                paths.push((line, format!("crate::{target}")));
            }
        }
    }
    paths
}

/// The modules that a path names next: one, or each of a `{group}`.
fn targets(rest: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let (mut depth, mut targets, mut begins) = (0, Vec::new(), true);
    for (place, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            other if begins && !other.is_whitespace() => {
                targets.push(identifier(&group[place..]));
                begins = false;
            }
            _ => {}
        }
    }
    targets
}

/// Where `word` stands by itself, not as a part of a longer name.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).map(|(place, _)| place).filter(move |&place| {
        let before = code[..place].chars().next_back();
        let after = code[place + word.len()..].chars().next();
        !before.is_some_and(|character| is_name(character) || character == ':') && !after.is_some_and(is_name)
    })
}

/// The source without comments, without the contents of strings, without its test module; lines stay where they are.
fn code_of(text: &str) -> String {
    let text = without_tests(text);
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment_bytes(rest).or_else(|| literal_bytes(rest));
        let Some(skipped) = skipped else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        rest = &rest[skipped..];
    }
    code
}

/// How long the comment is that `text` begins with.
fn comment_bytes(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| text.find("*/").map_or(text.len(), |end| end + 2))
}

/// How long the string or character is that `text` begins with; a lifetime is none.
fn literal_bytes(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(hashes) = hashes.filter(|hashes| text[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let begin = 2 + hashes;
        return Some(text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len()));
    }
    let quote = text.chars().next().filter(|first| *first == '"' || *first == '\'')?;
    if quote == '\'' && !text.starts_with("'\\") && text.chars().nth(2) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    for (place, character) in text.char_indices().skip(1) {
        if !escaped && character == quote {
            return Some(place + 1);
        }
        escaped = !escaped && character == '\\';
    }
    Some(text.len())
}

#[expect(clippy::disallowed_methods, reason = "the sources are not a broker's data")]
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The checker itself, on sources made up for it.
mod checker {
    use super::*;

    #[track_caller]
    fn complains(name: &str, text: &str, about: &str) {
        let complaints = check_source(name, text);
        assert!(complaints.iter().any(|complaint| complaint.contains(about)), "{text}: {complaints:?}");
    }

    #[track_caller]
    fn passes(name: &str, text: &str) {
        assert_eq!(check_source(name, text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn an_import_from_below_is_found() {
        complains(
            "log/read.rs",
            "use crate::replication::Partition;",
            "src/log/read.rs:1: log must not import replication",
        );
        complains("log/read.rs", "\nfn f() { crate::api::produce::f() }", "log/read.rs:2");
        complains("log/read.rs", "use crate::{ids::Offset, net::Connection};", "net");
        complains("log/read.rs", "use crate::{\n    io::{Disk, DiskFile},\n    cli,\n};", "cli");
        complains("log/read.rs", "use super::super::broker::Broker;", "broker");
        complains("metrics/mod.rs", "use super::io::Disk;", "io");
        complains("config/mod.rs", "pub(crate) use crate::log::PartitionLog;", "log");
        complains("novelty/mod.rs", "", "no place");
    }

    #[test]
    fn imports_from_above_and_test_code_pass() {
        passes(
            "log/read.rs",
            "use crate::{ids::Offset, io::{Disk, net}, log::segment};\nuse super::segment::Segment;",
        );
        passes("ids.rs", "use crate::error::ErrorCode;");
        passes("log/read.rs", "// use crate::net::X;\n/* crate::api */\nconst A: &str = \"crate::cli::B\";");
        passes("log/read.rs", "const A: &str = r#\"say \"crate::cli\" \"#; fn f<'a>(c: &'a str) -> char { '\"' }");
        passes("log/read.rs", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::net::X;\n}");
        passes("log/tests/crash.rs", "use crate::broker::Broker;");
        passes("main.rs", "use ottla::cli;");
        passes("log/read.rs", "use my_crate::net::X; macro_rules! m { () => { other::crate_net } }");
    }

    #[test]
    fn code_behind_a_literal_is_still_read() {
        for literal in ["'\\''", "'\"'", "b'\\\\'", "\"\\\"\"", "r\"\\\"", "r##\"\"# \"##", "'a'", "'\\n'"] {
            complains("log/read.rs", &format!("const A: X = {literal}; use crate::net::X;"), "net");
        }
        complains("log/read.rs", "fn f<'a>() {} // it's\nuse crate::net::X;", ":2");
    }

    #[test]
    fn files_and_unsafe_code_outside_io_are_found() {
        complains("log/read.rs", "use std::fs::File;", "'std::fs' is for io/ only");
        complains("net/listener.rs", "fn f() { unsafe { g() } }", "'unsafe' is for io/ only");
        passes("io/real.rs", "use std::fs::File; fn f() { unsafe { g() } }");
        passes("log/read.rs", "#![forbid(unsafe_code)]");
    }

    #[test]
    fn a_pure_module_that_acts_is_found() {
        complains("log/producer_state.rs", "use tokio::sync::Mutex;", "'tokio'");
        complains("log/producer_state/entry.rs", "pub async fn f() {}", "'async fn'");
        complains("controller/placement.rs", "fn f() -> u8 { rand::random() }", "'rand::random'");
        complains("controller/placement.rs", "fn f() { g(&mut rand::rng()) }", "'rand::rng'");
        passes("controller/placement.rs", "use rand::Rng; fn f(random: &mut impl Rng) {}");
        passes("log/partition_log.rs", "use tokio::sync::Notify;");
    }

    #[test]
    fn length_and_unfinished_work_are_found() {
        let long = "fn f() {}\n".repeat(LINES_MAX + 1);
        assert_eq!(check_tidiness("src/a.rs", &long).len(), 1);
        assert!(check_tidiness("tests/a.rs", &long).is_empty());
        let mut tested = "fn f() {}\n".repeat(LINES_MAX);
        let _ = write!(tested, "#[cfg(test)]\nmod tests {{\n{long}}}");
        assert!(check_tidiness("src/a.rs", &tested).is_empty());
        assert_eq!(check_tidiness("src/a.rs", &format!("// {}: later", UNFINISHED[0])).len(), 1);
        assert_eq!(check_tidiness("src/a.rs", &format!("{}(x)", UNFINISHED[5])).len(), 1);
        assert!(check_tidiness("src/a.rs", concat!("a \\u", "XX", "XX escape")).is_empty());
        assert_eq!(check_tidiness("src/a.rs", "    #[ignore]\n    fn f() {}").len(), 1);
        assert!(check_tidiness("src/a.rs", "#[ignore = \"takes minutes\"]").is_empty());
    }
}
