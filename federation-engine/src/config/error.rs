//! Errors of a configuration file: where each of them is, and what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crds::impossible::ImpossibleCombination;
use crds::pattern::DomainPattern;
use s2s_proto::certificate::pin::PinError;

use crate::Domain;

/// Line and column, both counted from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a configuration file cannot be used. `Display` is one line: `file:line:column: field: what and what to do`.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Position in the file, if the error has one.
    pub position: Option<Position>,
    /// Path of the field such as `peers[2].tls.mode`; empty for the document as a whole.
    pub field: String,
    /// The error.
    pub kind: Box<ConfigErrorKind>,
}

impl ConfigError {
    /// File and line, as `evidence::LoadError::place` has it.
    pub fn place(&self) -> String {
        match self.position {
            Some(position) => format!("{}:{position}", self.file.display()),
            None => self.file.display().to_string(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        self.kind.fmt(f)
    }
}

/// The kinds of errors.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrorKind {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Unreadable(io::Error),
    /// More than [`crate::config::load::MAX_FILE_BYTES`].
    #[error("the file is larger than {limit} bytes; check that it is the right file")]
    FileTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// Invalid YAML, or a value of the wrong type; the parser's own message.
    #[error("{0}")]
    Malformed(String),
    /// An unknown field.
    #[error("there is no such field; correct its name or delete it")]
    UnknownField,
    /// An empty list that needs an element.
    #[error("at least one entry is required")]
    Empty,
    /// A list that is too long.
    #[error("at most {limit} entries are allowed")]
    TooMany {
        /// Largest number of entries.
        limit: usize,
    },
    /// A number outside its range.
    #[error("{value} is outside the range from {min} to {max}")]
    OutOfRange {
        /// The number.
        value: u64,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// The same domain twice after normalisation.
    #[error("the domain {0} is listed twice; delete one of the entries")]
    DuplicateDomain(Domain),
    /// The same backend name twice.
    #[error("the backend name {0:?} is used twice; give each backend a unique name")]
    DuplicateBackend(String),
    /// The same peer twice after normalisation.
    #[error("the peer {0} is listed twice; merge the entries")]
    DuplicatePeer(DomainPattern),
    /// A name of a backend that does not exist.
    #[error("no backend is named {name:?}; `backends` has {}", names(known))]
    UnknownBackend {
        /// As written.
        name: String,
        /// Names that exist.
        known: Vec<String>,
    },
    /// Neither or both of `server` and `component`.
    #[error("a backend must have exactly one of `server` and `component`")]
    BackendKind,
    /// A backend name that cannot be used.
    #[error("a backend name must have 1 to 63 characters from a-z, 0-9 and '-'")]
    BackendName,
    /// A local domain in `peers[]`.
    #[error("{0} is one of `domains`; a local domain cannot be a peer")]
    LocalDomainAsPeer(Domain),
    /// The probe domain, which the engine uses itself, is claimed by an entry of `domains`.
    #[error("{0} is the engine's own probe domain and cannot be a local domain; change `host`")]
    ProbeDomainTaken(Domain),
    /// The probe domain is not a valid domain.
    #[error("`host` is too long: xfed-probe.{0} must also be a valid domain")]
    HostTooLong(Domain),
    /// The host of a backend.
    #[error(
        "{0:?} is neither a host name nor an IP address; write it without port, brackets or scheme"
    )]
    Host(String),
    /// Settings that no peer could satisfy.
    #[error(transparent)]
    Impossible(ImpossibleCombination),
    /// An invalid pin.
    #[error("{text:?}: {error}")]
    Pin {
        /// As written.
        text: String,
        /// The required form of a pin.
        error: PinError,
    },
    /// Two listeners on one port.
    #[error("`{other}` already uses {address}; give each listener a different port")]
    DuplicatePort {
        /// The address.
        address: SocketAddr,
        /// Field of the other listener.
        other: &'static str,
    },
    /// Every address is a trusted source of the PROXY protocol.
    #[error(
        "with this network, every server could claim any address; set the networks of the proxies"
    )]
    EverySourceTrusted,
    /// An unusable resolver.
    #[error("{0} cannot be a resolver; set an address and a port other than 0")]
    Resolver(SocketAddr),
    /// An address that a backend can reach is required.
    #[error(
        "a backend cannot connect to {0}; set the address at which the backend reaches this engine"
    )]
    UnspecifiedAddress(std::net::IpAddr),
    /// A file name that is empty.
    #[error("a file name is required")]
    EmptyPath,
}

fn names(known: &[String]) -> String {
    if known.is_empty() { "no entry".to_owned() } else { known.join(", ") }
}
