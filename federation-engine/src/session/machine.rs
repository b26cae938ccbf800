//! A negotiated stream in either role, as its session drives it.

use std::time::Instant;

use s2s_proto::pair::Pair;
use s2s_proto::reason::Refusal;
use s2s_proto::stream::error::StreamError;
use s2s_proto::stream::rejection::Named;
use s2s_proto::stream::{
    Component, Inbound, Management, Out, Outbound, PeerChain, StreamLimits, Surroundings,
};
use s2s_proto::xml::{Element, Item, Progress, XmlError};

/// The side that opened the stream.
pub(crate) enum Machine {
    /// The peer opened it.
    Receiving(Inbound),
    /// A component opened it.
    Component(Component),
    /// We opened it.
    Initiating(Outbound),
}

impl Machine {
    /// Writes the first header; on a stream that the peer opened, that is its business.
    pub(crate) fn begin(&mut self, around: &dyn Surroundings, out: &mut Out) {
        if let Self::Initiating(machine) = self {
            machine.begin(around, out);
        }
    }

    /// A stream that we open waits for the peer's header.
    pub(crate) fn awaits_header(&self) -> bool {
        matches!(self, Self::Initiating(machine) if machine.awaits_header())
    }

    /// `xml:lang` of the header with which the peer answered ours.
    pub(crate) fn lang(&self) -> Option<&str> {
        match self {
            Self::Receiving(_) | Self::Component(_) => None,
            Self::Initiating(machine) => machine.lang(),
        }
    }

    pub(crate) fn on_tls(&mut self, chain: PeerChain, around: &dyn Surroundings, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.on_tls(chain, out),
            // It uses TLS from its first byte, or none.
            Self::Component(_) => {}
            Self::Initiating(machine) => machine.on_tls(chain, around, out),
        }
    }

    /// The handshake that we began failed. One that the peer began ends its connection without a word.
    pub(crate) fn on_tls_failure(&mut self, detail: String, out: &mut Out) {
        if let Self::Initiating(machine) = self {
            machine.on_tls_failure(detail, out);
        }
    }

    /// The connection is gone. The code that opened the stream gets the stage that was not completed.
    pub(crate) fn on_closed(&mut self, out: &mut Out) {
        if let Self::Initiating(machine) = self {
            machine.on_closed(out);
        }
    }

    /// The certificates that the stream rests on end then.
    pub(crate) fn expires(&mut self, at: Instant) {
        match self {
            Self::Receiving(machine) => machine.expires(at),
            Self::Component(machine) => machine.expires(at),
            Self::Initiating(machine) => machine.expires(at),
        }
    }

    /// The progress of the scanner, with the elements of a component as those of a stream between servers.
    pub(crate) fn rescoped(&self, progress: Progress) -> Progress {
        match self {
            Self::Component(machine) => machine.rescoped(progress),
            Self::Receiving(_) | Self::Initiating(_) => progress,
        }
    }

    /// Others opened the stream.
    pub(crate) fn is_theirs(&self) -> bool {
        !matches!(self, Self::Initiating(_))
    }

    /// The domains in the last header of a stream that others opened.
    pub(crate) fn named(&self) -> Option<&Named> {
        match self {
            Self::Receiving(machine) => Some(machine.named()),
            Self::Component(machine) => Some(machine.named()),
            Self::Initiating(_) => None,
        }
    }

    pub(crate) fn authorize(
        &mut self,
        element: &Element,
        around: &dyn Surroundings,
    ) -> Result<&Pair, Refusal> {
        match self {
            Self::Receiving(machine) => machine.authorize(element),
            Self::Component(machine) => machine.authorize(element, around),
            Self::Initiating(machine) => machine.authorize(element),
        }
    }

    pub(crate) fn handled(&mut self) {
        match self {
            Self::Receiving(machine) => machine.handled(),
            Self::Component(_) => {}
            Self::Initiating(machine) => machine.handled(),
        }
    }

    pub(crate) fn on_item(
        &mut self,
        item: Item,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match self {
            Self::Receiving(machine) => machine.on_item(item, now, around, out),
            Self::Component(machine) => machine.on_item(item, around, out),
            Self::Initiating(machine) => machine.on_item(item, now, around, out),
        }
    }

    pub(crate) fn on_xml_error(
        &mut self,
        error: XmlError,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match self {
            Self::Receiving(machine) => machine.on_xml_error(error, around, out),
            Self::Component(machine) => machine.on_xml_error(error, around, out),
            Self::Initiating(machine) => machine.on_xml_error(error, out),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Receiving(machine) => machine.deadline(),
            Self::Component(machine) => machine.deadline(),
            Self::Initiating(machine) => machine.deadline(),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.on_timeout(now, around, out),
            Self::Component(machine) => machine.on_timeout(now, around, out),
            Self::Initiating(machine) => machine.on_timeout(now, out),
        }
    }

    pub(crate) fn fail(&mut self, error: &StreamError, around: &dyn Surroundings, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.fail(error, around, out),
            Self::Component(machine) => machine.fail(error, around, out),
            Self::Initiating(machine) => machine.fail(error, out),
        }
    }

    pub(crate) fn close(&mut self, now: Instant, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.close(now, out),
            Self::Component(machine) => machine.close(now, out),
            Self::Initiating(machine) => machine.close(now, out),
        }
    }

    pub(crate) fn management(&mut self) -> &mut Management {
        match self {
            Self::Receiving(machine) => machine.management(),
            Self::Component(machine) => machine.management(),
            Self::Initiating(machine) => machine.management(),
        }
    }

    pub(crate) fn peer_limits(&self) -> StreamLimits {
        match self {
            Self::Receiving(machine) => machine.peer_limits(),
            // The protocol has no way to announce them.
            Self::Component(_) => StreamLimits::default(),
            Self::Initiating(machine) => machine.peer_limits(),
        }
    }

    pub(crate) fn traffic(&mut self, now: Instant) {
        match self {
            // The peer must keep its own stream alive.
            Self::Receiving(_) | Self::Component(_) => {}
            Self::Initiating(machine) => machine.traffic(now),
        }
    }
}
