//! The sentences with which an invalid resource is refused: what is wrong, and what to change. Admission (CEL) and the
//! operator's own check use the same ones. The sentences about impossible peer settings stand with
//! [`crate::impossible::ImpossibleCombination`].

/// Name of the resource.
pub const NAME: &str = "The name must be at most 52 characters of a-z, 0-9 and hyphens and begin with a letter, because the names of Services are derived from it: choose another name";
/// Not a domain.
pub const DOMAIN: &str = "A domain consists of labels of letters, digits and hyphens, separated by dots: write a DNS name such as example.com, without scheme, port or user";
/// An IP address instead of a domain.
pub const DOMAIN_IS_ADDRESS: &str = "An IP address cannot federate, because no certificate and no SRV record exists for it: use a DNS name";
/// The same domain twice.
pub const DUPLICATE_DOMAIN: &str = "Two entries of domains name the same domain (case and a trailing dot make no difference): remove one";
/// Not a peer pattern.
pub const PEER_DOMAIN: &str =
    "A peer is a DNS name such as partner.example, or *.partner.example for everything below it";
/// The same peer twice.
pub const DUPLICATE_PEER: &str = "Two entries of peers name the same domain (case and a trailing dot make no difference): merge them into one";
/// A local domain among the peers.
pub const LOCAL_DOMAIN_AS_PEER: &str = "A local domain cannot also be a peer: remove it from peers, or from domains if another server hosts it";
/// A domain without its backend.
pub const UNKNOWN_BACKEND: &str = "domains[].backend must be the name of an entry of backends: correct the name, or add the backend";
/// The same backend twice.
pub const DUPLICATE_BACKEND: &str = "Two entries of backends have the same name: rename one";
/// Name of a backend.
pub const BACKEND_NAME: &str = "A backend's name consists of a-z, 0-9 and hyphens and begins and ends with a letter or digit: choose another name";
/// Host of a backend.
pub const BACKEND_HOST: &str =
    "A backend's host is a DNS name or an IP address: put the port into the field port";
/// Server and component at once, or neither.
pub const ONE_ATTACHMENT: &str =
    "A backend is either a server or a component: set exactly one of server and component";
/// Two sources of a bundle, or none.
pub const ONE_BUNDLE_SOURCE: &str =
    "A CA bundle comes from one place: set exactly one of configMapRef and secretRef";
/// Two sources of the certificate, or none.
pub const ONE_CERTIFICATE_SOURCE: &str = "The certificate comes from one place: set exactly one of secretRef and issuerRef, or remove certificate for a self-signed one";
/// The class of a load balancer was changed.
pub const LOAD_BALANCER_CLASS_IMMUTABLE: &str = "service.loadBalancerClass cannot change once the Service exists: delete the XmppFederation and create it anew with the other class";
/// Load balancer fields on another Service type.
pub const LOAD_BALANCER_FIELDS: &str = "loadBalancerClass and loadBalancerSourceRanges need a load balancer: set service.type to LoadBalancer, or remove them";
/// Not a network.
pub const NETWORK: &str =
    "A network is written as address/prefix length, for example 198.51.100.0/24 or 2001:db8::/32";
/// Not a resolver.
pub const RESOLVER: &str = "A resolver is an IP address, with a port other than 53 as 198.51.100.53:5353 or [2001:db8::53]:5353";
/// Out of bounds.
pub const EVIDENCE_TTL: &str = "evidenceTtl is a duration from 5m to 720h in hours, minutes and seconds, for example 24h or 1h30m";
/// Not a prober.
pub const PROBER_URL: &str = "The prober's url must begin with https://";
/// The name for the SRV records does not fit.
pub const HOST: &str = "The host must be a DNS name of at most 240 octets: set spec.host";
