//! Direction of a stanza or a stream, as seen from the local domains.

/// Direction of a stanza or a stream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// From the remote domain; for a stream: opened by the other side.
    Inbound,
    /// To the remote domain; for a stream: opened by the engine.
    Outbound,
}

impl Direction {
    /// The word in logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}
