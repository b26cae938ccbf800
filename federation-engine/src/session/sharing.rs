//! Further links on a stream: back to the peer that opened it (XEP-0288 §2.2), or, if we opened it, for other local
//! domains and other domains at the same remote place (sender and target multiplexing, XEP-0220 §2.6).

use std::time::Instant;

use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Authentication;
use tokio::sync::oneshot;

use super::{Flow, Session};
use crate::Domain;
use crate::route::streams::{Far, Registration, Request};
use crate::session::machine::Machine;

impl Session {
    /// A stream that we opened can carry other pairs if dialback can authenticate them on it. A stream that is
    /// authenticated by EXTERNAL is not shared: another pair has its own certificate, and gets its own stream.
    pub(super) fn share_opened(&mut self, remote: &Domain) {
        if let (Some(Authentication::Dialback), Some(place)) = (self.how, self.place.clone()) {
            self.register(Far::Domain(remote.clone()));
            self.register(Far::Target(place));
        }
    }

    pub(super) fn register(&mut self, far: Far) {
        if !self.registrations.iter().any(|known| known.is_of(&far)) {
            let requests = self.events.sender().clone();
            self.registrations.push(Registration::new(
                &self.engine.streams,
                self.leg,
                far,
                requests,
            ));
        }
    }

    /// The stream is closing, and no link may find it any more. A link without an answer looks for another stream.
    pub(super) fn withdraw(&mut self) {
        self.ended.token.cancel();
        self.free_domain();
        self.registrations.clear();
        self.requested.clear();
        self.events.close();
    }

    /// XEP-0288: the stream is bidirectional for this pair.
    pub(super) fn bidirectional(&mut self, pair: &Pair) {
        tracing::debug!(%pair, leg = ?self.leg, address = %self.address, "the stream is bidirectional");
        if matches!(self.machine, Machine::Receiving(_)) {
            self.register(Far::Domain(pair.to.clone()));
            // Stanzas that wait for a stream to this peer can now be sent.
            self.engine.relay.table.hurry(pair);
        }
    }

    pub(super) async fn on_request(&mut self, request: Request) -> Flow {
        if self.closing {
            return Flow::Continue;
        }
        let pair = &request.link.pair;
        match &mut self.machine {
            Machine::Receiving(machine) => {
                if machine.carries(pair, &*self.around) {
                    self.report.carries_back(&self.engine, pair);
                    self.carry(request);
                }
                Flow::Continue
            }
            Machine::Component(machine) => {
                if machine.carries(pair, &*self.around) {
                    self.carry(request);
                }
                Flow::Continue
            }
            Machine::Initiating(machine) => {
                if !machine.can_add(pair, &*self.around) {
                    return Flow::Continue;
                }
                machine.add_pair(pair.clone(), Instant::now(), &*self.around, &mut self.out);
                self.requested.push(request);
                self.perform().await
            }
        }
    }

    /// The peer has accepted a pair, or refused it (`failure`). A refused link opens its own stream.
    pub(super) fn on_pair_decided(&mut self, pair: &Pair, failure: Option<&Failure>) {
        let Some(at) = self.requested.iter().position(|request| request.link.pair == *pair) else {
            return;
        };
        let request = self.requested.swap_remove(at);
        match failure {
            None => self.carry(request),
            Some(failure) => {
                tracing::debug!(%pair, leg = ?self.leg, "the open stream cannot carry the pair: {failure}");
            }
        }
    }

    fn carry(&mut self, Request { link, answer }: Request) {
        let (end, ended) = oneshot::channel();
        if answer.send(ended).is_ok() {
            self.outlet.carry(link, Some(end));
        }
    }
}
