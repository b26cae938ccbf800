//! DNSSEC (RFC 4033 to 4035): a validating stub in front of the configured resolvers, and the check whether those
//! resolvers return what validation needs.
//!
//! hickory does the validation. It is assembled here and not by `ResolverOpts::validate` for two reasons. That function
//! caches up to a million proofs, which unknown zones could fill. It also queries without the CD bit: a resolver that
//! validates as well then answers SERVFAIL instead of the bogus records, which hides the cause (RFC 6840 §5.9).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::dnssec::{Proof, TrustAnchors};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::net::{DnsError, NetError};
use s2s_proto::clock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::lookup::{Found, Servers, lookup};

/// Proofs cached, one for each set of records: a few kilobytes for a hundred peers. Answers are in `Cache`.
const MAX_PROOFS: usize = 512;
/// Timeout for the keys of the root.
const ROOT_KEYS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until a resolver that strips DNSSEC is checked again.
const REPROBE_INTERVAL: Duration = Duration::from_mins(10);
/// Time until a resolver that did not answer is checked again.
const FAILED_PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// Sets the CD bit on every query, because this side validates.
#[derive(Clone)]
struct CheckingDisabled<H>(H);

impl<H: DnsHandle> DnsHandle for CheckingDisabled<H> {
    type Response = H::Response;
    type Runtime = H::Runtime;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        request.metadata.checking_disabled = true;
        self.0.send(request)
    }
}

/// Rejects denials about other zones. The library treats a negative answer as insecure if all of its authority section
/// is, regardless of the zone: the SOA record of any unsigned zone would deny every record of a signed one.
#[derive(Clone)]
struct OwnDenials<H>(H);

impl<H: DnsHandle> DnsHandle for OwnDenials<H> {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = H::Runtime;

    fn is_verifying_dnssec(&self) -> bool {
        self.0.is_verifying_dnssec()
    }

    fn send(&self, request: DnsRequest) -> Self::Response {
        let query = request.queries.first().cloned();
        Box::pin(self.0.send(request).map(move |result| {
            let (response, query) = (result?, query.as_ref());
            if query.is_some_and(|query| !denies_as_it_may(&response, query)) {
                return Err(NetError::Dns(DnsError::DnssecBogus));
            }
            Ok(response)
        }))
    }
}

/// An insecure record denies something only at or below its owner: there no zone is secure either.
fn denies_as_it_may(response: &Message, query: &Query) -> bool {
    let mut answers = response.answers.iter().filter(|record| record.name == *query.name());
    let wanted = |record: &Record| {
        let kind = record.record_type();
        kind == query.query_type() || kind == RecordType::CNAME
    };
    let is_expanded = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => {
            rrsig.input().num_labels < record.name.num_labels()
        }
        _ => false,
    };
    // An answer out of a wildcard denies that there is one of the name's own (RFC 4035 §5.3.4).
    if answers.any(wanted) && !response.answers.iter().any(is_expanded) {
        return true;
    }
    response
        .authorities
        .iter()
        .all(|record| record.proof != Proof::Insecure || record.name.zone_of(query.name()))
}

/// Queries and validates.
pub(super) struct Validator {
    servers: OwnDenials<DnssecDnsHandle<CheckingDisabled<Servers>>>,
    options: DnsRequestOptions,
    /// The resolvers return what validation needs. Never reset: otherwise anyone who could reset it could make every
    /// answer insecure.
    possible: AtomicBool,
    next_look: Mutex<NextLook>,
}

/// When the resolvers are checked.
#[derive(Clone, Copy)]
enum NextLook {
    /// Not checked yet; the first lookup checks, and all wait for it.
    AtOnce,
    /// In parallel to the first lookup after this time, if any.
    NotBefore(Instant),
}

/// The result of a check of the resolvers.
#[derive(Debug)]
enum Sight {
    Possible,
    /// An answer without a valid signature.
    Stripped(String),
    /// No answer, so no result.
    Silent(String),
}

