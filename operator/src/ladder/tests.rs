//! The ladder as a table: evidence in, verdicts out, at one fixed moment.

mod accepted;
mod address;
mod backend;
mod certificate;
mod claimed;
mod delegation;
mod dns;
mod engine;
mod gates;
mod inbound;
mod issuance;
mod links;
mod peer_states;
mod peer_streams;
mod tls;

use std::sync::Arc;

use crds::condition::{ConditionStatus, ConditionType};
use crds::domain::Domain;
use crds::reason::ResolvedRefsReason;
use crds::word::Word;
use federation_engine::observe::evidence::{
    BackendAnswer, BackendContact, BackendOutcome, BackendRoundTrip, ContactKind, EngineEvidence,
    InboundKind, InboundObservation, InboundRefusal, LoadError, MemoryShortage, PeerStream,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::build::Address;
use crate::evidence::certificate::{CertificateSeen, Purpose, Readable};
use crate::evidence::cluster::{EnginePod, ServiceEvents};
use crate::evidence::engine::Report;
use crate::evidence::networks::Gap;
use crate::evidence::probe::{ProbeEvidence, ProbeOutcome};
use crate::evidence::references::ReferenceError;
use crate::evidence::{Evidence, WantedConfig};
use crate::federation::serving::Source;
use crate::fixtures::{evidence, now, readable, refusal, reported, smallest, validated};
use crate::reconcile::problem::{Cause, Problem, Step};
use crate::reconcile::replacement::{Replacement, ReplacementState};

fn with_peer() -> Value {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    spec
}

/// The federation's verdicts.
fn verdicts(view: View<'_>) -> Vec<Verdict> {
    climb(view).into_iter().map(|judged| judged.verdict).collect()
}

/// The verdict about one rung after a change of the evidence in which everything works.
fn after(rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> Verdict {
    of(&with_peer(), rung, change)
}

fn of(spec: &Value, rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let federation = validated(spec);
    let mut seen = evidence(&federation);
    change(&mut seen);
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    verdicts.into_iter().find(|verdict| verdict.type_() == rung).unwrap()
}

fn reason(rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> String {
    after(rung, change).reason.to_string()
}

/// Changes what the only replica reports.
fn engine(seen: &mut Evidence, change: impl FnOnce(&mut EngineEvidence)) {
    let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
    change(Arc::make_mut(report));
}

#[test]
fn when_everything_works_every_rung_is_true_and_in_order() {
    let federation = validated(&with_peer());
    let seen = evidence(&federation);
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    let types: Vec<_> = verdicts.iter().map(Verdict::type_).collect();
    assert_eq!(types, ConditionType::LADDER);
    for verdict in &verdicts {
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    assert_eq!(ready::check(&verdicts, &ready::Gates::default()).reason.to_string(), "Federated");
}

#[test]
fn a_rung_waits_for_what_it_needs_and_never_shows_a_stale_true() {
    let verdict = after(ConditionType::HostResolves, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
    });
    assert_eq!(verdict.status(), ConditionStatus::Unknown);
    assert_eq!(verdict.reason.to_string(), "WaitingForAddressAssigned");
    let verdict = after(ConditionType::TLSVerified, |seen| {
        seen.cluster.workload.as_mut().unwrap().ready = 0;
        seen.cluster.pods.clear();
    });
    assert_eq!(verdict.reason.to_string(), "WaitingForEngineReady");
}

#[test]
fn a_rejected_federation_has_all_rungs_and_judges_none() {
    let accepted = Verdict::new(crds::reason::AcceptedReason::InvalidSpec, "no");
    let verdicts = rejected(accepted);
    assert_eq!(verdicts.len(), ConditionType::LADDER.len());
    assert!(verdicts.iter().skip(1).all(|v| v.reason.to_string() == "WaitingForAccepted"));
}

fn refused(kind: &str, cause: Cause) -> Problem {
    Problem {
        step: Step::Apply,
        kind: kind.into(),
        name: "example".into(),
        cause,
        message: "the server's own words".into(),
    }
}

/// The pods serve the certificate of an earlier Secret.
fn serve_old(seen: &mut Evidence) {
    let served = seen.references.served.as_mut().unwrap();
    served.source = Source::Secret("old".into());
    served.readable.facts.sha256 = "bb".into();
}

const SERVED: &str = "Engine pods keep serving the previous certificate from Secret old, which is valid until 2027-01-30T12:00:00Z.";

/// What is wrong with a certificate.
type Change = fn(&mut Readable);
