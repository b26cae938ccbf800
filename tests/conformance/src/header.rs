//! A stream header in every form, valid and invalid.

use std::fmt;

use s2s_peer::namespace::{DIALBACK, SERVER, STREAMS};

/// A header; each part can differ from its required value.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The XML declaration, or an empty string.
    pub declaration: &'a str,
    /// The prefix of the root element.
    pub prefix: &'a str,
    /// The namespace of the prefix.
    pub streams: &'a str,
    /// The content namespace.
    pub content: &'a str,
    /// Our domain, as we claim it.
    pub from: Option<&'a str>,
    /// The domain that we connect to.
    pub to: Option<&'a str>,
    /// The version.
    pub version: Option<&'a str>,
    /// Additional attributes, each with a space before it.
    pub extra: &'a str,
}

impl<'a> Header<'a> {
    /// The header of RFC 6120 §4.7 between two servers.
    pub fn new(from: &'a str, to: &'a str) -> Self {
        Self {
            declaration: "<?xml version='1.0'?>",
            prefix: "stream",
            streams: STREAMS,
            content: SERVER,
            from: Some(from),
            to: Some(to),
            version: Some("1.0"),
            extra: "",
        }
    }
}

impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { declaration, prefix, streams, content, extra, .. } = self;
        write!(f, "{declaration}<{prefix}:stream xmlns='{content}' xmlns:{prefix}='{streams}'")?;
        write!(f, " xmlns:db='{DIALBACK}'")?;
        let attributes = [("from", self.from), ("to", self.to), ("version", self.version)];
        for (name, value) in attributes {
            if let Some(value) = value {
                write!(f, " {name}='{value}'")?;
            }
        }
        write!(f, "{extra}>")
    }
}
