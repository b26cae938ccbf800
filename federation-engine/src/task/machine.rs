//! A negotiated stream in either role, as its session drives it.

use std::time::Instant;

use s2s_proto::pair::Pair;
use s2s_proto::reason::Refusal;
use s2s_proto::stream::error::StreamError;
use s2s_proto::stream::{Inbound, Management, Out, Outbound, StreamLimits, Surroundings};
use s2s_proto::xml::{Element, Item, XmlError};

/// The side that opened the stream.
pub(crate) enum Machine {
    /// The peer opened it.
    Receiving(Inbound),
    /// We opened it.
    Initiating(Outbound),
}

impl Machine {
    pub(crate) fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        match self {
            Self::Receiving(machine) => machine.authorize(element),
            Self::Initiating(machine) => machine.authorize(element),
        }
    }

    pub(crate) fn handled(&mut self) {
        match self {
            Self::Receiving(machine) => machine.handled(),
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
            Self::Initiating(machine) => machine.on_xml_error(error, out),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Receiving(machine) => machine.deadline(),
            Self::Initiating(machine) => machine.deadline(),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.on_timeout(now, around, out),
            Self::Initiating(machine) => machine.on_timeout(now, out),
        }
    }

    pub(crate) fn fail(&mut self, error: &StreamError, around: &dyn Surroundings, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.fail(error, around, out),
            Self::Initiating(machine) => machine.fail(error, out),
        }
    }

    pub(crate) fn close(&mut self, now: Instant, out: &mut Out) {
        match self {
            Self::Receiving(machine) => machine.close(now, out),
            Self::Initiating(machine) => machine.close(now, out),
        }
    }

    pub(crate) fn management(&mut self) -> &mut Management {
        match self {
            Self::Receiving(machine) => machine.management(),
            Self::Initiating(machine) => machine.management(),
        }
    }

    pub(crate) fn peer_limits(&self) -> StreamLimits {
        match self {
            Self::Receiving(machine) => machine.peer_limits(),
            Self::Initiating(machine) => machine.peer_limits(),
        }
    }

    pub(crate) fn traffic(&mut self, now: Instant) {
        match self {
            // The peer must keep its own stream alive.
            Self::Receiving(_) => {}
            Self::Initiating(machine) => machine.traffic(now),
        }
    }
}
