//! Paths of the files in the engine's container. Each directory is a volume, so that the kubelet updates its content while
//! the engine runs.

/// ConfigMap with [`CONFIG_KEY`].
pub const CONFIG: &str = "/etc/xmpp-federation/config";
/// Key of the ConfigMap.
pub const CONFIG_KEY: &str = "engine.yaml";
/// Certificate of the outer leg.
pub const TLS: &str = "/etc/xmpp-federation/tls";
/// Dialback secret.
pub const DIALBACK: &str = "/etc/xmpp-federation/dialback";
/// Backend CA with its key.
pub const BACKEND_CA: &str = "/etc/xmpp-federation/backend-ca";
/// Certificate, key and token of the control port.
pub const CONTROL: &str = "/etc/xmpp-federation/control";
/// Parent of the CA bundles that the resource refers to, one directory for each object.
pub const BUNDLES: &str = "/etc/xmpp-federation/bundles";
/// Parent of the secrets of components, one directory for each Secret.
pub const COMPONENTS: &str = "/etc/xmpp-federation/components";

/// Key of a certificate chain in a Secret of type `kubernetes.io/tls`.
pub const TLS_CRT: &str = "tls.crt";
/// Key of a private key in a Secret of type `kubernetes.io/tls`.
pub const TLS_KEY: &str = "tls.key";
/// Key of private key and certificate chain in one file, for servers such as jabberd2; named as cert-manager names it.
pub const TLS_COMBINED: &str = "tls-combined.pem";
/// Key of CA certificates.
pub const CA_CRT: &str = "ca.crt";
/// Key of the bearer token.
pub const TOKEN: &str = "token";
/// Key of the dialback secret.
pub const SECRET: &str = "secret";
/// Key of the dialback secret before the last rotation.
pub const PREVIOUS: &str = "previous";
/// Key of the certificate of the backend CA that signs next.
pub const NEXT_CRT: &str = "next.crt";
/// Key of its private key.
pub const NEXT_KEY: &str = "next.key";
/// Key of the time from which a backend CA signs.
pub const SIGNS_FROM: &str = "signs-from";
