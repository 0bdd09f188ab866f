//! Listeners, sockets and connections.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, replaced};
use crate::config::reasons::CONTROLLER_LISTENER;

pub(super) const KEYS: &[Key] = broker_keys! {
    List "listeners" = "PLAINTEXT://localhost:9092", ANY, ReadOnly, HONOURED;
        "The addresses the broker listens on, as name://host:port; an empty host is every interface."
    List "advertised.listeners" = null, ANY, ReadOnly, HONOURED;
        "The addresses told to clients, where they differ from listeners."
    String "listener.security.protocol.map" =
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        ANY, ReadOnly, HONOURED;
        "Which security protocol each listener name stands for."
    String "inter.broker.listener.name" = null, ANY, ReadOnly, HONOURED;
        "The listener that other brokers connect to."
    List "admin.listeners" = "localhost:9644", ANY, ReadOnly, HONOURED;
        "Where /metrics, /healthz and /readyz are served, as host:port; empty switches them off."
    List "early.start.listeners" = null, ANY, ReadOnly, REPORTED;
        "Listeners that Kafka opens before its authorizer is ready."
    List "controller.listener.names" = "", ANY, ReadOnly, replaced(CONTROLLER_LISTENER);
        "Listener names that Kafka reserves for its controller."
    Int "socket.listen.backlog.size" = "50", at_least(1), ReadOnly, HONOURED;
        "How many connections may wait to be accepted; fewer than 1,024 counts as 1,024."
    Int "socket.receive.buffer.bytes" = "102400", ANY, ReadOnly, HONOURED;
        "The receive buffer of a client's socket; -1 leaves it to the operating system."
    Int "socket.send.buffer.bytes" = "102400", ANY, ReadOnly, HONOURED;
        "The send buffer of a client's socket; -1 leaves it to the operating system."
    Int "socket.request.max.bytes" = "104857600", at_least(1), ReadOnly, HONOURED;
        "The largest request accepted."
    Long "socket.connection.setup.timeout.max.ms" = "30000", ANY, ReadOnly, REPORTED;
        "The longest wait for a connection that the broker opens itself, after repeated failures."
    Long "socket.connection.setup.timeout.ms" = "10000", ANY, ReadOnly, REPORTED;
        "The first wait for a connection that the broker opens itself."
    Long "connections.max.idle.ms" = "600000", ANY, ReadOnly, HONOURED;
        "How long a connection may be idle before it is closed."
    Int "max.connections" = "2147483647", at_least(0), ClusterWide, HONOURED;
        "How many client connections the broker holds at once."
    Int "max.connections.per.ip" = "2147483647", at_least(0), ClusterWide, HONOURED;
        "How many connections one address may hold at once."
    String "max.connections.per.ip.overrides" = "", ANY, ClusterWide, HONOURED;
        "Other values of max.connections.per.ip for single hosts, as host:count pairs."
    Int "max.connection.creation.rate" = "2147483647", at_least(0), ClusterWide, HONOURED;
        "How many connections a second the broker accepts."
    Int "queued.max.requests" = "500", at_least(1), ReadOnly, REPORTED;
        "How many requests Kafka queues before it stops reading; Ottla bounds requests per connection."
    Long "queued.max.request.bytes" = "-1", ANY, ReadOnly, HONOURED;
        "How many bytes of requests may be in flight before sockets are no longer read; -1 is the broker's own bound."
};
