//! The engine's resolver against a signed zone on loopback.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use federation_engine::Domain;
use federation_engine::dns::anchors::Anchors;
use federation_engine::dns::resolve::Resolver;
use futures::StreamExt;
use hickory_proto::rr::RecordType;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::signer::{Flaw, Signer};
use s2s_proto::certificate::dane::{Associations, Delegation};
use s2s_proto::plan::{Answer, Target};
use s2s_proto::reason::{DnsReason, Records};

/// Reason why there is no answer to compare.
type Failure = Box<dyn Error>;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const SRV: &str = "_xmpp-server";
const DIGEST: (u8, u8, u8, [u8; 32]) = (3, 1, 1, [7; 32]);

/// A name server and a resolver that validates with its key.
struct Signed {
    resolver: Resolver,
    _server: Nameserver,
}

fn anchors(directory: &Path, signer: &Signer) -> Result<Anchors, Failure> {
    let file = directory.join("root.key");
    std::fs::write(&file, signer.anchor())?;
    Ok(Anchors::load(&file)?)
}

fn serve(zone: Zone, signer: Signer) -> Result<Signed, Failure> {
    let anchors = anchors(tempfile::tempdir()?.path(), &signer)?;
    let server = Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone.signed(signer))?;
    let resolver = Resolver::validating(&[server.address()], anchors)?;
    Ok(Signed { resolver, _server: server })
}

/// `partner.example` at `im.partner.example`, which has a TLSA record.
fn zone() -> Result<Zone, Failure> {
    partner(Zone::default(), "partner.example")
}

fn partner(zone: Zone, domain: &str) -> Result<Zone, Failure> {
    let host = format!("im.{domain}");
    let (usage, selector, matching, data) = DIGEST;
    let tlsa = (usage, selector, matching, data.to_vec());
    Ok(zone
        .server(SRV, domain, &host, 5269)?
        .address(&host, ADDRESS)?
        .certificate(&host, 5269, tlsa)?)
}

impl Signed {
    async fn targets(&self, domain: &str) -> Result<Result<Vec<Target>, DnsReason>, Failure> {
        Ok(self.resolver.targets(&Domain::parse(domain)?, true, false).await)
    }

    async fn target(&self, domain: &str) -> Result<Target, Failure> {
        let targets = self.targets(domain).await??;
        Ok(targets.into_iter().next().ok_or("no target")?)
    }

    /// The validated delegation to the first server of a domain.
    async fn server(&self, domain: &str) -> Result<Result<Option<Delegation>, DnsReason>, Failure> {
        let target = self.target(domain).await?;
        let delegation = self.resolver.delegation(&target).await;
        Ok(delegation.map(|found| found.map(|found| (*found).clone())))
    }
}

fn bogus<T>(name: &str, records: Records) -> Result<T, DnsReason> {
    Err(DnsReason::Bogus { name: name.to_owned(), records })
}

/// The DNS answer about a host's addresses: of both families, the answer that is not `Absent`.
async fn addresses(resolver: &Resolver, host: &str) -> Answer<IpAddr> {
    let answers: Vec<_> = resolver.addresses(host.into()).collect().await;
    answers.into_iter().find(|answer| *answer != Answer::Absent).unwrap_or(Answer::Absent)
}