impl Validator {
    pub(super) fn new(
        servers: Servers,
        mut options: DnsRequestOptions,
        anchors: Arc<TrustAnchors>,
    ) -> Self {
        options.edns_set_dnssec_ok = true;
        let servers = CheckingDisabled(servers);
        let validating =
            DnssecDnsHandle::with_trust_anchor(servers, anchors).validation_cache_size(MAX_PROOFS);
        Self {
            servers: OwnDenials(validating),
            options,
            possible: AtomicBool::new(false),
            next_look: Mutex::new(NextLook::AtOnce),
        }
    }

    /// Queries records. Each of them is secure or insecure; bogus and indeterminate ones are an error.
    pub(super) async fn lookup(&self, name: Name, kind: RecordType) -> Result<Found, NetError> {
        let found = lookup(&self.servers, name, kind, self.options).await?;
        if found.is_validated(&[Proof::Secure, Proof::Insecure]) {
            Ok(found)
        } else {
            Err(NetError::Dns(DnsError::DnssecBogus))
        }
    }

    /// Whether the resolvers return what validation needs.
    pub(super) async fn is_possible(self: &Arc<Self>) -> bool {
        if self.possible.load(Ordering::Acquire) {
            return true;
        }
        let mut next = self.next_look.lock().await;
        match *next {
            NextLook::AtOnce => {
                *next = self.look(true).await;
            }
            NextLook::NotBefore(at) if at <= Instant::now() => {
                *next = NextLook::NotBefore(clock::after(Instant::now(), REPROBE_INTERVAL));
                let beside = Arc::clone(self);
                tokio::spawn(async move {
                    let next = beside.look(false).await;
                    *beside.next_look.lock().await = next;
                });
            }
            NextLook::NotBefore(_) => {}
        }
        self.possible.load(Ordering::Acquire)
    }

    /// Logs the result once, and again only when it has changed.
    async fn look(&self, first: bool) -> NextLook {
        let pause = match self.sight().await {
            Sight::Possible => {
                self.possible.store(true, Ordering::Release);
                tracing::info!("DNSSEC: the resolver returns signatures, so answers are validated");
                REPROBE_INTERVAL
            }
            Sight::Stripped(detail) => {
                if first {
                    tracing::info!(
                        "DNSSEC: the resolver does not return signed keys of the root ({detail}), so answers are not validated and DANE is off. To enable both, set `resolvers` to a resolver that returns signatures"
                    );
                }
                REPROBE_INTERVAL
            }
            Sight::Silent(detail) => {
                if first {
                    tracing::info!(
                        "DNSSEC: the resolver did not answer ({detail}), so answers are not validated until it does"
                    );
                }
                FAILED_PROBE_INTERVAL
            }
        };
        NextLook::NotBefore(clock::after(Instant::now(), pause))
    }

    /// The keys of the root, signed by a trust anchor, cannot be obtained from a resolver that drops DNSSEC, and cannot
    /// be forged.
    async fn sight(&self) -> Sight {
        let keys = self.lookup(Name::root(), RecordType::DNSKEY);
        match timeout(ROOT_KEYS_TIMEOUT, keys).await {
            Err(_) => Sight::Silent(format!("within {} s", ROOT_KEYS_TIMEOUT.as_secs())),
            Ok(Ok(keys)) if is_secure(&keys) => Sight::Possible,
            Ok(Ok(_)) => Sight::Stripped("they are not signed by a trust anchor".to_owned()),
            Ok(Err(
                error @ (NetError::Timeout
                | NetError::Io(_)
                | NetError::NoConnections
                | NetError::Busy),
            )) => Sight::Silent(error.to_string()),
            Ok(Err(error)) => Sight::Stripped(error.to_string()),
        }
    }
}

/// A chain of signatures from a trust anchor covers the records, and there are some.
pub(super) fn is_secure(found: &Found) -> bool {
    !found.records.is_empty() && found.is_validated(&[Proof::Secure])
}

#[cfg(test)]
mod tests;
