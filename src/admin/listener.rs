//! The sockets behind one entry of `admin.listeners`.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Sockets that are bound and listen. A name with several addresses (`localhost`) has one for each, on one port.
#[derive(Debug)]
pub struct AdminListener {
    sockets: Vec<TcpListener>,
    port: u16,
}

/// Why an entry of `admin.listeners` can't be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't resolve '{host}': {source}")]
    Resolve { host: String, source: io::Error },
    #[error("can't listen on {host}:{port}: {source}")]
    Bind { host: String, port: u16, source: io::Error },
}

impl BindError {
    /// Whether another process has the port.
    pub fn is_port_taken(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

impl AdminListener {
    /// Listens on every address of `host`; an empty host is every interface, port 0 any free port.
    pub async fn bind(host: &str, port: u16) -> Result<Self, BindError> {
        let addresses = resolve(host, port).await?;
        let mut sockets = Vec::new();
        let mut failure = None;
        let mut port_bound = port;
        for mut address in addresses {
            address.set_port(port_bound);
            match bind_one(address).await {
                Ok((socket, port)) => {
                    port_bound = port;
                    sockets.push(socket);
                }
                // A port that is taken on one address must not be half served on the other.
                Err(source) if source.kind() == io::ErrorKind::AddrInUse && port != 0 => {
                    return Err(BindError::Bind { host: host.to_owned(), port, source });
                }
                // A machine without IPv6 may still name `::1`.
                Err(source) => failure = Some(source),
            }
        }
        match failure {
            Some(source) if sockets.is_empty() => Err(BindError::Bind { host: host.to_owned(), port, source }),
            _ => Ok(Self { sockets, port: port_bound }),
        }
    }

    /// The port listened on, also where any was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
    if host.is_empty() {
        // Takes IPv4 as well, where the system has both.
        return Ok(vec![SocketAddr::from(([0_u16; 8], port))]);
    }
    let failed = |source| BindError::Resolve { host: host.to_owned(), source };
    let bare_host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut addresses: Vec<_> = tokio::net::lookup_host((bare_host, port)).await.map_err(failed)?.collect();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(addresses)
}

async fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, u16)> {
    let socket = TcpListener::bind(address).await?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}
