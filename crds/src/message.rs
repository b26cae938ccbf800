//! The error messages for an invalid resource: what is wrong, and what to change. Admission (CEL) and the operator's own
//! validation use the same messages. The messages about impossible peer settings are in
//! [`crate::impossible::ImpossibleCombination`].

/// Name of the resource.
pub const NAME: &str = "The name must be at most 52 characters long, use only a-z, 0-9 and hyphens, and begin with a letter, because Service names are derived from it: choose another name";
/// Not a domain.
pub const DOMAIN: &str = "A domain must be a DNS name such as example.com, with labels of letters, digits and hyphens: remove any scheme, port or user";
/// An IP address instead of a domain.
pub const DOMAIN_IS_ADDRESS: &str = "An IP address cannot federate, because it has no certificate and no SRV record: use a DNS name";
/// The same domain twice.
pub const DUPLICATE_DOMAIN: &str =
    "Two entries of domains name the same domain (case and a trailing dot are ignored): remove one";
/// Not a peer pattern.
pub const PEER_DOMAIN: &str = "A peer must be a DNS name such as partner.example, or *.partner.example for every domain below it";
/// The same peer twice.
pub const DUPLICATE_PEER: &str = "Two entries of peers name the same domain (case and a trailing dot make no difference): merge them into one";
/// A local domain among the peers.
pub const LOCAL_DOMAIN_AS_PEER: &str = "A local domain cannot also be a peer: remove it from peers, or remove it from domains if another server hosts it";
/// A domain without its backend.
pub const UNKNOWN_BACKEND: &str = "domains[].backend must be the name of an entry of backends: correct the name, or add the backend";
/// Collector of traces without a port.
pub const COLLECTOR_PORT: &str = "The collector of traces needs a port from 1 to 65535: write host:port or [IPv6]:port, for example otel-collector.monitoring.svc:4318";
/// The same backend twice.
pub const DUPLICATE_BACKEND: &str = "Two entries of backends have the same name: rename one";
/// Name of a backend.
pub const BACKEND_NAME: &str = "A backend name must use only a-z, 0-9 and hyphens, and begin and end with a letter or digit: choose another name";
/// Host of a backend.
pub const BACKEND_HOST: &str =
    "A backend host must be a DNS name or an IP address: put the port into the field port";
/// Server and component at once, or neither.
pub const ONE_ATTACHMENT: &str =
    "A backend must be either a server or a component: set exactly one of server and component";
/// Two sources of a bundle, or none.
pub const ONE_BUNDLE_SOURCE: &str =
    "A CA bundle must have one source: set exactly one of configMapRef and secretRef";
/// Two sources of the certificate, or none.
pub const ONE_CERTIFICATE_SOURCE: &str = "The certificate must have one source: set exactly one of secretRef and issuerRef, or remove certificate to use a self-signed one";
/// Not an address.
pub const PUBLIC_ADDRESS: &str = "publicAddresses must be IP addresses, for example 203.0.113.10 or 2001:db8::10: remove any port or network, and use dns.mode Manual for a host name";
/// An address that no server can connect to.
pub const PUBLIC_ADDRESS_NOT_USABLE: &str = "No server can connect to an unspecified, loopback, link-local, multicast or reserved address: set publicAddresses to the addresses that the internet sees, or remove it to use those of the Service";
/// The same address twice.
pub const DUPLICATE_PUBLIC_ADDRESS: &str =
    "Two entries of publicAddresses are the same address: remove one";
/// Public ports of an address that is not known.
pub const PUBLIC_PORTS_WITHOUT_ADDRESSES: &str = "publicPorts are the ports of a firewall or proxy in front of the load balancer: set publicAddresses to its addresses, or remove publicPorts";
/// Node ports on a Service without them.
pub const NODE_PORTS_ON_CLUSTER_IP: &str = "A Service of type ClusterIP has no node ports: set service.type to NodePort or LoadBalancer, or remove nodePorts";
/// One node port for two ports.
pub const SAME_NODE_PORT: &str =
    "nodePorts.s2s and nodePorts.s2sTls cannot be the same port: change or remove one";
/// A port for a listener that is off.
pub const PORT_WITHOUT_DIRECT_TLS: &str = "A port for Direct TLS has no use while directTls is false: set service.directTls to true, or remove s2sTls from publicPorts and nodePorts";
/// The former type of a field.
pub const PROXY_PROTOCOL_IS_BOOLEAN: &str = "service.proxyProtocol is no longer a boolean: set service.proxyProtocol.trustedSources to the networks of the load balancer, or remove service.proxyProtocol";
/// Every address is trusted.
pub const EVERY_SOURCE_TRUSTED: &str = "With this network, every server could claim any address: set service.proxyProtocol.trustedSources to the networks of the load balancer";
/// Load balancer fields on another Service type.
pub const LOAD_BALANCER_FIELDS: &str = "loadBalancerClass and loadBalancerSourceRanges require a load balancer: set service.type to LoadBalancer, or remove them";
/// The same target of SRV records twice.
pub const DUPLICATE_SRV_TARGET: &str =
    "Two entries of otherTargets have the same host: merge them into one";
/// The federation's own host among the other targets.
pub const OWN_HOST_AS_TARGET: &str = "The federation's own host is always a target of its SRV records: remove it from dns.srv.otherTargets, and set dns.srv.priority and dns.srv.weight instead";
/// Not a network.
pub const NETWORK: &str = "A network must have the form address/prefix length, for example 198.51.100.0/24 or 2001:db8::/32";
/// Not a resolver.
pub const RESOLVER: &str = "A resolver must be an IP address, with a port if it is not 53, for example 198.51.100.53:5353 or [2001:db8::53]:5353";
/// Out of bounds.
pub const EVIDENCE_TTL: &str = "evidenceTtl must be a duration from 5m to 720h in hours, minutes and seconds, for example 24h or 1h30m";
/// Not a prober.
pub const PROBER_URL: &str = "The prober url must begin with https://";
/// The name for the SRV records does not fit.
pub const HOST: &str = "The host must be a DNS name of at most 240 octets: set spec.host";
/// A probe report is a record: it is never changed.
pub const REPORT_CHANGED: &str =
    "A report cannot be changed: probe again, and create another report";
