//! Listeners: parsing, protocols, names.

use super::{check_refused_for, loaded, started_with};
use crate::config::*;

/// The listeners that are opened, as `NAME host port`.
#[track_caller]
fn check(text: &str, listeners: &[&str], advertised: &[&str]) {
    let config = started_with(text);
    let opened: Vec<_> = config.listeners.iter().map(|at| format!("{} {} {}", at.name, at.host, at.port)).collect();
    assert_eq!(opened, listeners, "{text}");
    let told: Vec<_> =
        config.advertised_listeners.iter().map(|at| format!("{} {} {}", at.name, at.host, at.port)).collect();
    assert_eq!(told, advertised, "{text}");
}

#[test]
fn addresses() {
    check("listeners=PLAINTEXT://h:1", &["PLAINTEXT h 1"], &["PLAINTEXT h 1"]);
    check("listeners=plaintext://h:1", &["PLAINTEXT h 1"], &["PLAINTEXT h 1"]);
    check("listeners=PLAINTEXT://:9092", &["PLAINTEXT  9092"], &["PLAINTEXT  9092"]);
    check("listeners=PLAINTEXT://[::1]:9092", &["PLAINTEXT ::1 9092"], &["PLAINTEXT ::1 9092"]);
    assert_eq!(started_with("listeners=PLAINTEXT://[::1]:9092").listeners[0].to_string(), "PLAINTEXT://[::1]:9092");
    check("listeners=PLAINTEXT://a:0", &["PLAINTEXT a 0"], &["PLAINTEXT a 0"]);
    for bad in ["x", "PLAINTEXT", "PLAINTEXT://h", "://h:1", "PLAINTEXT://h:65536", "PLAINTEXT://h:+1", "a b://h:1x"]
    {
        check_refused_for(&format!("listeners={bad}"), "to a broker endpoint, it must look like name://host:port");
    }
    check_refused_for("listeners=", "there must be at least one listener for clients");
}

#[test]
fn several_listeners() {
    let map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\ninter.broker.listener.name=A\n";
    check(
        &format!("{map}listeners=A://:1, B://b:2\nadvertised.listeners=A://a:10,B://b:10"),
        &["A  1", "B b 2"],
        &["A a 10", "B b 10"],
    );
    check(
        &format!("{map}listeners=A://127.0.0.1:1,B://[::1]:1"),
        &["A 127.0.0.1 1", "B ::1 1"],
        &["A 127.0.0.1 1", "B ::1 1"],
    );
    check(&format!("{map}listeners=A://:1,B://b:2\nadvertised.listeners=A://a:10"), &["A  1", "B b 2"], &["A a 10"]);
    for ports in ["A://:1,B://:1", "A://127.0.0.1:1,B://127.0.0.2:1", "A://h:1,B://[::1]:1"] {
        check_refused_for(&format!("{map}listeners={ports}"), "Each listener must have a different port");
    }
    check_refused_for(&format!("{map}listeners=A://:1,a://:2"), "Each listener must have a different name");
}

#[test]
fn protocols() {
    check_refused_for("listeners=FOO://:1", "No security protocol defined for listener FOO");
    check_refused_for("listeners=SASL_SSL://:1", "listener SASL_SSL wants SASL_SSL, which this build does not speak");
    check_refused_for(
        "listeners=PLAINTEXT://:1\nlistener.security.protocol.map=PLAINTEXT:SSL",
        "listener PLAINTEXT wants SSL",
    );
    check_refused_for("listener.security.protocol.map=PLAINTEXT:TELNET", "Invalid security protocol `TELNET`");
    check_refused_for("listener.security.protocol.map=PLAINTEXT", "is not of the form listener:protocol");
    // Unused entries of the map harm nobody.
    let config = started_with("listener.security.protocol.map=PLAINTEXT:plaintext,X:SSL");
    assert_eq!(config.listeners[0].protocol, SecurityProtocol::Plaintext);
}

#[test]
fn controllers_are_not_opened() {
    let controller = "controller.listener.names=CONTROLLER\n";
    let both = "listeners=PLAINTEXT://:1,CONTROLLER://:2";
    check(&format!("{controller}{both}"), &["PLAINTEXT  1"], &["PLAINTEXT  1"]);
    // Not even looked at: a secured controller is no open broker.
    let secured = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL\n";
    check(&format!("{controller}{secured}{both}"), &["PLAINTEXT  1"], &["PLAINTEXT  1"]);
    check_refused_for(
        &format!("{controller}listeners=CONTROLLER://:2"),
        "all are named in controller.listener.names",
    );
}

#[test]
fn advertised_addresses() {
    check_refused_for(
        "advertised.listeners=FOO://a:1",
        "listener names must be equal to or a subset of the ones defined in listeners. Found FOO",
    );
    for text in ["listeners=PLAINTEXT://0.0.0.0:1", "advertised.listeners=PLAINTEXT://0.0.0.0:1"] {
        check_refused_for(text, "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0");
    }
    check(
        "listeners=PLAINTEXT://0.0.0.0:1\nadvertised.listeners=PLAINTEXT://a:1",
        &["PLAINTEXT 0.0.0.0 1"],
        &["PLAINTEXT a 1"],
    );
    let any = loaded("listeners=PLAINTEXT://[::]:1");
    assert!(any.warnings[0].contains("set advertised.listeners"), "{:?}", any.warnings);
}

#[test]
fn the_listener_of_other_brokers() {
    let map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\nlisteners=A://:1,B://:2\n";
    assert_eq!(started_with(&format!("{map}inter.broker.listener.name=b")).inter_broker_listener_name, "B");
    check_refused_for(map, "inter.broker.listener.name must be a listener name defined in advertised.listeners");
    check_refused_for(
        &format!("{map}inter.broker.listener.name=A\nsecurity.inter.broker.protocol=PLAINTEXT"),
        "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
    );
}
