//! The largest federation: 32 domains and 256 peers, of which nothing works.

use std::time::Instant;

use crds::XmppFederationStatus;
use crds::word::Word;
use s2s_proto::reason::Step as PeerStep;

use super::*;
use crate::evidence::dns::DnsEvidence;
use crate::reconcile::status::MAX_STATUS_BYTES;

#[test]
fn the_status_of_the_largest_federation_stays_small() {
    let label = "a-name-as-long-as-names-of-organisations-are";
    let name = |kind: &str, number: usize| format!("{label}.{kind}{number}.example.com");
    let mut spec = smallest();
    let domains: Vec<Value> = (0..32).map(|n| json!({"name": name("domain", n)})).collect();
    let peers: Vec<Value> = (0..256).map(|n| json!({"domain": name("peer", n)})).collect();
    spec["domains"] = domains.into();
    spec["peers"] = peers.into();
    let federation = validated(&spec);
    let mut seen = evidence(&federation);
    // No record exists, and every peer refuses.
    let looked_for = seen.dns.looked_for.clone();
    seen.dns = DnsEvidence { host: reported([].into()), looked_for, ..seen.dns };
    for (_, found) in &mut seen.dns.services {
        *found = reported([].into());
    }
    let Report::Seen(engine) = &mut seen.engines[0].report else { panic!("no report") };
    for peer in &mut Arc::make_mut(engine).peers {
        let stream = peer.outbound.as_mut().unwrap();
        stream.connected = false;
        stream.step = PeerStep::Authentication;
        stream.reason = Word::CertificateUntrusted;
        stream.message = "the certificate of the server is not trusted. ".repeat(20);
    }
    let begun = Instant::now();
    let view = View { federation: &federation, seen: &seen };
    let judged = status::judged(&XmppFederationStatus::default(), view, &Failing::new()).status;
    let size = serde_json::to_vec(&judged).unwrap().len();
    println!("{size} bytes, judged in {:?}", begun.elapsed());
    assert!(size <= MAX_STATUS_BYTES, "{size} bytes");
    assert_eq!(judged.domains.len(), 32);
    assert_eq!(judged.peers.len(), 256);
    let again = status::judged(&judged, view, &Failing::new()).status;
    assert_eq!(again, judged, "the same evidence changes nothing");
}
