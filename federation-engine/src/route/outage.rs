//! Which local domains have a backend that cannot be reached, or a component that is not connected. New streams of peers to them are refused, so that the peers
//! keep their stanzas. Pure.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crds::xmpp::StreamCondition;
use s2s_proto::reason::{Failure, Refusal};

use crate::Domain;

/// Failed attempts in succession after which a backend counts as down. A restart that is over at the second attempt
/// refuses nobody.
const MIN_FAILURES: u8 = 2;

/// The failed attempts in succession to reach the backend of each local domain. There are as many as local domains.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<HashMap<Domain, u8>>);

impl Outages {
    /// No stream to the backend of this domain could be opened.
    pub(crate) fn failed(&self, local: &Domain, failure: &Failure) {
        if is_outage(failure) {
            let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = failures.entry(local.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// A stream to the backend of this domain is open, or one of its component.
    pub(crate) fn ended(&self, local: &Domain) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(local);
    }

    /// Another configuration is in effect, which may name other backends.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether stanzas for this domain can be delivered at the moment.
    ///
    /// # Errors
    /// The backend is down.
    pub(crate) fn check(&self, local: &Domain) -> Result<(), Refusal> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(local) {
            Some(count) if *count >= MIN_FAILURES => Err(Refusal::BackendUnreachable),
            _ => Ok(()),
        }
    }
}

/// Whether the failure shows that the whole backend is down. Others may concern only the domains of one link, or need a
/// change of the settings, for which no peer should wait.
fn is_outage(failure: &Failure) -> bool {
    match failure {
        Failure::Dns(_)
        | Failure::Connect(_)
        | Failure::ComponentNotConnected
        | Failure::ConnectionLost(_)
        | Failure::NegotiationTimedOut(_) => true,
        Failure::StreamError { condition, .. } => *condition == StreamCondition::SystemShutdown,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use s2s_proto::certificate::testing::domain;
    use s2s_proto::reason::{CertificateReason, ConnectReason};

    use super::*;

    fn refused() -> Failure {
        Failure::Connect(vec![("198.18.0.9:5269".parse().unwrap(), ConnectReason::Refused)])
    }

    #[test]
    fn a_backend_is_down_after_two_failures_in_succession_and_up_after_one_stream() {
        let (outages, local) = (Outages::default(), domain("local.example"));
        outages.failed(&local, &refused());
        assert_eq!(outages.check(&local), Ok(()));
        outages.failed(&local, &refused());
        assert_eq!(outages.check(&local), Err(Refusal::BackendUnreachable));
        assert_eq!(outages.check(&domain("other.example")), Ok(()), "another backend");
        outages.ended(&local);
        outages.failed(&local, &refused());
        assert_eq!(outages.check(&local), Ok(()), "not in succession");
        outages.failed(&local, &refused());
        outages.forget();
        assert_eq!(outages.check(&local), Ok(()));
    }

    #[test]
    fn a_failure_of_one_pair_or_of_the_settings_is_no_outage() {
        let error = |condition: &str| Failure::StreamError {
            condition: condition.into(),
            text: String::new(),
        };
        for (failure, expected) in [
            (refused(), true),
            (Failure::NegotiationTimedOut("anything"), true),
            (Failure::ConnectionLost("anything"), true),
            (Failure::ComponentNotConnected, true),
            (error("system-shutdown"), true),
            (error("host-unknown"), false),
            (error("policy-violation"), false),
            (error("not-authorized"), false),
            (Failure::Certificate(CertificateReason::SelfSigned), false),
            (Failure::NoBackend, false),
            (Failure::ShuttingDown, false),
        ] {
            assert_eq!(is_outage(&failure), expected, "{failure}");
        }
    }
}
