//! Users, rules, tokens and quotas of a Kafka that is taken over: told of, kept, and never taken for nothing.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::node::free_port;
use ottla_compat_tests::tool::{Ran, kafka_tool, run};
use ottla_compat_tests::{Node, Peer, only_ottla, ottla};
use serde_json::Value;

/// Keys that Ottla does not honour yet, and stops at.
const SECURED: [&str; 6] =
    ["authorizer.", "super.users", "sasl.", "delegation.token.", "listener.name.", "inter.broker.listener.name"];

fn tool(class: &str, node: &Node, arguments: &[&str]) -> String {
    let bootstrap = node.bootstrap();
    let server = ["--bootstrap-server", &bootstrap];
    run(kafka_tool(class, server.iter().chain(arguments)), b"").ok()
}

fn alter(node: &Node, entity: &[&str], config: &str) {
    let alter = [&["--alter"], entity, &["--add-config", config]].concat();
    tool("kafka.admin.ConfigCommand", node, &alter);
}

/// A Kafka with an authorizer, and a second listener whose clients have passwords.
fn secured_kafka() -> (Node, u16) {
    let sasl_port = free_port();
    let listeners = format!("PLAINTEXT://127.0.0.1:{{port}},SASL_PLAINTEXT://127.0.0.1:{sasl_port}");
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                username=\"admin\" password=\"secret\" user_admin=\"secret\";";
    let node = Node::of(
        Peer::Kafka,
        |_| (),
        &[
            ("listeners", &listeners),
            ("advertised.listeners", &listeners),
            (
                "listener.security.protocol.map",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            ),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("super.users", "User:ANONYMOUS;User:admin"),
            ("sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.sasl_plaintext.plain.sasl.jaas.config", jaas),
            ("delegation.token.secret.key", "a secret of the brokers"),
        ],
    );
    (node, sasl_port)
}

/// Two credentials of one user, two rules, a token, and quotas of three kinds of clients.
fn secure(node: &Node, sasl_port: u16) -> Result<()> {
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        alter(
            node,
            &["--entity-type", "users", "--entity-name", "alice"],
            &format!("{mechanism}=[iterations=4096,password=secret]"),
        );
    }
    alter(node, &["--entity-type", "users", "--entity-name", "alice"], "producer_byte_rate=1000000");
    alter(node, &["--entity-type", "clients", "--entity-default"], "consumer_byte_rate=2000000");
    alter(node, &["--entity-type", "ips", "--entity-name", "10.0.0.1"], "connection_creation_rate=7");
    for (kind, principal) in [("--allow-principal", "User:bob"), ("--deny-principal", "User:mallory")] {
        let rule = ["--add", kind, principal, "--operation", "Read", "--topic", "orders"];
        tool(
            "org.apache.kafka.tools.AclCommand",
            node,
            &[&rule[..], &["--resource-pattern-type", "prefixed"]].concat(),
        );
    }
    let login = node.scratch().join("admin.properties");
    fs::write(
        &login,
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.\
         PlainLoginModule required username=\"admin\" password=\"secret\";\n",
    )?;
    let (server, login) = (format!("127.0.0.1:{sasl_port}"), login.display().to_string());
    let create = ["--create", "--max-life-time-period", "-1", "--renewer-principal", "User:carol"];
    let arguments = [&["--bootstrap-server", &server, "--command-config", &login][..], &create].concat();
    run(kafka_tool("org.apache.kafka.tools.DelegationTokenCommand", arguments), b"").ok();
    Ok(())
}

fn adopt(node: &Node, properties: &PathBuf, arguments: &[&str]) -> Ran {
    let mut command = ottla();
    command.arg("adopt").args(arguments).arg("--config").arg(properties);
    let ran = run(command, b"");
    assert!(!node.log_dir().join("ottla.redb").exists(), "nothing is written by looking");
    ran
}

/// What is stored, as text: values are JSON.
fn stored(node: &Node) -> String {
    String::from_utf8_lossy(&fs::read(node.log_dir().join("ottla.redb")).expect("the metadata")).into_owned()
}

#[test]
#[ignore = "slow: make compat"]
fn users_rules_tokens_and_quotas_are_told_of_and_kept() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (mut node, sasl_port) = secured_kafka();
    node.wire().create_topic("orders", 1, &[])?;
    node.wire().append("orders", 0, &Batch::of_values(&["one"]).encode())?;
    secure(&node, sasl_port)?;
    node.terminate();

    // With the secured file as it is, a start is refused, and its keys are named.
    let file = node.properties_file();
    let mut command = ottla();
    command.arg("--config").arg(&file);
    let refused = run(command, b"").fails();
    assert!(refused.contains("authorizer.class.name"), "{refused}");

    let open = fs::read_to_string(&file)?;
    let open = open.lines().filter(|line| !SECURED.iter().any(|key| line.starts_with(key)));
    let open = open.map(|line| line.replace(&format!(",SASL_PLAINTEXT://127.0.0.1:{sasl_port}"), "") + "\n");
    let open: String = open.collect();
    fs::write(&file, open)?;
    let ran = adopt(&node, &file, &["--dry-run", "--json"]);
    assert!(!ran.status.success() && ran.stderr.contains("--adopt-open"), "{ran}");
    let report: Value = serde_json::from_str(&ran.stdout)?;
    let count = |what: &str| report[what].as_u64();
    assert_eq!(
        [count("scram_credentials"), count("acls"), count("delegation_tokens"), count("quotas")],
        [Some(2), Some(2), Some(1), Some(3)],
        "{report:#}"
    );
    assert!(report["refused"].as_str().unwrap().contains("2 SCRAM credentials, 2 ACLs, 1 delegation tokens"));
    let shown = adopt(&node, &file, &["--dry-run", "--adopt-open"]).ok();
    assert!(shown.contains("kept, no effect    2 SCRAM credentials, 2 ACLs, 1 delegation tokens"), "{shown}");
    assert!(shown.contains("quotas             3"), "{shown}");

    adopt(&node, &file, &["--adopt-open"]).ok();
    node.hand_over_to(Peer::Ottla);
    node.run();
    let quotas = |entity: &[&str]| tool("kafka.admin.ConfigCommand", &node, &[&["--describe"], entity].concat());
    let shown = quotas(&["--entity-type", "users", "--entity-name", "alice"]);
    assert!(shown.contains("producer_byte_rate=1000000"), "{shown}");
    let shown = quotas(&["--entity-type", "clients", "--entity-default"]);
    assert!(shown.contains("consumer_byte_rate=2000000"), "{shown}");
    let shown = quotas(&["--entity-type", "ips", "--entity-name", "10.0.0.1"]);
    assert!(shown.contains("connection_creation_rate=7"), "{shown}");

    // They outlive the first write, after which Kafka's metadata log is not read any more.
    node.wire().append("orders", 0, &Batch::of_values(&["two"]).encode())?;
    node.kill_and_restart();
    node.wire().append("orders", 0, &Batch::of_values(&["three"]).encode())?;
    node.terminate();
    let stored = stored(&node);
    for kept in [
        "users/alice/SCRAM-SHA-256",
        "users/alice/SCRAM-SHA-512",
        "\"stored_key\":",
        "\"iterations\":4096",
        "\"principal\":\"User:bob\"",
        "\"principal\":\"User:mallory\"",
        "\"renewers\":[\"User:carol\"]",
        "\"owner\":\"User:admin\"",
    ] {
        assert!(stored.contains(kept), "{kept} is not stored");
    }
    Ok(())
}
