//! Asks partners whether they host a local domain themselves (`claimCheck`). A hosting provider with a customer of that
//! name delivers everything for the domain inside, and rejects our streams. Each question is a stream without `from`, so
//! nothing is claimed and nothing is changed; a control question names a domain that nobody hosts.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::Failure;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use self::decide::{Answer, Answers, decide};
use crate::Domain;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::evidence::{ClaimEvidence, ClaimOutcome};
use crate::probe::Question;
use crate::session::target;

pub(crate) mod decide;

/// Interval of the questions while a partner does not claim the domain. It is somebody else's server.
const UNCLAIMED_INTERVAL: Duration = Duration::from_mins(5);
/// Interval while a partner claims it, or its answers prove nothing, or its streams fail.
const CLAIMED_INTERVAL: Duration = Duration::from_secs(20);
/// For one question, with connection and TLS.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Asks one partner about all local domains, until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, partner: Domain) {
    let revision = engine.in_force.revision();
    let mut revisions = engine.in_force.revisions();
    while engine.in_force.revision() == revision {
        let mut all_good = true;
        let locals: Vec<Domain> = engine.snapshot().config.local_names().cloned().collect();
        for local in locals {
            let (outcome, detail) = ask_about(&engine, &partner, &local).await;
            tracing::debug!(%partner, %local, ?outcome, "claim check: {detail}");
            all_good &=
                outcome == ClaimOutcome::NotClaimed && !is_failing(&engine, &partner, &local);
            engine.recorder.journal.claim(ClaimEvidence {
                partner: partner.clone(),
                local,
                outcome,
                detail,
                at: Timestamp::now(),
            });
        }
        let pause = if all_good { UNCLAIMED_INTERVAL } else { CLAIMED_INTERVAL };
        tokio::select! {
            () = sleep(pause.mul_f64(rand::random_range(0.8..1.2))) => {}
            _ = revisions.changed() => {}
            () = engine.life.draining.cancelled() => return,
        }
    }
}

/// Our own streams to the partner fail: a claim may be the cause.
fn is_failing(engine: &Engine, partner: &Domain, local: &Domain) -> bool {
    let pair = s2s_proto::pair::Pair { from: local.clone(), to: partner.clone() };
    engine.relay.table.link(&pair, Leg::Outer).last_failure().is_some()
}

async fn ask_about(engine: &Engine, partner: &Domain, local: &Domain) -> (ClaimOutcome, String) {
    // A random name below a domain that never exists (RFC 2606), so that no cache and no customer answers for it.
    let control = format!("{:016x}.xfed-control.invalid", rand::random::<u64>());
    let Ok(control) = Domain::parse(&control) else {
        return (ClaimOutcome::Inconclusive, String::new());
    };
    let greeted = |answer: &Answer| matches!(answer, Answer::Greeted { .. });
    let of_control = answer(engine, partner, &control, false).await;
    let of_local = answer(engine, partner, local, false).await;
    let keys = if greeted(&of_control) && greeted(&of_local) {
        let of_control = answer(engine, partner, &control, true).await;
        Some((of_control, answer(engine, partner, local, true).await))
    } else {
        None
    };
    decide(local, &Answers { control: of_control, local: of_local, keys })
}

/// One question on a connection of its own. `by_key`: whether the partner is authoritative for the domain, by a dialback
/// key that nobody issued (XEP-0220 §2.2.2).
async fn answer(engine: &Engine, partner: &Domain, about: &Domain, by_key: bool) -> Answer {
    let asked = async {
        let (tcp, start) = connect(engine, partner).await?;
        let question = Question { partner, about, start };
        if by_key {
            let host = engine.snapshot().config.host.clone();
            Ok(question.by_key(tcp, &host).await?.into())
        } else {
            question.by_stream(tcp).await.map(|from| Answer::Greeted { from })
        }
    };
    match timeout(QUESTION_TIMEOUT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => failure.into(),
        Err(_) => Answer::Failed("the question was not answered in time".to_owned()),
    }
}

async fn connect(engine: &Engine, partner: &Domain) -> Result<(TcpStream, TlsStart), Failure> {
    let mut targets = target::find(&engine.network, Leg::Outer, partner).await?;
    let (tcp, reached) = targets.connect(&engine.network).await?;
    let start = if reached.direct_tls { TlsStart::Direct } else { TlsStart::StartTls };
    Ok((tcp, start))
}
