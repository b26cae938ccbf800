//! The configuration was reloaded: closes a stream, in order, that the new one does not allow.

use crds::target::RouteTarget;
use crds::xmpp::StreamCondition;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::plan::Target;
use s2s_proto::policy::decide::allows;
use s2s_proto::stream::Authentication;
use s2s_proto::stream::error::StreamError;
use s2s_proto::stream::standing::Standing;

use super::{Flow, Session};
use crate::config::Attachment;
use crate::leg::Leg;
use crate::session::machine::Machine;

impl Session {
    /// Closes the stream if one of its pairs may no longer use it; the stanzas that wait for it are bounced, or sent on
    /// another one.
    pub(super) async fn on_reload(&mut self) -> Flow {
        if self.closing {
            return Flow::Continue;
        }
        if matches!(self.machine, Machine::Component(_)) {
            return self.on_component_reload().await;
        }
        let mut ends: Option<StreamCondition> = None;
        for (pair, how) in self.authenticated.clone() {
            // The certificate may have to be verified again, which takes time.
            let turn = self.judge_ahead(Some(pair.from.as_str())).await;
            match self.objection(&pair, how) {
                None if turn => {}
                // Whether the certificate is valid is not known in time.
                None => ends = Some(StreamCondition::Reset),
                Some(condition) => {
                    if let Some(omitted) = self.engine.recorder.may_log_pair(self.leg, &pair) {
                        tracing::info!(%pair, leg = ?self.leg, address = %self.address, %condition, omitted, "closing a stream that the current configuration no longer allows");
                    }
                    // Other pairs of the stream may be opened again.
                    let same = ends.is_none_or(|known| known == condition);
                    ends = Some(if same { condition } else { StreamCondition::Reset });
                }
            }
        }
        let Some(condition) = ends else { return Flow::Continue };
        let text = match condition {
            StreamCondition::HostGone => "this server no longer serves the domain",
            StreamCondition::PolicyViolation => "the policy of this server has changed",
            _ => "the configuration of this server has changed; open another stream",
        };
        self.closing = true;
        self.machine.fail(&StreamError::new(condition, text), &*self.around, &mut self.out);
        self.perform().await
    }

    /// Why an authenticated pair may no longer use the stream.
    fn objection(&self, pair: &Pair, how: Authentication) -> Option<StreamCondition> {
        let is_ours = matches!(self.machine, Machine::Initiating(_));
        let (own, other) = if is_ours { (&pair.from, &pair.to) } else { (&pair.to, &pair.from) };
        let snapshot = self.engine.snapshot_owned();
        let config = &snapshot.config;
        match self.leg {
            Leg::Outer => {
                let direction = if is_ours { Direction::Outbound } else { Direction::Inbound };
                if config.local(own).is_none() && *own != config.probe_domain {
                    return Some(StreamCondition::HostGone);
                }
                if !allows(&config.policy, other, direction) {
                    return Some(StreamCondition::PolicyViolation);
                }
            }
            Leg::Inner => match snapshot.backend(other).map(|backend| &backend.attachment) {
                Some(Attachment::Server { target, .. }) if is_ours && !self.leads_to(target) => {
                    return Some(StreamCondition::Reset);
                }
                Some(Attachment::Server { .. }) => {}
                _ => return Some(StreamCondition::HostGone),
            },
        }
        let standing =
            Standing { how, is_encrypted: self.connection.tls_version().is_some(), is_ours };
        let certificate = || self.around.judge(&self.connection.peer_chain(), other).is_ok();
        let fits = standing.fits(self.around.peer(other), certificate);
        (!fits).then_some(StreamCondition::PolicyViolation)
    }

    fn leads_to(&self, target: &RouteTarget) -> bool {
        let target = Target::from(target);
        self.place.as_ref().is_none_or(|(host, port)| (host, port) == (&target.host, &target.port))
    }
}
