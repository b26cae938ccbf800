//! Headers and features of the receiving entity (RFC 6120 §4.3, §4.7, §5.3, §6.3).

use crds::peer::{TlsMode, Verification};
use crds::word::Word;
use crds::xmpp::StreamCondition;

use super::{Inbound, Opened, State};
use crate::Domain;
use crate::direction::Direction;
use crate::pair::Pair;
use crate::reason::{AgainstExternal, Refusal, Setting};
use crate::stream::error::StreamError;
use crate::stream::features::{DialbackFeature, Features, StartTls};
use crate::stream::header::{Response, check_namespaces, negotiated, write_response};
use crate::stream::rejection::Named;
use crate::stream::{Action, Authentication, Out, PeerRules, StreamLimits, Surroundings};
use crate::xml::HeaderAttributes;

/// The content of the header, once it is acceptable.
struct Addressed {
    from: Option<Domain>,
    to: Option<Domain>,
    versioned: bool,
}

impl Inbound {
    pub(super) fn on_header(
        &mut self,
        header: &HeaderAttributes,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let id = around.keys().stream_id();
        let from = header.from.as_deref().and_then(|from| Domain::parse(from).ok());
        let to = header.to.as_deref().and_then(|to| Domain::parse(to).ok());
        self.named = Named { from: from.clone(), to: to.clone() };
        let to = to.filter(|to| around.serves(to));
        let versioned = !matches!(negotiated(header), Ok(None));
        // The response header comes first whatever the error (§4.9.1.2); it never repeats a name that we do not serve
        // (§4.9.1.3).
        let response = Response {
            from: to.as_ref().map_or("", Domain::as_str),
            to: from.as_ref(),
            id: id.as_str(),
            versioned,
        };
        write_response(out, &response);
        self.state = State::Open;
        let addressed = match self.check_header(header, from, to, around) {
            Ok(addressed) => addressed,
            Err(error) => return self.fail(&error, around, out),
        };
        if addressed.from.is_some() {
            self.claimed.from.clone_from(&addressed.from);
        }
        if let Some(to) = &addressed.to {
            out.act(Action::Opened { from: addressed.from.clone(), to: to.clone() });
            self.claimed.to = Some(to.clone());
        }
        let features = match self.features(&addressed, around) {
            Ok(features) => Features {
                limits: self.accepted(&addressed, &features, around),
                bidi: self.takes_bidi(&addressed, &features, around),
                // Only once the peer is authenticated (XEP-0198 §3); after dialback no features follow.
                management: self.external.is_some(),
                ..features
            },
            Err(error) => return self.fail(&error, around, out),
        };
        if addressed.versioned {
            features.write(out);
        }
        self.opened = Some(Opened {
            from: addressed.from,
            to: addressed.to,
            id,
            versioned: addressed.versioned,
            offered: if addressed.versioned { features } else { Features::default() },
        });
        // Stanzas may follow only after features without a mandatory one (§4.3.5).
        if let Some(pair) = self.external.take() {
            self.authorized(&pair, Authentication::External, out);
        }
    }

    /// Our announced limits (XEP-0478). As long as other features follow, stanzas are not allowed, and the limit is
    /// small. Features that offer dialback may be the last ones, so they announce the limit of stanzas.
    fn accepted(
        &self,
        addressed: &Addressed,
        features: &Features,
        around: &dyn Surroundings,
    ) -> StreamLimits {
        if features.starttls == Some(StartTls::Required) {
            return StreamLimits::default();
        }
        let last = self.external.is_some() || features.dialback.is_some();
        let of_peer = addressed.from.as_ref().and_then(|from| around.stanza_bytes(from));
        let stanza = of_peer.unwrap_or(self.limits.authenticated.element_bytes);
        let max_bytes = if last { stanza } else { self.limits.unauthenticated_bytes };
        StreamLimits { max_bytes: Some(max_bytes), idle: self.limits.idle }
    }

    /// Offered if the peer can authenticate next, because it must request this before it does (XEP-0288 §2.2).
    fn takes_bidi(
        &self,
        addressed: &Addressed,
        features: &Features,
        around: &dyn Surroundings,
    ) -> bool {
        let (Some(from), Some(to)) = (&addressed.from, &addressed.to) else { return false };
        let proves = features.external || features.dialback.is_some();
        let back = Pair { from: to.clone(), to: from.clone() };
        proves && self.external.is_none() && around.takes_bidi(&back)
    }

