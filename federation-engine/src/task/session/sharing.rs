//! Further links on a stream: back to the peer that opened it (XEP-0288 §2.2), or, where we opened it, for other domains here
//! and others at the same place there (sender and target multiplexing, XEP-0220 §2.6).

use std::time::Instant;

use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Authentication;
use tokio::sync::oneshot;

use super::{Flow, Session};
use crate::Domain;
use crate::task::machine::Machine;
use crate::task::streams::{Far, Registration, Request};
use crate::task::target::Place;

impl Session {
    /// A stream that we opened is of use to other pairs if dialback can prove them on it. What EXTERNAL has proven is left
    /// alone: for another pair its own certificate would speak, on a stream of its own.
    pub(super) fn share_opened(&mut self, remote: &Domain, place: Place) {
        if self.how == Some(Authentication::Dialback) {
            self.register(Far::Domain(remote.clone()));
            self.register(Far::Target(place));
        }
    }

    fn register(&mut self, far: Far) {
        if !self.registrations.iter().any(|known| known.is_of(&far)) {
            let requests = self.events.sender().clone();
            self.registrations.push(Registration::new(&self.engine, self.leg, far, requests));
        }
    }

    /// Nobody is to find the stream any more: it ends. Who asked for it and has no answer looks elsewhere.
    pub(super) fn withdraw(&mut self) {
        self.ended.token.cancel();
        self.registrations.clear();
        self.requested.clear();
        self.events.close();
    }

    /// XEP-0288: the stream goes both ways for this pair.
    pub(super) fn bidirectional(&mut self, pair: &Pair) {
        tracing::debug!(%pair, leg = ?self.leg, address = %self.address, "the stream is bidirectional");
        if matches!(self.machine, Machine::Receiving(_)) {
            self.register(Far::Domain(pair.to.clone()));
            // What waits for a way to this peer has one now.
            self.engine.table.hurry(pair);
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

    /// The peer has accepted a pair, or refused it (`failure`). A link that is refused opens a stream of its own.
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