#[tokio::test]
async fn rfc7673_3_secure_records_lead_to_tlsa_records() -> Result<(), Failure> {
    let signed = serve(zone()?, Signer::new()?)?;
    assert!(signed.target("partner.example").await?.validated_for.is_some());
    let server = signed.server("partner.example").await??.ok_or("nothing is validated")?;
    assert_eq!(server.domain, Domain::parse("partner.example")?);
    assert_eq!(server.owner, "_5269._tcp.im.partner.example");
    assert_eq!(server.host, Some(Domain::parse("im.partner.example")?));
    assert!(matches!(server.associations, Associations::Usable(list) if list.len() == 1));
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_1_without_srv_records_dane_does_not_apply() -> Result<(), Failure> {
    let zone = Zone::default().address("alone.example", ADDRESS)?.certificate(
        "alone.example",
        5269,
        (3, 1, 1, vec![7; 32]),
    )?;
    let signed = serve(zone, Signer::new()?)?;
    assert_eq!(signed.target("alone.example").await?.to_string(), "alone.example:5269");
    assert_eq!(signed.server("alone.example").await?, Ok(None));
    Ok(())
}

#[tokio::test]
async fn rfc4035_5_2_what_is_below_an_unsigned_delegation_is_insecure_and_used()
-> Result<(), Failure> {
    let zone = partner(zone()?, "plain.example")?.unsigned("plain.example")?;
    let signed = serve(zone, Signer::new()?)?;
    assert!(signed.target("plain.example").await?.validated_for.is_none());
    assert_eq!(signed.server("plain.example").await?, Ok(None));
    let host = "im.plain.example";
    assert_eq!(addresses(&signed.resolver, host).await, Answer::Records(vec![ADDRESS.into()]));
    // Absence in this zone counts as well: the domain itself is the fallback.
    assert_eq!(
        signed.target("absent.plain.example").await?.to_string(),
        "absent.plain.example:5269"
    );
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_2_a_server_without_a_secure_address_is_not_asked_for_tlsa_records()
-> Result<(), Failure> {
    let zone = Zone::default()
        .server(SRV, "partner.example", "im.plain.example", 5269)?
        .address("im.plain.example", ADDRESS)?
        .certificate("im.plain.example", 5269, (3, 1, 1, vec![7; 32]))?
        .unsigned("plain.example")?;
    let signed = serve(zone, Signer::new()?)?;
    let server = signed.server("partner.example").await??.ok_or("nothing is validated")?;
    assert_eq!(server.associations, Associations::None);
    assert_eq!(server.host, Some(Domain::parse("im.plain.example")?), "RFC 7673 §4.1");
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_4_secure_absence_is_no_tlsa_record() -> Result<(), Failure> {
    let zone = Zone::default()
        .server(SRV, "partner.example", "im.partner.example", 5269)?
        .address("im.partner.example", ADDRESS)?;
    let signed = serve(zone, Signer::new()?)?;
    let server = signed.server("partner.example").await??.ok_or("nothing is validated")?;
    assert_eq!(server.associations, Associations::None);
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_1_bogus_srv_records_end_the_look_up() -> Result<(), Failure> {
    for flaw in [Flaw::Forged, Flaw::Expired, Flaw::Missing, Flaw::Denied] {
        let owner = "_xmpp-server._tcp.partner.example";
        let zone = zone()?.unsigned("plain.example")?.flawed(owner, RecordType::SRV, flaw)?;
        let signed = serve(zone, Signer::new()?)?;
        let targets = signed.targets("partner.example").await?;
        assert_eq!(targets, bogus("partner.example", Records::Service), "{flaw:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_2_bogus_addresses_are_never_connected_to() -> Result<(), Failure> {
    for flaw in [Flaw::Forged, Flaw::Expired, Flaw::Missing] {
        let host = "im.partner.example";
        let signed = serve(zone()?.flawed(host, RecordType::A, flaw)?, Signer::new()?)?;
        let server = signed.server("partner.example").await?;
        assert_eq!(server, bogus(host, Records::Address), "{flaw:?}");
        let found = addresses(&signed.resolver, host).await;
        assert_eq!(found, Answer::Bogus, "{flaw:?}");
        // A route from the configuration is resolved without validation. Its result never counts as validated.
        let unvalidated = signed.resolver.unvalidated();
        let found = addresses(&unvalidated, host).await;
        assert_eq!(found, Answer::Records(vec![ADDRESS.into()]), "{flaw:?}");
        let again = signed.server("partner.example").await?;
        assert_eq!(again, bogus(host, Records::Address), "{flaw:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rfc7673_3_4_bogus_tlsa_records_are_neither_used_nor_taken_for_absent()
-> Result<(), Failure> {
    for flaw in [Flaw::Forged, Flaw::Expired, Flaw::Missing, Flaw::Denied] {
        let owner = "_5269._tcp.im.partner.example";
        let zone = zone()?.unsigned("plain.example")?.flawed(owner, RecordType::TLSA, flaw)?;
        let signed = serve(zone, Signer::new()?)?;
        let server = signed.server("partner.example").await?;
        assert_eq!(server, bogus(owner, Records::Certificate), "{flaw:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_resolver_that_strips_dnssec_is_used_as_if_there_were_none() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let anchors = anchors(directory.path(), &Signer::new()?)?;
    let server = Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone()?)?;
    let resolver = Resolver::validating(&[server.address()], anchors)?;
    let stripped = Signed { resolver, _server: server };
    assert!(stripped.target("partner.example").await?.validated_for.is_none());
    assert_eq!(stripped.server("partner.example").await?, Ok(None));
    Ok(())
}

/// Number of the last of the [`many`] domains. With a pause after each one, the lookups take at least a minute.
const LAST: usize = 3_000;

/// Many domains, so that no query is answered from a cache.
fn many() -> Result<Zone, Failure> {
    (0..=LAST).try_fold(Zone::default(), |zone, n| {
        Ok(zone.server(SRV, &format!("d{n}.example"), "im.example", 5269)?)
    })
}

#[tokio::test]
async fn a_resolver_that_strips_dnssec_is_looked_at_again_after_a_while_and_never_taken_back()
-> Result<(), Failure> {
    let key = Arc::new(Signer::new()?);
    let directory = tempfile::tempdir()?;
    let anchors = anchors(directory.path(), &key)?;
    let zone = many()?.signed(Arc::clone(&key));
    let server = Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone)?;
    let resolver = Resolver::validating(&[server.address()], anchors)?;
    let signed = Signed { resolver, _server: server };

    key.sleep(true);
    assert!(signed.target("d0.example").await?.validated_for.is_none());
    key.sleep(false);
    assert!(
        signed.target("d1.example").await?.validated_for.is_none(),
        "no look with every look-up"
    );

    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(10)).await;
    tokio::time::resume();
    let mut secure = Vec::new();
    for n in 2..LAST {
        secure.push(signed.target(&format!("d{n}.example")).await?.validated_for.is_some());
        if secure.last() == Some(&true) {
            break;
        }
        // The second check runs in parallel with these lookups.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(secure.first(), Some(&false), "nobody waits for the second look");
    assert_eq!(secure.last(), Some(&true));

    key.sleep(true);
    let last = format!("d{LAST}.example");
    let stripped = signed.targets(&last).await?;
    assert_eq!(stripped, bogus(&last, Records::Service), "never back to unvalidated");
    Ok(())
}

#[tokio::test]
async fn a_root_that_another_key_signs_proves_nothing() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let anchors = anchors(directory.path(), &Signer::new()?)?;
    let server =
        Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone()?.signed(Signer::new()?))?;
    let resolver = Resolver::validating(&[server.address()], anchors)?;
    let signed = Signed { resolver, _server: server };
    assert!(signed.target("partner.example").await?.validated_for.is_none());
    Ok(())
}

#[tokio::test]
async fn switched_off_nothing_is_validated() -> Result<(), Failure> {
    let zone = zone()?.flawed("im.partner.example", RecordType::A, Flaw::Forged)?;
    let server = Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone.signed(Signer::new()?))?;
    let servers: [SocketAddr; 1] = [server.address()];
    let signed = Signed { resolver: Resolver::new(&servers)?, _server: server };
    assert_eq!(signed.server("partner.example").await?, Ok(None));
    let host = "im.partner.example";
    assert_eq!(addresses(&signed.resolver, host).await, Answer::Records(vec![ADDRESS.into()]));
    Ok(())
}
