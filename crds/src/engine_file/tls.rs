//! Files with certificates, keys and secrets.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `tls` of the file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileTls {
    /// Certificates that the engine presents; each is used for the domains that it covers.
    #[serde(default)]
    pub certificates: Vec<KeyPairFiles>,
    /// Certificates that the engine trusts on the outer leg.
    #[serde(default)]
    pub trust: TrustFiles,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPairFiles {
    /// Chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key of the leaf.
    pub private_key_file: PathBuf,
}

/// The CA that signs the certificates minted for the backends, PEM.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileBackendCa {
    /// Certificate of the CA.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub private_key_file: PathBuf,
    /// File with the time (RFC 3339) from which this CA signs. Until then, an engine that has another one from an earlier
    /// content of the files continues to sign with it. The file may be absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signs_from_file: Option<PathBuf>,
}

/// Trusted roots.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustFiles {
    /// Trust the system's roots, or the built-in ones if the system has none. Default: true.
    #[serde(default = "crate::yes")]
    pub system_roots: bool,
    /// PEM files with additional roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<PathBuf>,
}

impl Default for TrustFiles {
    fn default() -> Self {
        Self { system_roots: true, bundles: Vec::new() }
    }
}

/// Files with the dialback secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DialbackFiles {
    /// The secret that new keys are generated with.
    pub secret_file: PathBuf,
    /// The secret before the last rotation; keys made with it are still confirmed. The file may be absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_secret_file: Option<PathBuf>,
}
