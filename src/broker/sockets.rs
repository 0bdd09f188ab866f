//! Every socket the broker listens on, bound before anything else is touched.

use tracing::warn;

use crate::admin::{self, AdminListener};
use crate::config::{AdminListeners, BrokerConfig, Listener};
use crate::metadata::image::Endpoint;
use crate::net::{self, BoundListener, ListenerSettings};

/// Why a socket cannot be listened on; names it.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(transparent)]
    Listener(#[from] net::BindError),
    #[error("admin.listeners: {0}")]
    Admin(#[from] admin::BindError),
}

/// The listeners for clients and those for operators.
#[derive(Debug)]
pub(super) struct Sockets {
    pub listeners: Vec<BoundListener>,
    pub admin: Vec<AdminListener>,
}

impl Sockets {
    pub(super) async fn bind(config: &BrokerConfig) -> Result<Self, SocketError> {
        let listeners = config
            .listeners
            .iter()
            .map(|listener| BoundListener::bind(settings(config, listener)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { listeners, admin: bind_admin(&config.admin_listeners).await? })
    }

    /// What clients are told: the advertised addresses, with what only the sockets know filled in.
    pub(super) fn endpoints(&self, config: &BrokerConfig) -> Vec<Endpoint> {
        config
            .advertised_listeners
            .iter()
            .map(|advertised| {
                let bound = self.listeners.iter().find(|listener| listener.name == advertised.name);
                let port = match (advertised.port, bound) {
                    (0, Some(bound)) => bound.port,
                    (port, _) => port,
                };
                let host = if advertised.host.is_empty() { own_host_name() } else { advertised.host.clone() };
                Endpoint {
                    listener: advertised.name.clone(),
                    host,
                    port,
                    security_protocol: advertised.protocol.to_string(),
                }
            })
            .collect()
    }

    /// `NAME://host:port` of each listener, for the banner.
    pub(super) fn describe(&self) -> String {
        let addresses: Vec<_> = self.listeners.iter().map(BoundListener::address).collect();
        addresses.join(",")
    }
}

fn settings(config: &BrokerConfig, listener: &Listener) -> ListenerSettings {
    ListenerSettings {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        backlog: i32::try_from(config.socket_listen_backlog_size).unwrap_or(i32::MAX),
        send_buffer_bytes: config.socket_send_buffer_bytes.map(|bytes| bytes as usize),
        receive_buffer_bytes: config.socket_receive_buffer_bytes.map(|bytes| bytes as usize),
    }
}

/// The admin listeners. Nobody asked for the default one: where its port is taken, a free one does.
async fn bind_admin(wanted: &AdminListeners) -> Result<Vec<AdminListener>, admin::BindError> {
    let mut bound = Vec::new();
    for address in &wanted.addresses {
        match AdminListener::bind(&address.host, address.port).await {
            Err(error) if wanted.is_default && error.is_port_taken() => {
                let free = AdminListener::bind(&address.host, 0).await?;
                warn!(port = free.port(), "{error}; the admin pages are served on a free port");
                bound.push(free);
            }
            result => bound.push(result?),
        }
    }
    Ok(bound)
}

/// What Kafka tells clients where a listener names no host.
fn own_host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
