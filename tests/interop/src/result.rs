//! The observed result of a cell, and whether it is the expected one.

use std::fmt;
use std::time::Duration;

use harness::evidence::PeerStream;
use s2s_peer::element::Element;

use super::cell::Certificate;
use super::expect::{Cause, Channel, Expected, Proof};

/// The outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It arrived; the stream is not known yet.
    Arrived,
    /// It arrived over a stream with this authentication and encryption.
    Delivered(Proof, Channel),
    /// It came back: the error's condition and text, and the engine's own reasons.
    Bounced {
        /// The error that the sender received.
        reported: String,
        /// The engine's label, if the engine could not deliver.
        reason: Option<String>,
    },
    /// It neither arrived nor came back.
    Silence,
    /// It arrived, but the engine has no stream that could have carried it.
    Unexplained,
}

impl Seen {
    /// The outcome, from the message that came back.
    pub fn bounced(message: &Element) -> Self {
        let error = message.children.iter().find(|child| child.name == "error");
        let reported = error
            .into_iter()
            .flat_map(|error| &error.children)
            .map(|child| if child.text.is_empty() { &child.name } else { &child.text })
            .cloned()
            .collect::<Vec<_>>()
            .join(": ");
        Self::Bounced { reported, reason: None }
    }

    /// Adds the engine's evidence about that direction.
    pub fn explain(&mut self, stream: Option<&PeerStream>) {
        match self {
            Self::Arrived => {
                *self = stream
                    .and_then(how)
                    .map_or(Self::Unexplained, |(proof, channel)| Self::Delivered(proof, channel));
            }
            Self::Bounced { reason, .. } => *reason = stream.map(|stream| stream.reason.clone()),
            Self::Delivered(..) | Self::Silence | Self::Unexplained => {}
        }
    }

    /// Whether this is the expected outcome.
    pub fn agrees_with(&self, expected: Expected) -> bool {
        match (self, expected) {
            (Self::Delivered(proof, channel), Expected::Delivered(by, over)) => {
                (*proof, *channel) == (by, over)
            }
            (Self::Bounced { reason, .. }, Expected::Failed(cause)) => {
                reason.as_ref().is_none_or(|reason| labels(cause).contains(&reason.as_str()))
            }
            _ => false,
        }
    }
}

fn how(stream: &PeerStream) -> Option<(Proof, Channel)> {
    let proof = match stream.authentication.as_deref()? {
        "SASLExternal" => Proof::External,
        "DialbackWithTLS" | "DialbackByCertificate" | "Dialback" => Proof::Dialback,
        _ => return None,
    };
    let channel = match &stream.tls {
        None => Channel::Plain,
        Some(tls) if tls.direct => Channel::DirectTls,
        Some(_) => Channel::StartTls,
    };
    Some((proof, channel))
}

/// The engine's labels for a cause. A server chooses how it shows that it does not trust us. It ends the stream,
/// rejects EXTERNAL, or offers no authentication method that we could use.
fn labels(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::NotListening => &["ConnectRefused"],
        Cause::NoTls => &["STARTTLSNotOffered", "NoAuthenticationMethod"],
        Cause::ReceiversCertificate(Certificate::SelfSigned) => &["CertificateSelfSigned"],
        Cause::ReceiversCertificate(Certificate::WrongName) => &["CertificateNameMismatch"],
        Cause::ReceiversCertificate(Certificate::Expired) => &["CertificateExpired"],
        Cause::InitiatorsCertificate(_) => {
            &["StreamError", "SASLExternalRejected", "NoAuthenticationMethod"]
        }
        Cause::NoCommonProof => &["NoAuthenticationMethod"],
        Cause::NotVerified => &["DialbackError", "StreamError"],
        Cause::NotFound
        | Cause::ReceiversCertificate(Certificate::Good | Certificate::ServerAuthOnly) => &[],
    }
}

/// The result of a cell.
#[derive(Debug)]
pub struct CellResult {
    /// From us to them.
    pub outbound: (Expected, Seen),
    /// From them to us.
    pub inbound: (Expected, Seen),
    /// Duration of the run.
    pub took: Duration,
    /// Output of both sides.
    pub log: String,
}

impl CellResult {
    /// Whether both directions are as expected.
    pub fn agrees(&self) -> bool {
        [&self.outbound, &self.inbound].iter().all(|(expected, seen)| seen.agrees_with(*expected))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(proof, channel) => write!(f, "{proof:?} ({channel:?})"),
            Self::Bounced { reported, reason } => {
                let reason = reason.as_deref().unwrap_or("by their server");
                write!(f, "bounced ({reason}): {reported}")
            }
            Self::Arrived | Self::Silence | Self::Unexplained => write!(f, "{self:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounced(reported: &str, reason: Option<&str>) -> Seen {
        Seen::Bounced { reported: reported.to_owned(), reason: reason.map(str::to_owned) }
    }

    #[test]
    fn what_was_seen_agrees_only_with_what_was_expected() {
        let external = Expected::Delivered(Proof::External, Channel::StartTls);
        assert!(Seen::Delivered(Proof::External, Channel::StartTls).agrees_with(external));
        assert!(!Seen::Delivered(Proof::Dialback, Channel::StartTls).agrees_with(external));
        assert!(!Seen::Delivered(Proof::External, Channel::DirectTls).agrees_with(external));
        for other in [Seen::Arrived, Seen::Silence, Seen::Unexplained, bounced("no", None)] {
            assert!(!other.agrees_with(external), "{other}");
        }
        let expired = Expected::Failed(Cause::ReceiversCertificate(Certificate::Expired));
        assert!(bounced("no", Some("CertificateExpired")).agrees_with(expired));
        assert!(!bounced("no", Some("CertificateSelfSigned")).agrees_with(expired));
        assert!(!Seen::Silence.agrees_with(expired));
    }
}
