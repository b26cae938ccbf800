//! Certificate and token of the control listener.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crds::engine_file::ControlFiles;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::tls::config::provider;

/// Shortest token; the operator generates 32 bytes and more.
const MIN_TOKEN_BYTES: usize = 16;

/// The certificate that the control listener presents, and the token that it requires.
#[derive(Debug)]
pub struct Credentials {
    tls: Arc<ServerConfig>,
    token: Token,
}

/// Why the files of the control listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("{place}: {error}")]
    Unreadable {
        /// The file.
        place: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// Broken PEM.
    #[error("{place}: contains no usable PEM block: {detail}")]
    Malformed {
        /// The file.
        place: String,
        /// The error of the parser.
        detail: String,
    },
    /// Certificate and key do not work together.
    #[error("{place}: certificate and private key cannot be used together: {error}")]
    Unusable {
        /// The certificate file.
        place: String,
        /// The error of the TLS library.
        error: rustls::Error,
    },
    /// The token is too short to be secret.
    #[error("{place}: the token has fewer than {MIN_TOKEN_BYTES} bytes")]
    WeakToken {
        /// The token file.
        place: String,
    },
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: &ControlFiles) -> Result<Self, CredentialsError> {
        let certificate = read(&files.certificate_file)?;
        let private_key = read(&files.private_key_file)?;
        let malformed =
            |path: &Path, error: rustls_pki_types::pem::Error| CredentialsError::Malformed {
                place: path.display().to_string(),
                detail: error.to_string(),
            };
        let chain = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| malformed(&files.certificate_file, error))?;
        let key = PrivateKeyDer::from_pem_slice(&private_key)
            .map_err(|error| malformed(&files.private_key_file, error))?;
        let unusable = |error| CredentialsError::Unusable {
            place: files.certificate_file.display().to_string(),
            error,
        };
        let tls = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        let token = read(&files.token_file)?;
        let token = Token::new(token.trim_ascii()).ok_or_else(|| CredentialsError::WeakToken {
            place: files.token_file.display().to_string(),
        })?;
        Ok(Self { tls: Arc::new(tls), token })
    }

    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path)
        .map_err(|error| CredentialsError::Unreadable { place: path.display().to_string(), error })
}

/// A bearer token, kept as its digest: comparing digests in constant time reveals neither content nor length.
pub struct Token([u8; 32]);

impl Token {
    /// `None` when the text is too short to be secret.
    pub fn new(text: &[u8]) -> Option<Self> {
        (text.len() >= MIN_TOKEN_BYTES).then(|| Self(Sha256::digest(text).into()))
    }

    /// Whether this is the token, in constant time.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        self.0.ct_eq(&presented).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
