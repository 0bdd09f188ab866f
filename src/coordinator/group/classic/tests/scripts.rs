//! Scenarios as text: `testdata/*.txt` holds what is done and, indented, what comes of it.
//!
//! ```text
//! join A                 A joins with the id it was last given; `fresh`, `type=`, `protocols=`, `static=`, `session=`,
//!                        `rebalance=`, `old` (a client before KIP-394) and `noskip` (before KIP-814) say otherwise;
//!                        wherever somebody speaks, `as=` names another member id
//! sync A A=x B=y         A syncs, and assigns as leader; `protocol=`, `type=`, `gen=`, `static=`
//! heartbeat A            `gen=`, `static=`
//! leave A B              `static=` names somebody without an id
//! pass 10s               time passes
//! fail                   the next record cannot be appended
//! restart                another coordinator reads the log
//! set max_size=2         `delay=`
//! commit A               whether A may commit; `gen=`
//! describe               what tools see
//! ```
//! Run with `OTTLA_WRITE_SCRIPTS=1` to write down what comes of it now; then read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::*;
use super::world::World;
use crate::coordinator::ReplyTo;
use crate::coordinator::group::records::GroupMetadataValue;
use crate::error::ErrorCode;

#[test]
#[expect(clippy::disallowed_methods, reason = "the scripts are files of the source tree")]
fn scripts_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/coordinator/group/classic/testdata");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "the scripts are not where they are looked for");
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let actual = run(&expected);
        if std::env::var_os("OTTLA_WRITE_SCRIPTS").is_some() {
            std::fs::write(&file, &actual).unwrap();
        } else {
            assert_eq!(actual, expected, "{}", file.display());
        }
    }
}

fn run(script: &str) -> String {
    let mut stage = Stage { world: World::new(), actors: BTreeMap::new(), requests: BTreeMap::new(), ids: 0 };
    let mut written = String::new();
    for line in script.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(written, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for outcome in stage.play(line) {
            writeln!(written, "    {outcome}").unwrap();
        }
    }
    written
}

struct Stage {
    world: World,
    actors: BTreeMap<String, Actor>,
    /// Who asked for what.
    requests: BTreeMap<ReplyTo, String>,
    ids: usize,
}

#[derive(Default)]
struct Actor {
    member_id: String,
    generation_id: i32,
}

/// The words of a line behind its verb: names, and settings with a `=`.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied().filter(|word| !word.contains('='))
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn has(&self, flag: &str) -> bool {
        self.0.contains(&flag)
    }

    fn ms(&self, key: &str, default_ms: i32) -> i32 {
        self.get(key).map_or(default_ms, |text| duration(text).as_millis() as i32)
    }

    fn instance_id(&self) -> Option<InstanceId> {
        self.get("static").map(Into::into)
    }
}

fn duration(text: &str) -> Duration {
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => Duration::from_millis(ms.parse().unwrap()),
        (_, Some(seconds)) => Duration::from_secs(seconds.parse().unwrap()),
        _ => panic!("{text} is no time"),
    }
}

