//! A stream that we opened and the target answered.

use s2s_peer::element::Element;
use s2s_peer::namespace::{DIALBACK_FEATURE, SASL, STREAMS};
use s2s_peer::stream::Stream;

use super::header::Header;
use super::outcome::{Finding, violated};

/// A stream up to its features.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// The target's header.
    pub header: Element,
    /// The features that the target offers.
    pub features: Element,
    /// Connections of the target that belong to this stream. Some targets treat the end of such a connection as a
    /// failure of the stream.
    pub kept: Vec<Stream>,
}

impl Opened {
    /// Sends the header and reads the answer.
    pub fn greet(mut stream: Stream, header: &Header<'_>) -> Finding<Self> {
        stream.send(header.to_string())?;
        let header = stream.header()?;
        if !header.is(STREAMS, "stream") {
            return violated(format!("the stream header was answered with {header}"));
        }
        let features = stream.features()?;
        Ok(Self { stream, header, features, kept: Vec::new() })
    }

    /// The id that the target assigned to the stream.
    pub fn id(&self) -> String {
        self.header.attribute("id").unwrap_or_default().to_owned()
    }

    /// The SASL mechanisms.
    pub fn mechanisms(&self) -> Vec<&str> {
        self.features
            .child(SASL, "mechanisms")
            .map(|list| list.children.iter().map(|one| one.text.as_str()).collect())
            .unwrap_or_default()
    }

    /// Whether the mechanisms include SASL EXTERNAL.
    pub fn offers_external(&self) -> bool {
        self.mechanisms().contains(&"EXTERNAL")
    }

    /// Whether the target offers dialback.
    pub fn offers_dialback(&self) -> bool {
        self.features.child(DIALBACK_FEATURE, "dialback").is_some()
    }
}
