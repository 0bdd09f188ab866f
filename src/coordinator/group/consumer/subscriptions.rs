//! Who of a group subscribes to what, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::Member;
use super::regex::ResolvedRegex;
use crate::ids::TopicName;

/// How a topic came to be subscribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TopicCount {
    /// Members that name it.
    names: usize,
    /// Regular expressions of the group that stand for it.
    regexes: usize,
}

/// What the members of a group subscribe to: kept up to date with every change, so that nobody has to walk over all
/// members to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscriptions {
    topics: BTreeMap<TopicName, TopicCount>,
    /// Members by regular expression.
    regexes: BTreeMap<Arc<str>, usize>,
    /// What the regular expressions stand for; missing while they have not been resolved.
    resolved: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
}

impl Subscriptions {
    pub(super) fn add_member(&mut self, member: &Member) {
        for name in member.subscribed_topic_names.iter() {
            self.topics.entry(Arc::clone(name)).or_default().names += 1;
        }
        if let Some(regex) = member.regex() {
            *self.regexes.entry(Arc::clone(regex)).or_default() += 1;
        }
    }

    pub(super) fn remove_member(&mut self, member: &Member) {
        for name in member.subscribed_topic_names.iter() {
            self.count_down(name, |count| count.names = count.names.saturating_sub(1));
        }
        if let Some(regex) = member.regex()
            && let Some(members) = self.regexes.get_mut(regex)
        {
            *members -= 1;
            if *members == 0 {
                self.regexes.remove(regex);
            }
        }
    }

    /// Sets what a regular expression stands for; `None`: nobody wants to know any more.
    pub(super) fn resolve(&mut self, regex: &Arc<str>, resolved: Option<Arc<ResolvedRegex>>) {
        if let Some(before) = self.resolved.remove(regex) {
            for name in &before.topics {
                self.count_down(name, |count| count.regexes = count.regexes.saturating_sub(1));
            }
        }
        if let Some(resolved) = resolved {
            for name in &resolved.topics {
                self.topics.entry(Arc::clone(name)).or_default().regexes += 1;
            }
            self.resolved.insert(Arc::clone(regex), resolved);
        }
    }

    fn count_down(&mut self, name: &TopicName, change: impl FnOnce(&mut TopicCount)) {
        if let Some(count) = self.topics.get_mut(name) {
            change(count);
            if *count == TopicCount::default() {
                self.topics.remove(name);
            }
        }
    }

    /// Every topic that any member names or a regular expression stands for, whether it exists or not.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }

    pub(super) fn has_topic(&self, name: &str) -> bool {
        self.topics.contains_key(name)
    }

    /// The regular expressions that members subscribe to, resolved or not.
    pub(super) fn regexes(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.regexes.keys()
    }

    pub(super) fn members_with_regex(&self, regex: &str) -> usize {
        self.regexes.get(regex).copied().unwrap_or(0)
    }

    pub(super) fn resolved(&self, regex: &str) -> Option<&Arc<ResolvedRegex>> {
        self.resolved.get(regex)
    }

    pub(super) fn all_resolved(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<ResolvedRegex>)> {
        self.resolved.iter()
    }

    /// The names of the topics that a member wants, as far as its regular expression is resolved.
    pub(super) fn wanted_by<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a TopicName> {
        let resolved = member.regex().and_then(|regex| self.resolved(regex));
        member.subscribed_topic_names.iter().chain(resolved.into_iter().flat_map(|resolved| {
            // Named as well: said once.
            resolved.topics.iter().filter(|&name| !member.subscribed_topic_names.contains(name))
        }))
    }

    /// What the subscriptions will be when `before` has become `after`, without the regular expressions that nobody
    /// uses then.
    pub(super) fn after(&self, before: &[&Member], after: Option<&Member>) -> Self {
        let mut next = self.clone();
        for member in before {
            next.remove_member(member);
        }
        if let Some(member) = after {
            next.add_member(member);
        }
        for regex in self.resolved.keys() {
            if !next.regexes.contains_key(regex) {
                next.resolve(regex, None);
            }
        }
        next
    }

    /// The regular expressions of `members` that nobody else uses.
    pub(super) fn regexes_only_of(&self, members: &[&Member]) -> BTreeSet<Arc<str>> {
        let mut counts: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for regex in members.iter().filter_map(|member| member.regex()) {
            *counts.entry(regex).or_default() += 1;
        }
        counts
            .into_iter()
            .filter(|&(regex, count)| self.members_with_regex(regex) == count)
            .map(|(regex, _)| Arc::clone(regex))
            .collect()
    }
}
