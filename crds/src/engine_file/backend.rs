//! `backends` of the file.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::TrustFiles;
use crate::backend::BackendAuthentication;

/// One backend: `server` or `component`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileBackend {
    /// Name that `domains[].backend` refers to.
    pub name: String,
    /// An XMPP server, reached over S2S.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<FileServer>,
    /// An external component (XEP-0114).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<FileComponent>,
}

/// A backend that speaks S2S.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileServer {
    /// Host name or address, a [`crate::target::RouteHost`]. It is kept as written, so that the error for an invalid one can
    /// state what to remove.
    pub host: String,
    /// Port. Default: 5269.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// How engine and backend authenticate each other. Default: `Minted`.
    #[serde(default)]
    pub authentication: BackendAuthentication,
    /// How the backend's certificate is verified. Default: the backend CA, else the system roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustFiles>,
}

/// A backend that connects as a component.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileComponent {
    /// File with the shared secret. White space around it is ignored. It is read again when it changes; a connected
    /// component stays connected.
    pub secret_file: PathBuf,
}
