//! Listeners: `listeners`, `advertised.listeners`, `listener.security.protocol.map` and the names that refer to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::value::split_list;

/// An address that the broker listens on for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In capitals, as Kafka compares names.
    pub name: String,
    /// An address or a host name; empty is every interface.
    pub host: String,
    pub port: u16,
    pub protocol: SecurityProtocol,
}

/// An address told to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedListener {
    pub name: String,
    /// Empty where the listener has no host: the broker then tells its own host name.
    pub host: String,
    /// 0 where the listener takes a free port: the broker then tells the port it got.
    pub port: u16,
    pub protocol: SecurityProtocol,
}

/// How a listener is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Self::Plaintext,
            "SSL" => Self::Ssl,
            "SASL_PLAINTEXT" => Self::SaslPlaintext,
            "SASL_SSL" => Self::SaslSsl,
            _ => return None,
        })
    }

    /// The number of the protocol on the wire and in registrations.
    pub fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }
}

/// Kafka's name of the protocol.
impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        })
    }
}

/// `name://host:port`, as it stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
}

/// As the configuration writes it, IPv6 in brackets.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.name)?;
        write_host_port(f, &self.host, self.port)
    }
}

/// As the configuration writes it, IPv6 in brackets.
impl fmt::Display for AdvertisedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.name)?;
        write_host_port(f, &self.host, self.port)
    }
}

/// An address to listen on; an empty host is every interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host_port(f, &self.host, self.port)
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

/// The texts that say which listeners there are.
pub(super) struct ListenerSettings<'a> {
    pub(super) listeners: &'a str,
    pub(super) advertised: Option<&'a str>,
    pub(super) protocol_map: &'a str,
    /// Whether the map was given; controllers' names need not be in the default one.
    pub(super) protocol_map_given: bool,
    pub(super) controller_names: &'a str,
    pub(super) inter_broker_name: Option<&'a str>,
    pub(super) inter_broker_protocol_given: bool,
}

/// What they come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedListeners {
    pub(super) listeners: Vec<Listener>,
    pub(super) advertised: Vec<AdvertisedListener>,
    pub(super) inter_broker_name: String,
    /// Worth knowing, without being wrong.
    pub(super) warnings: Vec<String>,
}

/// A problem with a listener: the key that is wrong, and why.
pub(super) type ListenerError = (&'static str, String);

/// The listeners to open and to advertise, with Kafka's checks.
pub(super) fn resolve(settings: &ListenerSettings<'_>) -> Result<ResolvedListeners, ListenerError> {
    let in_key = |key: &'static str| move |problem: String| (key, problem);
    let controllers: BTreeSet<String> =
        split_list(settings.controller_names).iter().map(|name| name.to_ascii_uppercase()).collect();
    let protocols = protocols(settings, &controllers).map_err(in_key("listener.security.protocol.map"))?;

    let all = parse_addresses(settings.listeners).map_err(in_key("listeners"))?;
    check_names_differ(&all).map_err(in_key("listeners"))?;
    check_ports_differ(&all).map_err(in_key("listeners"))?;
    let for_clients: Vec<_> = all.iter().filter(|address| !controllers.contains(&address.name)).collect();
    let mut listeners = Vec::with_capacity(for_clients.len());
    for address in for_clients {
        let protocol = plaintext_only(address, &protocols).map_err(in_key("listeners"))?;
        let Address { name, host, port } = address.clone();
        listeners.push(Listener { name, host, port, protocol });
    }
    if listeners.is_empty() {
        let problem = "there must be at least one listener for clients; all are named in controller.listener.names";
        return Err(("listeners", problem.to_owned()));
    }

    let mut warnings = Vec::new();
    let (advertised_key, advertised_text) = match settings.advertised {
        Some(text) => ("advertised.listeners", text),
        None => ("listeners", settings.listeners),
    };
    let mut advertised = parse_addresses(advertised_text).map_err(in_key(advertised_key))?;
    check_names_differ(&advertised).map_err(in_key(advertised_key))?;
    advertised.retain(|address| !controllers.contains(&address.name));
    if advertised.is_empty() {
        return Err((advertised_key, "There must be at least one broker advertised listener.".to_owned()));
    }
    let advertised = advertise(advertised, &listeners, &mut warnings).map_err(in_key("advertised.listeners"))?;
    let inter_broker_name = inter_broker_name(settings, &advertised).map_err(in_key("inter.broker.listener.name"))?;
    Ok(ResolvedListeners { listeners, advertised, inter_broker_name, warnings })
}

/// `[name://]host:port` lists, names in capitals. The name is required.
pub(super) fn parse_addresses(text: &str) -> Result<Vec<Address>, String> {
    split_list(text).into_iter().filter(|element| !element.is_empty()).map(parse_address).collect()
}

fn parse_address(text: &str) -> Result<Address, String> {
    let unreadable = || format!("Unable to parse {text} to a broker endpoint, it must look like name://host:port");
    let (name, rest) = text.split_once("://").ok_or_else(unreadable)?;
    let (host, port) = split_host_port(rest).ok_or_else(unreadable)?;
    let known = |character: char| character.is_ascii_alphanumeric() || "-%._:".contains(character);
    if name.is_empty() || !host.chars().all(known) {
        return Err(unreadable());
    }
    Ok(Address { name: name.to_ascii_uppercase(), host: host.to_owned(), port })
}

/// `host:port`, `[ipv6]:port` or `:port`.
pub(super) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|open| open.strip_suffix(']'));
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = if is_number { port.parse().ok()? } else { return None };
    match bare {
        Some(ipv6) => Some((ipv6, port)),
        None if host.contains(['[', ']']) => None,
        None => Some((host, port)),
    }
}

