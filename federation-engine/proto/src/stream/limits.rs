//! The limits that the receiving entity announces in its features (XEP-0478).

use std::time::Duration;

use crate::xml::{Namespace, Node};

use super::Out;

/// No server may refuse stanzas up to this size (RFC 6120 §13.12 item 4); a smaller announced limit is ignored.
const SMALLEST: usize = 10_000;

/// Longest announced silence that is respected. A number from outside decides when a stream is closed; no peer needs a
/// longer one, and the largest 64-bit number cannot be added to a clock.
const MAX_IDLE_TIME: Duration = Duration::from_hours(24);

/// Limits of one direction of a stream; an absent one is unlimited, or not announced.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamLimits {
    /// Bytes of a first-level element.
    pub max_bytes: Option<usize>,
    /// Silence of the sender after which the stream may be closed.
    pub idle: Option<Duration>,
}

impl StreamLimits {
    /// Parses the limits among these features; invalid numbers are ignored.
    pub(crate) fn read(features: &Node) -> Self {
        let Some(limits) = features.child(Namespace::StreamLimits, "limits") else {
            return Self::default();
        };
        let number = |name| -> Option<u64> {
            limits.child(Namespace::StreamLimits, name)?.text.trim().parse().ok()
        };
        Self {
            max_bytes: number("max-bytes").and_then(|bytes| usize::try_from(bytes).ok()),
            idle: number("idle-seconds")
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds).min(MAX_IDLE_TIME)),
        }
    }

    /// Parses the limits in a request for a bidirectional stream (XEP-0478 §3), which precedes authentication. Prosody 13
    /// announces there what it accepts before authentication, and accepts more afterwards without a word. So the smallest
    /// permitted size is not believed to be the limit of its stanzas.
    pub(crate) fn read_in_request(request: &Node) -> Self {
        let limits = Self::read(request);
        Self { max_bytes: limits.max_bytes.filter(|bytes| *bytes > SMALLEST), ..limits }
    }

    /// Writes the element, if a limit is set.
    pub(crate) fn write(self, out: &mut Out) {
        if self == Self::default() {
            return;
        }
        out.put("<limits xmlns='urn:xmpp:stream-limits:0'>");
        if let Some(bytes) = self.max_bytes {
            out.put(&format!("<max-bytes>{bytes}</max-bytes>"));
        }
        if let Some(idle) = self.idle {
            out.put(&format!("<idle-seconds>{}</idle-seconds>", idle.as_secs()));
        }
        out.put("</limits>");
    }

    /// With our own limit of bytes if the receiving entity announces none: servers without XEP-0478 have one as well,
    /// and close the stream on a larger stanza.
    #[must_use]
    pub fn or_bytes(self, own: usize) -> Self {
        Self { max_bytes: self.max_bytes.or(Some(own)), ..self }
    }

    /// The limit that an element of `size` bytes exceeds.
    pub fn exceeded_by(&self, size: usize) -> Option<usize> {
        self.max_bytes.map(|limit| limit.max(SMALLEST)).filter(|limit| size > *limit)
    }

    /// When to close an idle stream, if `own` is the configured time: before the receiving entity does, so that no
    /// stanza is sent while it closes the stream.
    pub fn idle_time(&self, own: Option<Duration>) -> Option<Duration> {
        let theirs =
            self.idle.map(|idle| idle.saturating_sub(idle.checked_div(10).unwrap_or_default()));
        own.into_iter().chain(theirs).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6120_13_12_a_limit_below_the_smallest_that_is_allowed_is_not_believed() {
        let limits = |bytes| StreamLimits { max_bytes: bytes, idle: None };
        for (limit, size, expected) in [
            (None, 1_000_000, None),
            (Some(20_000), 20_000, None),
            (Some(20_000), 20_001, Some(20_000)),
            (Some(0), 10_000, None),
            (Some(0), 10_001, Some(10_000)),
        ] {
            assert_eq!(limits(limit).exceeded_by(size), expected, "{limit:?} {size}");
        }
    }

    #[test]
    fn a_peer_that_tells_no_limit_has_ours() {
        let reported = StreamLimits { max_bytes: Some(20_000), idle: None };
        assert_eq!(reported.or_bytes(30_000).exceeded_by(20_001), Some(20_000));
        assert_eq!(StreamLimits::default().or_bytes(30_000).exceeded_by(30_001), Some(30_000));
        assert_eq!(StreamLimits::default().or_bytes(30_000).exceeded_by(30_000), None);
    }

    #[test]
    fn xep0478_an_idle_stream_is_closed_before_the_peer_does() {
        let seconds = Duration::from_secs;
        for (own, theirs, expected) in [
            (Some(600), None, Some(600)),
            (Some(600), Some(100), Some(90)),
            (Some(60), Some(600), Some(60)),
            (None, Some(600), Some(540)),
            (None, None, None),
        ] {
            let limits = StreamLimits { max_bytes: None, idle: theirs.map(seconds) };
            assert_eq!(limits.idle_time(own.map(seconds)), expected.map(seconds));
        }
    }
}
