//! `listen` of the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::proxy_protocol::ProxyProtocol;

/// Addresses to listen on; an absent listener is disabled.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileListen {
    /// Outer leg, STARTTLS (5269).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s2s: Option<SocketAddr>,
    /// Outer leg, Direct TLS (5270). Both ports accept both kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s2s_tls: Option<SocketAddr>,
    /// Whose connections to these two ports begin with a header of the PROXY protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Inner leg, S2S of the backend (15269).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<SocketAddr>,
    /// Components (XEP-0114, 5347). The first byte tells XML from TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<SocketAddr>,
    /// DNS for the backend, UDP and TCP (5353).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<SocketAddr>,
    /// `/livez`, `/readyz`, `/metrics` (9090).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// `/v1/evidence`, `/v1/probe` (9443).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlFiles>,
}

/// The control listener.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlFiles {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key of the leaf.
    pub private_key_file: PathBuf,
    /// Bearer token that clients present.
    pub token_file: PathBuf,
}
