//! Stream headers (RFC 6120 §4.7, §4.8).

use crds::xmpp::StreamCondition;

use crate::Domain;
use crate::xml::escape::attribute_into;
use crate::xml::{HeaderAttributes, Namespace};

use super::Out;
use super::error::StreamError;

pub use super::error::LANG;

/// A version of XMPP (RFC 6120 §4.7.5): two numbers, compared as numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// The version of RFC 6120, which is ours.
    pub(crate) const ONE: Self = Self { major: 1, minor: 0 };

    fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str| {
            let digits_only = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| digits_only)
        };
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// The version of a stream after both headers: the lower one. `None` is a peer from before version 1.0, which does not
/// support stream features (RFC 6120 §4.7.5 rule 4). A higher version than ours is not an error (rule 2).
///
/// # Errors
/// `unsupported-version` when the attribute is not a version.
pub fn negotiated(header: &HeaderAttributes) -> Result<Option<Version>, StreamError> {
    let Some(text) = &header.version else { return Ok(None) };
    match Version::parse(text) {
        Some(version) if version < Version::ONE => Ok(None),
        Some(version) => Ok(Some(version.min(Version::ONE))),
        None => Err(StreamError::new(
            StreamCondition::UnsupportedVersion,
            "the version must have the form major.minor",
        )),
    }
}

/// Checks the namespaces of a header.
///
/// # Errors
/// `invalid-namespace` (§4.8.1, §4.8.3), or `bad-namespace-prefix` if the content namespace is not the default one
/// (§4.8.5). Any prefix for the stream namespace is accepted.
pub fn check_namespaces(header: &HeaderAttributes) -> Result<(), StreamError> {
    check_root(header)?;
    match header.content {
        Namespace::Server => Ok(()),
        Namespace::Stream => Err(StreamError::new(
            StreamCondition::BadNamespacePrefix,
            "the default namespace of the stream must be jabber:server",
        )),
        Namespace::Client => Err(StreamError::new(
            StreamCondition::InvalidNamespace,
            "the content namespace of the stream is jabber:client, as on a port for clients; between servers it must be jabber:server",
        )),
        _ => Err(StreamError::new(
            StreamCondition::InvalidNamespace,
            "the content namespace of a stream between servers must be jabber:server",
        )),
    }
}

/// Checks the name of the root element (§4.8.1).
pub(super) fn check_root(header: &HeaderAttributes) -> Result<(), StreamError> {
    if header.namespace != Namespace::Stream || header.local != "stream" {
        return Err(StreamError::new(
            StreamCondition::InvalidNamespace,
            "the root element must be stream in the namespace http://etherx.jabber.org/streams",
        ));
    }
    Ok(())
}

/// Writes the header that opens a stream. Only a side that claims no domain omits `from` (RFC 6120 §4.7.1).
pub fn write_initial(out: &mut Out, from: Option<&Domain>, to: &Domain) {
    begin(out);
    if let Some(from) = from {
        attribute_into(&mut out.bytes, "from", from.as_str());
    }
    attribute_into(&mut out.bytes, "to", to.as_str());
    end(out, true);
}

/// A response header. `from` is empty when we do not serve the requested domain (RFC 6120 §4.9.1.3).
pub(crate) struct Response<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: Option<&'a Domain>,
    pub(crate) id: &'a str,
    /// False towards a peer from before version 1.0.
    pub(crate) versioned: bool,
}

/// Writes a response header.
pub(crate) fn write_response(out: &mut Out, response: &Response<'_>) {
    begin(out);
    attribute_into(&mut out.bytes, "id", response.id);
    attribute_into(&mut out.bytes, "from", response.from);
    if let Some(to) = response.to {
        attribute_into(&mut out.bytes, "to", to.as_str());
    }
    end(out, response.versioned);
}

/// Writes the response to the header of a component (XEP-0114 §3), which has no version and gets no features.
pub(super) fn write_component_response(out: &mut Out, from: &str, id: &str) {
    out.put("<?xml version='1.0'?><stream:stream");
    for (name, value) in [
        ("xmlns", Namespace::ComponentAccept.uri()),
        ("xmlns:stream", Namespace::Stream.uri()),
        ("id", id),
        ("from", from),
    ] {
        attribute_into(&mut out.bytes, name, value);
    }
    end(out, false);
}

/// Some peers support only the prefix `db` for dialback (XEP-0220 §2.4.1 recommends it), so the header declares it.
fn begin(out: &mut Out) {
    out.put("<?xml version='1.0'?><stream:stream");
    for (name, namespace) in [
        ("xmlns", Namespace::Server),
        ("xmlns:stream", Namespace::Stream),
        ("xmlns:db", Namespace::Dialback),
    ] {
        attribute_into(&mut out.bytes, name, namespace.uri());
    }
}

fn end(out: &mut Out, versioned: bool) {
    attribute_into(&mut out.bytes, "xml:lang", LANG);
    if versioned {
        attribute_into(&mut out.bytes, "version", "1.0");
    }
    out.put(">");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: Option<&str>) -> HeaderAttributes {
        HeaderAttributes {
            namespace: Namespace::Stream,
            local: "stream".to_owned(),
            prefix: "stream".to_owned(),
            content: Namespace::Server,
            declares_dialback: true,
            from: None,
            to: None,
            id: None,
            version: version.map(str::to_owned),
            lang: None,
        }
    }

    #[test]
    fn rfc6120_4_7_5_versions_are_numbers_and_the_lower_one_is_used() {
        for text in ["1.0", "1.1", "2.0", "1.10", "01.0", "4294967295.0"] {
            assert_eq!(negotiated(&header(Some(text))), Ok(Some(Version::ONE)), "{text}");
        }
        assert!(Version::parse("1.10") > Version::parse("1.9"));
        for text in [None, Some("0.9"), Some("0.10")] {
            assert_eq!(negotiated(&header(text)), Ok(None), "{text:?}");
        }
        for text in ["", "1", "1.", ".0", "1.0.0", "-1.0", "+1.0", "1.x", "99999999999.0"] {
            let error = negotiated(&header(Some(text))).unwrap_err();
            assert_eq!(error.condition, StreamCondition::UnsupportedVersion, "{text}");
        }
    }

    #[test]
    fn rfc6120_4_8_namespaces_of_the_header() {
        let condition = |change: fn(&mut HeaderAttributes)| {
            let mut header = header(Some("1.0"));
            change(&mut header);
            check_namespaces(&header).map_err(|error| error.condition)
        };
        assert_eq!(condition(|_| ()), Ok(()));
        assert_eq!(condition(|h| h.prefix = "foo".to_owned()), Ok(()));
        for change in [
            (|h| h.namespace = Namespace::Other) as fn(&mut HeaderAttributes),
            |h| h.local = "streams".to_owned(),
            |h| h.content = Namespace::Client,
            |h| h.content = Namespace::None,
            |h| h.content = Namespace::Other,
        ] {
            assert_eq!(condition(change), Err(StreamCondition::InvalidNamespace));
        }
        assert_eq!(
            condition(|h| h.content = Namespace::Stream),
            Err(StreamCondition::BadNamespacePrefix)
        );
    }
}
