//! From the header to authentication (RFC 6120 §4.3, §5, §6; XEP-0178 §3; RFC 7590 §3.1).

use std::time::Instant;

use crds::peer::{TlsMode, Verification};

use super::{Outbound, Purpose, State};
use crate::direction::Direction;
use crate::reason::{AgainstExternal, Failure, NoDialback, NoExternal, NoMethod, Setting};
use crate::stream::features::{Features, StartTls};
use crate::stream::header::{check_namespaces, negotiated, write_initial};
use crate::stream::starttls::STARTTLS;
use crate::stream::{Action, Authentication, Out, StreamLimits, Surroundings, sasl};
use crate::xml::{Element, HeaderAttributes};

impl Outbound {
    /// Sends the header. On Direct TLS the certificate is verified first.
    pub fn begin(&mut self, around: &dyn Surroundings, out: &mut Out) {
        let blocked = match &self.purpose {
            Purpose::Send(pair) | Purpose::Verify { pair, .. } => around.admits(pair).is_err(),
        };
        if blocked {
            return self.give_up(Failure::BlockedByLocalPolicy, out);
        }
        self.open_stream(around, out);
    }

    /// Writes a header, unless its TLS does not satisfy the rules of the peer.
    pub(super) fn open_stream(&mut self, around: &dyn Surroundings, out: &mut Out) {
        let required = around.peer(&self.remote).verification == Verification::Required;
        if let Some(Err(reason)) =
            self.tls.as_ref().filter(|_| required).map(|chain| around.judge(chain, &self.remote))
        {
            self.state = State::Closed;
            out.act(Action::Failed(Failure::Certificate(reason)));
            return out.act(Action::Close);
        }
        self.state = State::AwaitHeader;
        write_initial(out, Some(&self.local), &self.remote);
    }

    pub(super) fn on_header(
        &mut self,
        header: &HeaderAttributes,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let version = match check_namespaces(header).and_then(|()| negotiated(header)) {
            Ok(version) => version,
            Err(error) => {
                error.write(&mut out.bytes);
                return self.give_up(Failure::NotXmpp(error.text), out);
            }
        };
        self.id = header.id.clone().filter(|id| !id.is_empty());
        self.declares_dialback = header.declares_dialback;
        self.lang.clone_from(&header.lang);
        self.features = Features::default();
        if version.is_some() {
            self.state = State::AwaitFeatures;
            return;
        }
        // A peer from before version 1.0 sends no features and supports only dialback (RFC 6120 §4.7.5 rule 4).
        if self.tls.is_none() && around.peer(&self.remote).tls == TlsMode::Required {
            return self.give_up(Failure::StartTlsNotOffered, out);
        }
        self.declares_dialback = true;
        self.authenticate(now, around, out);
    }

    pub(super) fn on_features(
        &mut self,
        element: &Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        self.features = match element.tree() {
            Ok(node) => Features::read(&node),
            Err(error) => return self.give_up(Failure::NotXmpp(error.to_string()), out),
        };
        if self.tls.is_some() {
            return self.authenticate(now, around, out);
        }
        let starttls = match (around.peer(&self.remote).tls, self.features.starttls) {
            // An attacker that strips the offer must not gain anything (RFC 7590 §3.1).
            (TlsMode::Required, _) | (TlsMode::Optional, Some(_)) => true,
            (TlsMode::Optional, None) | (TlsMode::Disabled, None | Some(StartTls::Optional)) => {
                false
            }
            (TlsMode::Disabled, Some(StartTls::Required)) => {
                return self.give_up(NoMethod::TlsDisabled.into(), out);
            }
        };
        if starttls {
            out.put(STARTTLS);
            self.state = State::AwaitProceed;
        } else {
            self.authenticate(now, around, out);
        }
    }

