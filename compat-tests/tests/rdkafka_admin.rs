//! librdkafka's admin client.

use std::collections::HashMap;

use ottla_compat_tests::Node;
use ottla_compat_tests::librdkafka::{Sender, client};
use ottla_compat_tests::wait::{DEADLINE, eventually};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::runtime::{Builder, Runtime};

struct Admin {
    client: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    options: AdminOptions,
}

impl Admin {
    fn of(node: &Node) -> Self {
        Self {
            client: client(&node.bootstrap()).create().expect("an admin client"),
            runtime: Builder::new_current_thread().build().expect("a runtime"),
            options: AdminOptions::new().operation_timeout(Some(DEADLINE)),
        }
    }

    fn create(&self, topic: &NewTopic<'_>) -> Result<String, (String, RDKafkaErrorCode)> {
        self.runtime.block_on(self.client.create_topics([topic], &self.options)).expect("an answer").remove(0)
    }

    fn config(&self, resource: ResourceSpecifier<'_>, key: &str) -> (Option<String>, ConfigSource) {
        let answer = self.runtime.block_on(self.client.describe_configs([&resource], &self.options));
        let found = answer.expect("an answer").remove(0).expect("a resource");
        let entry = found.entries.into_iter().find(|entry| entry.name == key);
        let entry = entry.unwrap_or_else(|| panic!("{key} is not described"));
        (entry.value, entry.source)
    }

    fn partitions(&self, topic: &str) -> usize {
        let metadata = self.client.inner().fetch_metadata(Some(topic), DEADLINE).expect("metadata");
        metadata.topics()[0].partitions().len()
    }
}

#[test]
fn topics_are_created_grown_and_deleted() {
    let node = Node::with(&[("auto.create.topics.enable", "false")]);
    let admin = Admin::of(&node);
    let topic = NewTopic::new("made", 3, TopicReplication::Fixed(1)).set("retention.ms", "123456");
    assert_eq!(admin.create(&topic), Ok("made".into()));
    assert_eq!(admin.create(&topic), Err(("made".into(), RDKafkaErrorCode::TopicAlreadyExists)));
    eventually("three partitions", || (admin.partitions("made") == 3).then_some(()));
    assert_eq!(
        admin.config(ResourceSpecifier::Topic("made"), "retention.ms"),
        (Some("123456".into()), ConfigSource::DynamicTopic)
    );

    let grow = |topic, count| {
        let larger = NewPartitions::new(topic, count);
        let answer = admin.client.create_partitions([&larger], &admin.options);
        admin.runtime.block_on(answer).expect("an answer").remove(0)
    };
    assert_eq!(grow("made", 7), Ok("made".into()));
    assert_eq!(grow("made", 2), Err(("made".into(), RDKafkaErrorCode::InvalidPartitions)));
    eventually("seven partitions", || (admin.partitions("made") == 7).then_some(()));

    let delete = |topic| {
        admin.runtime.block_on(admin.client.delete_topics(&[topic], &admin.options)).expect("an answer").remove(0)
    };
    assert_eq!(delete("made"), Ok("made".into()));
    eventually("no partitions", || (admin.partitions("made") == 0).then_some(()));
    assert_eq!(delete("made"), Err(("made".into(), RDKafkaErrorCode::UnknownTopicOrPartition)));
}

#[test]
fn topics_may_be_assigned_by_hand() {
    let node = Node::start();
    let admin = Admin::of(&node);
    let assignment: [&[i32]; 2] = [&[1], &[1]];
    assert_eq!(
        admin.create(&NewTopic::new("by-hand", 2, TopicReplication::Variable(&assignment))),
        Ok("by-hand".into())
    );
    eventually("two partitions", || (admin.partitions("by-hand") == 2).then_some(()));
    let elsewhere: [&[i32]; 1] = [&[9]];
    let refused = admin.create(&NewTopic::new("elsewhere", 1, TopicReplication::Variable(&elsewhere)));
    assert_eq!(refused, Err(("elsewhere".into(), RDKafkaErrorCode::InvalidReplicaAssignment)));
}

#[test]
fn a_refused_topic_says_why() {
    let node = Node::start();
    let admin = Admin::of(&node);
    let refused = |topic: &NewTopic<'_>| admin.create(topic).expect_err("a refusal").1;
    assert_eq!(refused(&NewTopic::new("no/slash", 1, TopicReplication::Fixed(1))), RDKafkaErrorCode::InvalidTopic);
    assert_eq!(
        refused(&NewTopic::new("three", 1, TopicReplication::Fixed(3))),
        RDKafkaErrorCode::InvalidReplicationFactor
    );
    let odd = NewTopic::new("odd", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "shred");
    assert_eq!(refused(&odd), RDKafkaErrorCode::InvalidConfig);
}

#[test]
fn configs_of_topics_and_brokers_are_altered() {
    let node = Node::start();
    let admin = Admin::of(&node);
    admin.create(&NewTopic::new("t", 1, TopicReplication::Fixed(1))).expect("a topic");
    let alter = |change: AlterConfig<'_>| {
        admin.runtime.block_on(admin.client.alter_configs([&change], &admin.options)).expect("an answer").remove(0)
    };
    let change = AlterConfig {
        specifier: ResourceSpecifier::Topic("t"),
        entries: HashMap::from([("max.message.bytes", "2000")]),
    };
    alter(change).expect("the change");
    eventually("the change shows", || {
        (admin.config(ResourceSpecifier::Topic("t"), "max.message.bytes").0.as_deref() == Some("2000")).then_some(())
    });
    eventually("the change takes effect", || {
        let sender = Sender::new(&node.bootstrap(), &[]);
        sender.send("t", Some(0), "large", &[7; 5000]);
        (sender.finish()[0].result == Err(RDKafkaErrorCode::MessageSizeTooLarge)).then_some(())
    });
    let change =
        AlterConfig { specifier: ResourceSpecifier::Topic("t"), entries: HashMap::from([("retention.ms", "soon")]) };
    // This version of the crate drops the error of a resource: what counts is that nothing changed.
    let _ = alter(change);
    assert_eq!(admin.config(ResourceSpecifier::Topic("t"), "max.message.bytes").0.as_deref(), Some("2000"));
    assert_eq!(
        admin.config(ResourceSpecifier::Broker(1), "num.partitions"),
        (Some("1".into()), ConfigSource::Default)
    );
}
