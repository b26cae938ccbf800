//! Asks the authoritative server about a dialback key (XEP-0220 §2.3), on a connection of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::engine::Engine;
use super::negotiate::{self, NotOpened, Opening};
use crate::dialback::Verification;
use crate::leg::Leg;
use crate::pair::Pair;
use crate::reason::{DnsReason, Failure};
use crate::stream::{Purpose, StreamId};

/// Stands for a server whose address was not found.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The authoritative server's answer, or the dialback error that says why there is none (XEP-0220 §2.5).
pub(crate) async fn ask(
    engine: &Arc<Engine>,
    leg: Leg,
    pair: Pair,
    id: StreamId,
    key: String,
) -> Verification {
    let purpose = Purpose::Verify { pair: pair.clone(), id, key };
    let result = match negotiate::open(engine, leg, purpose, None).await {
        Ok(Opening::Verified(mut opened, answer)) => {
            // XEP-0220 §2.1.2: a connection that was opened for verification is closed at once.
            opened.connection.close(negotiate::CLOSING).await;
            answer
        }
        Ok(Opening::Own(_) | Opening::Shared(_)) => {
            Verification::error("internal-server-error", "the authoritative server gave no answer")
        }
        Err(NotOpened { failure, address, .. }) => {
            // Of the server that was asked: who caused the question chose the name.
            let server = address.map_or(UNKNOWN, |address: SocketAddr| address.ip());
            if let Some(omitted) = engine.may_log(server) {
                tracing::info!(%pair, ?leg, ?address, reason = failure.label(), omitted, "dialback verification failed: {failure}");
            }
            Verification::error(condition(&failure), failure.to_string())
        }
    };
    engine.metrics.verifications.inc((&result).into());
    result
}

/// XEP-0220 §2.5, table of conditions.
fn condition(failure: &Failure) -> &'static str {
    match failure {
        Failure::Dns(DnsReason::ResolverUnavailable { .. } | DnsReason::Bogus { .. })
        | Failure::NegotiationTimedOut(_)
        | Failure::DialbackTimedOut => "remote-server-timeout",
        Failure::Dns(_) => "remote-server-not-found",
        Failure::BlockedByLocalPolicy => "not-allowed",
        Failure::Certificate(_) | Failure::StartTlsNotOffered | Failure::StartTlsRefused => {
            "not-authorized"
        }
        _ => "remote-connection-failed",
    }
}