    fn check_header(
        &self,
        header: &HeaderAttributes,
        from: Option<Domain>,
        to: Option<Domain>,
        around: &dyn Surroundings,
    ) -> Result<Addressed, StreamError> {
        check_namespaces(header)?;
        let versioned = negotiated(header)?.is_some();
        if header.from.is_some() && from.is_none() {
            let text = "the 'from' of the stream is not a domain";
            return Err(StreamError::new(StreamCondition::InvalidFrom, text));
        }
        if to.is_none() && !self.leaves_to_dialback(header, versioned) {
            return Err(Refusal::HostUnknown.into());
        }
        let claimed = &self.claimed;
        if claimed.from.is_some() && from.is_some() && claimed.from != from {
            let text = "the 'from' of the stream changed during negotiation";
            return Err(StreamError::new(StreamCondition::InvalidFrom, text));
        }
        if claimed.to.is_some() && claimed.to != to {
            let text = "the 'to' of the stream changed during negotiation";
            return Err(StreamError::new(StreamCondition::PolicyViolation, text));
        }
        if let (Some(from), Some(to)) = (&from, &to) {
            let pair = Pair { from: from.clone(), to: to.clone() };
            around.admits(&pair).map_err(StreamError::from)?;
            around.has_room(self.tls.as_ref(), from).map_err(StreamError::from)?;
        }
        Ok(Addressed { from, to, versioned })
    }

    /// A server from before version 1.0 may omit `to`: it was a SHOULD (RFC 3920 §4.2), and jabberd2 without a
    /// certificate still omits it. On such a stream only dialback can follow, whose elements name both domains and are
    /// verified one by one, so a header without `to` gains nothing. From version 1.0 on, and inside TLS, whose
    /// certificate is the one for `to`, it is a MUST (RFC 6120 §4.7.2).
    fn leaves_to_dialback(&self, header: &HeaderAttributes, versioned: bool) -> bool {
        header.to.is_none() && !versioned && self.tls.is_none() && header.declares_dialback
    }

    /// The features to offer; an error if no action of the peer could lead to an authenticated stream.
    fn features(
        &self,
        addressed: &Addressed,
        around: &dyn Surroundings,
    ) -> Result<Features, StreamError> {
        // A peer that does not name its domain (allowed before TLS, §4.7.1) is checked at its first dialback request.
        let Some(from) = &addressed.from else {
            let starttls = self.tls.is_none().then_some(StartTls::Optional);
            return Ok(Features { starttls, dialback: Some(DIALBACK), ..Features::default() });
        };
        let rules = around.peer(from);
        let dialback = rules.allows_dialback().then_some(DIALBACK);
        let Some(chain) = &self.tls else {
            return Self::features_in_clear(rules, addressed.versioned);
        };
        if self.external.is_some() {
            return Ok(Features { dialback, ..Features::default() });
        }
        let looks = rules.verification != Verification::None;
        let verdict = if looks { Some(around.judge(chain, from)) } else { None };
        // Closed at once instead of leaving the peer to a timeout (§6.4.5).
        let say = |reason| format!("the certificate does not authenticate {from}: {reason}");
        let (why_not, cause) = match &verdict {
            Some(Err(reason)) => (say(reason.remote_text()), say(reason.to_string())),
            _ if rules.accepts_external() => {
                let text = "SASL EXTERNAL needs a stream of version 1.0".to_owned();
                (text.clone(), text)
            }
            _ => {
                let settings = AgainstExternal::of(rules, around.set_by(from), Direction::Inbound);
                let cause = format!("SASL EXTERNAL is not accepted because {settings}");
                ("no authentication method is available".to_owned(), cause)
            }
        };
        let authenticated = matches!(verdict, Some(Ok(())));
        let reason = match &verdict {
            Some(Err(reason)) => reason.word(),
            _ => Word::NoAuthenticationMethod,
        };
        if rules.verification == Verification::Required && !authenticated {
            let error = StreamError::new(StreamCondition::PolicyViolation, why_not);
            return Err(error.because(reason).caused_by(cause));
        }
        let external = authenticated && rules.accepts_external() && addressed.versioned;
        let forbidden = Setting::against_dialback(rules, around.set_by(from));
        if let Some(setting) = forbidden.filter(|_| !external) {
            let cause = format!("{cause}, and dialback is not accepted because {setting}");
            let error = StreamError::new(StreamCondition::PolicyViolation, why_not);
            return Err(error.because(reason).caused_by(cause));
        }
        Ok(Features { external, dialback, ..Features::default() })
    }

    /// Mandatory STARTTLS stands alone (§5.3.1).
    fn features_in_clear(rules: PeerRules, versioned: bool) -> Result<Features, StreamError> {
        let dialback = rules.allows_dialback().then_some(DIALBACK);
        match rules.tls {
            TlsMode::Required if versioned => {
                Ok(Features { starttls: Some(StartTls::Required), ..Features::default() })
            }
            TlsMode::Required => Err(StreamError::new(
                StreamCondition::PolicyViolation,
                "TLS is required here, and STARTTLS needs a stream of version 1.0",
            )
            .because(Word::TlsRequired)),
            TlsMode::Optional => {
                Ok(Features { starttls: Some(StartTls::Optional), dialback, ..Features::default() })
            }
            TlsMode::Disabled => Ok(Features { dialback, ..Features::default() }),
        }
    }
}

/// We answer errors of dialback without closing the stream (XEP-0220 §2.4.2).
const DIALBACK: DialbackFeature = DialbackFeature { errors: true };
