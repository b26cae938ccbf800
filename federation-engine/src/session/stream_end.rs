//! How an authenticated stream ended, as reported in the log and the evidence.

use std::fmt;
use std::io;
use std::time::Duration;

use s2s_proto::stream::error::StreamError;

/// The end of a stream that is not a failure to reach the peer.
#[derive(Debug)]
pub(crate) enum StreamEnd {
    /// We closed it because it carried no stanza for this long.
    Idle(Duration),
    /// We closed it with this error.
    Error(StreamError),
    /// The peer closed it in order.
    ByPeer,
    /// The peer closed the connection but not the stream (RFC 6120 §4.4).
    Disconnected,
    /// The operating system reports that the connection broke.
    Broken(io::Error),
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(time) => write!(
                f,
                "the engine closed the stream because it carried no stanza for {}s; it is opened again on demand",
                time.as_secs()
            ),
            Self::Error(StreamError { condition, text, cause, .. }) => {
                let why = cause.as_ref().unwrap_or(text);
                write!(f, "the engine closed the stream with {condition}: {why}")
            }
            Self::ByPeer => f.write_str(
                "the peer closed the stream without an error; it is opened again on demand",
            ),
            Self::Disconnected => {
                f.write_str("the peer closed the connection without closing the stream")
            }
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::xmpp::StreamCondition;

    #[test]
    fn each_end_says_who_ended_the_stream_and_why() {
        let error = StreamError::new(StreamCondition::InvalidFrom, "reported")
            .caused_by("the true cause".to_owned());
        for (ending, said) in [
            (
                StreamEnd::Idle(Duration::from_mins(10)),
                "the engine closed the stream because it carried no stanza for 600s",
            ),
            (
                StreamEnd::Error(StreamError::expired()),
                "the engine closed the stream with reset: a certificate",
            ),
            (
                StreamEnd::Error(error),
                "the engine closed the stream with invalid-from: the true cause",
            ),
            (StreamEnd::ByPeer, "the peer closed the stream without an error"),
            (StreamEnd::Disconnected, "the peer closed the connection without"),
            (
                StreamEnd::Broken(io::ErrorKind::ConnectionReset.into()),
                "the connection broke: connection reset",
            ),
        ] {
            assert!(ending.to_string().starts_with(said), "{ending}");
        }
    }
}