fn protocols(
    settings: &ListenerSettings<'_>,
    controllers: &BTreeSet<String>,
) -> Result<BTreeMap<String, SecurityProtocol>, String> {
    let mut protocols = BTreeMap::new();
    for pair in split_list(settings.protocol_map) {
        let (name, protocol) =
            pair.split_once(':').ok_or_else(|| format!("'{pair}' is not of the form listener:protocol"))?;
        let protocol = SecurityProtocol::from_name(protocol.trim())
            .ok_or_else(|| format!("Invalid security protocol `{}`", protocol.trim()))?;
        protocols.insert(name.trim().to_ascii_uppercase(), protocol);
    }
    if !settings.protocol_map_given {
        for name in controllers {
            protocols.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(protocols)
}

fn plaintext_only(
    address: &Address,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<SecurityProtocol, String> {
    match protocols.get(&address.name) {
        None => Err(format!(
            "No security protocol defined for listener {}; add {}:PLAINTEXT to listener.security.protocol.map",
            address.name, address.name
        )),
        Some(SecurityProtocol::Plaintext) => Ok(SecurityProtocol::Plaintext),
        Some(protocol) => Err(format!(
            "listener {} wants {protocol}, which this build does not speak; it would be open to everybody",
            address.name
        )),
    }
}

fn check_names_differ(addresses: &[Address]) -> Result<(), String> {
    let names: BTreeSet<_> = addresses.iter().map(|address| &address.name).collect();
    if names.len() == addresses.len() { Ok(()) } else { Err("Each listener must have a different name".to_owned()) }
}

/// Ports differ, except that one IPv4 and one IPv6 address may share one.
fn check_ports_differ(addresses: &[Address]) -> Result<(), String> {
    let mut by_port: BTreeMap<u16, Vec<&Address>> = BTreeMap::new();
    for address in addresses.iter().filter(|address| address.port != 0) {
        by_port.entry(address.port).or_default().push(address);
    }
    for (port, sharing) in by_port {
        let families: Vec<_> = sharing.iter().filter_map(|address| address.host.parse::<IpAddr>().ok()).collect();
        let allowed = match (sharing.len(), families.as_slice()) {
            (1, _) => true,
            (2, [one, other]) => one.is_ipv4() != other.is_ipv4(),
            _ => false,
        };
        if !allowed {
            return Err(format!(
                "Each listener must have a different port unless exactly one listener has an IPv4 address and the \
                 other IPv6 address, port: {port}"
            ));
        }
    }
    Ok(())
}

fn advertise(
    addresses: Vec<Address>,
    listeners: &[Listener],
    warnings: &mut Vec<String>,
) -> Result<Vec<AdvertisedListener>, String> {
    let names = |all: &[Listener]| all.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(",");
    let mut advertised = Vec::with_capacity(addresses.len());
    for Address { name, host, port } in addresses {
        let Some(listener) = listeners.iter().find(|listener| listener.name == name) else {
            return Err(format!(
                "listener names must be equal to or a subset of the ones defined in listeners. Found {name}. The \
                 valid options based on the current configuration are {}",
                names(listeners)
            ));
        };
        if host == "0.0.0.0" {
            return Err(
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
                    .to_owned(),
            );
        }
        if host == "::" {
            warnings.push(format!(
                "listener {name} advertises [::], which other machines can not connect to; set advertised.listeners"
            ));
        }
        advertised.push(AdvertisedListener { name, host, port, protocol: listener.protocol });
    }
    Ok(advertised)
}

fn inter_broker_name(settings: &ListenerSettings<'_>, advertised: &[AdvertisedListener]) -> Result<String, String> {
    let name = match settings.inter_broker_name {
        Some(_) if settings.inter_broker_protocol_given => {
            return Err(
                "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.".to_owned()
            );
        }
        Some(name) => name.trim().to_ascii_uppercase(),
        None => SecurityProtocol::Plaintext.to_string(),
    };
    if advertised.iter().any(|listener| listener.name == name) {
        return Ok(name);
    }
    let options: Vec<_> = advertised.iter().map(|listener| listener.name.as_str()).collect();
    Err(format!(
        "inter.broker.listener.name must be a listener name defined in advertised.listeners, {name} is not. The valid \
         options based on currently configured listeners are {}",
        options.join(",")
    ))
}
