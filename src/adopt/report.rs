//! What is taken over and what is not, for the user.

use std::fmt;

use serde::Serialize;
use serde_json::json;

use super::Adoption;
use super::plan::LeftOut;

/// Names that the text tells of a long list; JSON has all of them.
const MAX_TOLD: usize = 50;

/// Shows an adoption as text; [`Report::json`] has all of it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(pub &'a Adoption);

impl Serialize for LeftOut {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({ "what": self.what, "reason": self.reason }).serialize(serializer)
    }
}

impl Report<'_> {
    /// One line for the log.
    pub fn line(&self) -> String {
        let plan = &self.0.plan;
        let (topics, partitions) = (plan.topics.len(), plan.partition_count());
        format!("{topics} topics with {partitions} partitions from {}", self.0.source)
    }

    /// All of it, for programs.
    pub fn json(&self) -> serde_json::Value {
        let Adoption { plan, source, cluster_id, .. } = self.0;
        let topics: Vec<_> = plan
            .topics
            .iter()
            .map(|topic| {
                json!({
                    "name": topic.name,
                    "id": topic.id.to_string(),
                    "partitions": topic.partition_count,
                    "taken_over": topic.partitions.iter().map(|partition| partition.partition).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "source": source,
            "cluster_id": cluster_id,
            "topics": topics,
            "partitions": plan.partition_count(),
            "configured": plan.configs.len(),
            "quotas": plan.quotas.len(),
            "next_producer_id": plan.next_producer_id,
            "scram_credentials": plan.scram.len(),
            "acls": plan.acls.len(),
            "delegation_tokens": plan.tokens.len(),
            "refused": self.0.refusal().map(|error| error.to_string()),
            "left_out": plan.left_out,
            "notes": plan.notes,
        })
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adoption { plan, source, cluster_id, .. } = self.0;
        writeln!(f, "source             {source}")?;
        writeln!(f, "cluster id         {cluster_id}")?;
        writeln!(f, "topics             {}", plan.topics.len())?;
        writeln!(f, "partitions         {}", plan.partition_count())?;
        writeln!(f, "configured         {} resources", plan.configs.len())?;
        writeln!(f, "quotas             {}", plan.quotas.len())?;
        writeln!(f, "next producer id   {}", plan.next_producer_id)?;
        if let Some(security) = plan.security() {
            writeln!(f, "kept, no effect    {security}")?;
        }
        list(f, "note", plan.notes.iter().map(String::clone))?;
        list(f, "left out", plan.left_out.iter().map(|left| format!("{}: {}", left.what, left.reason)))?;
        match self.0.refusal() {
            Some(refusal) => writeln!(f, "REFUSED            {refusal}"),
            None => Ok(()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, lines: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let more = lines.len().saturating_sub(MAX_TOLD);
    for line in lines.take(MAX_TOLD) {
        writeln!(f, "{what:<18} {line}")?;
    }
    if more > 0 { writeln!(f, "{what:<18} and {more} more: see --json") } else { Ok(()) }
}
