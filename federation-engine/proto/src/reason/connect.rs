//! Why a connection to an address failed.

use std::net::IpAddr;

use crds::word::Word;

/// Why a connection to an address failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConnectReason {
    /// TCP reset in answer to SYN.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("connection timed out")]
    TimedOut,
    /// No route to the network or host.
    #[error("no route to the address")]
    NoRoute,
    /// The dialler's guard refuses it.
    #[error("{address} is {kind}, and `egress.allowNetworks` does not list it")]
    AddressNotAllowed {
        /// The address.
        address: IpAddr,
        /// Such as "a private address".
        kind: &'static str,
    },
    /// Anything else that the operating system reports.
    #[error("{detail}")]
    Other {
        /// Text of the operating system.
        detail: String,
    },
}

impl From<&std::io::Error> for ConnectReason {
    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::NoRoute,
            _ => Self::Other { detail: error.to_string() },
        }
    }
}

impl ConnectReason {
    /// The stable word for this reason.
    pub(crate) fn word(&self) -> Word {
        match self {
            Self::Refused => Word::ConnectRefused,
            Self::TimedOut => Word::ConnectTimedOut,
            Self::NoRoute => Word::NoRoute,
            Self::AddressNotAllowed { .. } => Word::AddressNotAllowed,
            Self::Other { .. } => Word::ConnectFailed,
        }
    }
}