impl Stage {
    fn play(&mut self, line: &str) -> Vec<String> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let words = Words(words.collect());
        let mut told = Vec::new();
        match verb {
            "join" => self.join(line, &words),
            "sync" => self.sync(line, &words),
            "heartbeat" => {
                let (member_id, generation_id) = self.speaker(&words);
                let request = Heartbeat { generation_id, member_id, instance_id: words.instance_id() };
                let answer = self.world.heartbeat(&request);
                told.push(format!("heartbeat {} -> {answer:?}", words.names().next().unwrap_or_default()));
            }
            "leave" => self.leave(line, &words),
            "pass" => self.world.advance(duration(words.names().next().unwrap())),
            "fail" => self.world.fail_next_append = true,
            "restart" => self.world.restart(),
            "set" => {
                if let Some(max_size) = words.get("max_size") {
                    self.world.settings.max_size = max_size.parse().unwrap();
                }
                if let Some(delay) = words.get("delay") {
                    self.world.settings.initial_rebalance_delay = duration(delay);
                }
            }
            "commit" => told.push(self.commit(&words)),
            "describe" => told.extend(self.describe()),
            _ => panic!("{verb} is not known"),
        }
        told.extend(self.outcomes());
        told
    }

    fn actor(&mut self, words: &Words<'_>) -> &mut Actor {
        self.actors.entry(words.names().next().unwrap_or_default().to_owned()).or_default()
    }

    fn speaker(&mut self, words: &Words<'_>) -> (MemberId, i32) {
        let actor = self.actor(words);
        let member_id = words.get("as").unwrap_or(&actor.member_id).into();
        let generation_id = words.get("gen").map_or(actor.generation_id, |text| text.parse().unwrap());
        (member_id, generation_id)
    }

    fn join(&mut self, line: &str, words: &Words<'_>) {
        self.ids += 1;
        let name = words.names().next().unwrap();
        let new_member_id = format!("{}-{}", words.get("static").unwrap_or(name), self.ids).into();
        let member_id = if words.has("fresh") { "".into() } else { self.speaker(words).0 };
        let protocols = words.get("protocols").unwrap_or("range").split(',').filter(|name| !name.is_empty());
        let protocols = protocols.map(|protocol| {
            let (name, metadata) = protocol.split_once(':').unwrap_or((protocol, ""));
            Protocol { name: name.into(), metadata: Bytes::copy_from_slice(metadata.as_bytes()) }
        });
        let reply_to = self.world.join(&Join {
            member_id,
            new_member_id,
            instance_id: words.instance_id(),
            client_id: name.into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: words.get("type").unwrap_or("consumer").into(),
            protocols: Protocols::new(protocols),
            session_timeout_ms: words.ms("session", 10_000),
            rebalance_timeout_ms: words.ms("rebalance", 60_000),
            requires_known_member_id: !words.has("old"),
            supports_skipping_assignment: !words.has("noskip"),
            reason: None,
        });
        self.requests.insert(reply_to, line.to_owned());
    }

    fn sync(&mut self, line: &str, words: &Words<'_>) {
        let (member_id, generation_id) = self.speaker(words);
        let given = words.0.iter().filter_map(|word| word.split_once('='));
        let given = given.filter_map(|(name, part)| Some((self.actors.get(name)?, part)));
        let assignments =
            given.map(|(actor, part)| (actor.member_id.as_str().into(), Bytes::copy_from_slice(part.as_bytes())));
        let assignments = assignments.collect();
        let reply_to = self.world.sync(Sync {
            generation_id,
            member_id,
            instance_id: words.instance_id(),
            protocol_type: words.get("type").map(Into::into),
            protocol_name: words.get("protocol").map(Into::into),
            assignments,
        });
        self.requests.insert(reply_to, line.to_owned());
    }

    fn leave(&mut self, line: &str, words: &Words<'_>) {
        let mut members: Vec<_> = words
            .names()
            .map(|name| LeavingMember {
                member_id: self.actors.get(name).map_or(name, |actor| actor.member_id.as_str()).into(),
                instance_id: None,
                reason: None,
            })
            .collect();
        if let Some(instance_id) = words.instance_id() {
            members.push(LeavingMember { member_id: "".into(), instance_id: Some(instance_id), reason: None });
        }
        let reply_to = self.world.leave(&Leave { members });
        self.requests.insert(reply_to, line.to_owned());
    }

    fn commit(&mut self, words: &Words<'_>) -> String {
        let (member_id, generation_id) = self.speaker(words);
        let group = self.world.group.as_ref().unwrap();
        let checked = group.validate_offset_commit(&member_id, words.get("static"), generation_id, false);
        format!("{:?}", checked.err().unwrap_or(ErrorCode::None))
    }

    fn describe(&self) -> Vec<String> {
        let Some(group) = &self.world.group else { return vec!["no group".to_owned()] };
        let described = group.describe();
        let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("-").to_owned();
        let head = format!(
            "{} type {} protocol {} generation {} leader {}",
            described.state,
            name(&described.protocol_type),
            name(&described.protocol_name),
            group.generation_id(),
            name(&group.leader_id),
        );
        let members = described.members.into_iter().map(|member| {
            let static_as = member.instance_id.map(|id| format!(" static {id}")).unwrap_or_default();
            format!("{}{static_as} says {:?} has {:?}", member.member_id, member.metadata, member.assignment)
        });
        std::iter::once(head).chain(members).collect()
    }

    /// Records first: what is answered is written by then.
    fn outcomes(&mut self) -> Vec<String> {
        let records = std::mem::take(&mut self.world.records);
        let mut told: Vec<String> = records.iter().map(record_text).collect();
        for (reply_to, answer) in self.world.answers() {
            let request = self.requests.remove(&reply_to).unwrap();
            let mut words = request.split_whitespace();
            let (verb, name) = (words.next().unwrap(), words.next().unwrap_or_default());
            if let Ok(ClassicReply::Join(reply)) = &answer {
                self.hear(name, reply);
            }
            let text = answer.map_or_else(|error| format!("{error:?}"), |reply| reply_text(&reply));
            told.push(format!("{verb} {name} -> {text}"));
        }
        told
    }

    fn hear(&mut self, name: &str, reply: &JoinReply) {
        if matches!(reply.error, ErrorCode::None | ErrorCode::MemberIdRequired) {
            let generation_id = reply.generation_id;
            self.actors.insert(name.to_owned(), Actor { member_id: reply.member_id.to_string(), generation_id });
        }
    }
}

fn record_text(record: &GroupMetadataValue) -> String {
    let members = record.members.iter().map(|member| format!(" {}={:?}", member.member_id, member.assignment));
    format!(
        "record: generation {} protocol {} leader {}{}",
        record.generation,
        record.protocol.as_deref().unwrap_or("-"),
        record.leader.as_deref().unwrap_or("-"),
        members.collect::<String>()
    )
}

fn reply_text(reply: &ClassicReply) -> String {
    match reply {
        ClassicReply::Join(reply) if reply.error.is_error() => format!("{:?} {}", reply.error, reply.member_id),
        ClassicReply::Join(reply) => {
            let members = reply.members.iter().map(|member| format!(" {}{:?}", member.member_id, member.metadata));
            format!(
                "{} in generation {} of {} led by {}{}{}",
                reply.member_id,
                reply.generation_id,
                reply.protocol_name.as_deref().unwrap_or("-"),
                reply.leader.as_deref().unwrap_or("-"),
                if reply.skip_assignment { " (skip)" } else { "" },
                members.collect::<String>()
            )
        }
        ClassicReply::Sync(reply) if reply.error.is_error() => format!("{:?}", reply.error),
        ClassicReply::Sync(reply) => format!("{:?}", reply.assignment),
        ClassicReply::Leave(reply) => {
            let members = reply.members.iter().map(|member| {
                let name = member.instance_id.as_ref().unwrap_or(&member.member_id);
                format!("{name} {:?}", member.error)
            });
            members.collect::<Vec<_>>().join(", ")
        }
    }
}