    /// EXTERNAL first (RFC 6120 §6.3.4), then dialback.
    fn authenticate(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        if let Purpose::Verify { .. } = self.purpose {
            return self.ask(now, out);
        }
        if self.external {
            if let Purpose::Send(pair) = &self.purpose {
                let pair = pair.clone();
                self.state = State::Open;
                self.authorized(&pair, Authentication::External, now, around, out);
            }
            return;
        }
        let rules = around.peer(&self.remote);
        self.ask_for_bidi(around, out);
        let uses_external = rules.uses_external() && self.rejected.is_none();
        if self.tls.is_some() && self.features.external && uses_external {
            sasl::write_auth(out, &self.local);
            self.state = State::AwaitSasl;
            return;
        }
        self.authenticate_by_dialback(now, around, out);
    }

    /// XEP-0288 §2.2, before SASL and dialback.
    fn ask_for_bidi(&mut self, around: &dyn Surroundings, out: &mut Out) {
        let Purpose::Send(pair) = &self.purpose else { return };
        let trusted = self.trusts(&self.remote, around);
        if self.bidi || !self.features.bidi || !trusted || !around.takes_bidi(&pair.reversed()) {
            return;
        }
        self.bidi = true;
        out.put("<bidi xmlns='urn:xmpp:bidi'>");
        let max_bytes = Some(self.limits.authenticated.element_bytes);
        StreamLimits { max_bytes, idle: None }.write(out);
        out.put("</bidi>");
    }

    fn authenticate_by_dialback(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        let obstacle = match self.against_dialback(around) {
            Some(setting) => Some(NoDialback::Forbidden(setting)),
            None => (!self.knows_dialback()).then_some(NoDialback::NotKnown),
        };
        if let Some(obstacle) = obstacle {
            let failure = self.rejected.take().unwrap_or_else(|| {
                NoMethod::Neither(self.why_no_external(around), obstacle).into()
            });
            return self.give_up(failure, out);
        }
        if self.id.is_none() {
            let text = "its stream header has no id, which dialback needs";
            return self.give_up(Failure::NotXmpp(text.to_owned()), out);
        }
        self.state = State::Open;
        if let Purpose::Send(pair) = &self.purpose {
            let pair = pair.clone();
            self.request(pair, now, around, out);
        }
    }

    /// The setting that forbids authenticating ourselves by dialback.
    pub(super) fn against_dialback(&self, around: &dyn Surroundings) -> Option<Setting> {
        Setting::against_dialback(around.peer(&self.remote), around.set_by(&self.remote))
    }

    /// Why EXTERNAL was not tried.
    fn why_no_external(&self, around: &dyn Surroundings) -> NoExternal {
        if self.tls.is_none() {
            return NoExternal::NotEncrypted;
        }
        if !self.features.external {
            return NoExternal::NotOffered;
        }
        let (rules, by) = (around.peer(&self.remote), around.set_by(&self.remote));
        NoExternal::Forbidden(AgainstExternal::of(rules, by, Direction::Outbound))
    }

    /// Servers announce dialback by the feature, older ones by declaring its namespace (XEP-0220 §2.4).
    pub(super) fn knows_dialback(&self) -> bool {
        self.features.dialback.is_some() || self.declares_dialback
    }

    pub(super) fn on_sasl_answer(
        &mut self,
        element: &Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let node = match element.tree() {
            Ok(node) => node,
            Err(error) => return self.give_up(Failure::NotXmpp(error.to_string()), out),
        };
        match node.local.as_str() {
            "success" => {
                self.external = true;
                out.act(Action::Restart);
                self.state = State::AwaitHeader;
                write_initial(out, Some(&self.local), &self.remote);
            }
            "failure" => {
                let (condition, text) = sasl::read_failure(&node);
                let forbidden = self.against_dialback(around);
                self.rejected = Some(Failure::ExternalRejected { condition, text, forbidden });
                self.authenticate_by_dialback(now, around, out);
            }
            // EXTERNAL has no challenges (RFC 4422 appendix A).
            _ => {
                let text = "it answered SASL EXTERNAL with a challenge";
                self.give_up(Failure::NotXmpp(text.to_owned()), out);
            }
        }
    }
}
