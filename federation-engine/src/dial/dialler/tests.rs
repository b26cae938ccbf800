use std::collections::HashMap;
use std::sync::Mutex;

use crds::target::RouteTarget;
use futures::stream;
use s2s_proto::plan::{Answers, SrvRecord, plan};
use s2s_proto::reason::Records;

use super::*;
use crate::Domain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Host names and their DNS answers.
struct Zone(HashMap<&'static str, Answer<IpAddr>>);

/// A host whose TLSA records are bogus.
const UNVALIDATED: &str = "unvalidated.example";

fn unvalidated() -> DnsReason {
    DnsReason::Bogus { name: UNVALIDATED.to_owned(), records: Records::Certificate }
}

impl Addresses for Zone {
    fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
        stream::iter([self.0.get(&*name).cloned().unwrap_or(Answer::Absent)])
    }

    async fn delegation(&self, target: &Target) -> Result<Option<Arc<Delegation>>, DnsReason> {
        if target.host == Host::Name(UNVALIDATED.into()) { Err(unvalidated()) } else { Ok(None) }
    }
}

fn zone(hosts: &[(&'static str, &[&str])]) -> Zone {
    let answer = |list: &[&str]| Answer::Records(list.iter().map(|a| a.parse().unwrap()).collect());
    Zone(hosts.iter().map(|(host, list)| (*host, answer(list))).collect())
}

/// Connects to the given addresses, refuses the others, and records all attempts.
#[derive(Default)]
struct Network {
    open: Vec<SocketAddr>,
    tried: Mutex<Vec<SocketAddr>>,
}

impl Connect for Network {
    type Stream = ();

    async fn connect(&self, address: SocketAddr) -> Result<(), ConnectReason> {
        self.tried.lock().unwrap().push(address);
        if self.open.contains(&address) { Ok(()) } else { Err(ConnectReason::Refused) }
    }
}

impl Network {
    fn open(addresses: &[&str]) -> Self {
        Self { open: addresses.iter().map(|a| a.parse().unwrap()).collect(), ..Self::default() }
    }

    fn tried(self) -> Vec<String> {
        self.tried.into_inner().unwrap().iter().map(ToString::to_string).collect()
    }
}

fn srv_targets(hosts: &[&str]) -> Vec<Target> {
    let records = hosts
        .iter()
        .zip(0..)
        .map(|(host, priority)| SrvRecord {
            priority,
            weight: 0,
            port: 5269,
            target: Some((*host).into()),
        })
        .collect();
    let answers = Answers { xmpp: Answer::Records(records).into(), xmpps: None, jabber: None };
    plan(&Domain::parse("partner.example").unwrap(), &answers, &mut |_| 0).unwrap()
}

fn fallback() -> Vec<Target> {
    let answers = Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: None };
    plan(&Domain::parse("partner.example").unwrap(), &answers, &mut |_| 0).unwrap()
}

async fn dialled(
    targets: &[Target],
    zone: &Zone,
    network: &Network,
    guard: &Guard,
) -> Result<String, Failure> {
    let mut dialler = Dialler::new("partner.example".to_owned(), targets.to_vec());
    let connection = dialler.connect(zone, network, guard, CONNECT_TIMEOUT).await?;
    assert_eq!(connection.target.port.get(), connection.address.port());
    Ok(format!("{} ({})", connection.address, connection.target.host))
}

#[tokio::test]
async fn targets_are_tried_in_order_until_one_connects() {
    let zone = zone(&[("a.example", &["1.1.1.1", "1.1.1.2"]), ("b.example", &["1.1.1.3"])]);
    let network = Network::open(&["1.1.1.3:5269"]);
    let targets = srv_targets(&["a.example", "gone.example", "b.example"]);
    let result = dialled(&targets, &zone, &network, &Guard::default()).await;
    assert_eq!(result, Ok("1.1.1.3:5269 (b.example)".to_owned()));
    assert_eq!(network.tried(), ["1.1.1.1:5269", "1.1.1.2:5269", "1.1.1.3:5269"]);
}

#[tokio::test]
async fn every_address_is_named_with_its_reason() {
    let zone =
        zone(&[("a.example", &["1.1.1.1", "10.0.0.1"]), ("b.example", &["1.1.1.1", "2a00::1"])]);
    let network = Network::default();
    let targets = srv_targets(&["a.example", "b.example"]);
    let failure = dialled(&targets, &zone, &network, &Guard::default()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "10.0.0.1:5269: 10.0.0.1 is a private address, and `egress.allowNetworks` does not list it; \
         1.1.1.1:5269: connection refused; [2a00::1]:5269: connection refused"
    );
    assert_eq!(network.tried(), ["1.1.1.1:5269", "[2a00::1]:5269"], "once each, never the guarded");
}

#[tokio::test]
async fn addresses_that_the_guard_refuses_are_never_dialled_unless_a_route_names_them() {
    let zone = zone(&[("partner.example", &["169.254.169.254", "127.0.0.1"])]);
    let network = Network::open(&["169.254.169.254:5269", "127.0.0.1:5269"]);
    let failure = dialled(&fallback(), &zone, &network, &Guard::default()).await.unwrap_err();
    assert_eq!(failure.word().as_str(), "AddressNotAllowed");
    let allowed = Guard { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], own: vec![] };
    let result = dialled(&fallback(), &zone, &network, &allowed).await;
    assert_eq!(result, Ok("127.0.0.1:5269 (partner.example)".to_owned()));
    let route = [Target::from(&"127.0.0.1:5269".parse::<RouteTarget>().unwrap())];
    let result = dialled(&route, &zone, &network, &Guard::default()).await;
    assert_eq!(result, Ok("127.0.0.1:5269 (127.0.0.1)".to_owned()));
    assert_eq!(network.tried(), ["127.0.0.1:5269", "127.0.0.1:5269"]);
}

#[tokio::test]
async fn what_dns_did_not_say_is_distinguished() {
    let network = Network::default();
    let guard = Guard::default();
    let nothing = zone(&[]);
    for (targets, expected) in
        [(srv_targets(&["a.example"]), "NoAddress"), (fallback(), "DomainNotFound")]
    {
        let failure = dialled(&targets, &nothing, &network, &guard).await.unwrap_err();
        assert_eq!(failure.word().as_str(), expected);
    }
    let broken = Zone(HashMap::from([("partner.example", Answer::Failed("SERVFAIL".to_owned()))]));
    let failure = dialled(&fallback(), &broken, &network, &guard).await.unwrap_err();
    assert_eq!(failure.word().as_str(), "ResolverUnavailable");
}

#[tokio::test]
async fn rfc7673_3_what_dnssec_refuses_is_not_connected_to_and_the_next_target_is() {
    let mut zone = zone(&[(UNVALIDATED, &["1.1.1.1"]), ("b.example", &["1.1.1.3"])]);
    zone.0.insert("bogus.example", Answer::Bogus);
    let network = Network::open(&["1.1.1.1:5269", "1.1.1.3:5269"]);
    let guard = Guard::default();
    let targets = srv_targets(&[UNVALIDATED, "bogus.example", "b.example"]);
    assert_eq!(
        dialled(&targets, &zone, &network, &guard).await,
        Ok("1.1.1.3:5269 (b.example)".to_owned())
    );
    let failure = dialled(&targets[..1], &zone, &network, &guard).await.unwrap_err();
    assert_eq!(failure, Failure::Dns(unvalidated()));
    let failure = dialled(&targets[1..2], &zone, &network, &guard).await.unwrap_err();
    assert_eq!((failure.word().as_str(), failure.passes()), ("DNSSECBogus", true));
    assert_eq!(failure.stanza_error().condition.as_str(), "remote-server-timeout");
    assert_eq!(network.tried(), ["1.1.1.3:5269"]);
}

#[tokio::test]
async fn records_of_a_stranger_cost_other_zones_a_few_questions_at_most() {
    #[derive(Default)]
    struct Counted(Mutex<Vec<String>>);
    impl Addresses for Counted {
        fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
            self.0.lock().unwrap().push(name.to_string());
            let failed = name.starts_with("broken");
            stream::iter([if failed { Answer::Failed("x".to_owned()) } else { Answer::Absent }])
        }
    }
    for prefix in ["gone", "broken"] {
        let names: Vec<_> = (0..32).map(|n| format!("{prefix}{n}.victim.example")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let resolver = Counted::default();
        let mut dialler = Dialler::new("partner.example".to_owned(), srv_targets(&names));
        let network = Network::default();
        let outcome =
            dialler.connect(&resolver, &network, &Guard::default(), CONNECT_TIMEOUT).await;
        assert!(matches!(outcome.map(|_| ()), Err(Failure::Dns(_))));
        assert_eq!(resolver.0.into_inner().unwrap(), names[..4]);
        assert!(dialler.is_exhausted());
    }
}

#[tokio::test]
async fn xep0368_3_an_attempt_is_an_address_and_a_way_to_start_tls() {
    let zone = zone(&[("a.example", &["1.1.1.1"])]);
    let network = Network::open(&["1.1.1.1:5269"]);
    let record =
        || SrvRecord { priority: 0, weight: 0, port: 5269, target: Some("a.example".into()) };
    let answers = Answers {
        xmpp: Answer::Records(vec![record(), record()]).into(),
        // Wrong: the port speaks STARTTLS.
        xmpps: Some(Answer::Records(vec![record()]).into()),
        jabber: None,
    };
    let targets = plan(&Domain::parse("partner.example").unwrap(), &answers, &mut |_| 0).unwrap();
    let mut dialler = Dialler::new("partner.example".to_owned(), targets.clone());
    let mut starts = Vec::new();
    while !dialler.is_exhausted() {
        let guard = Guard::default();
        match dialler.connect(&zone, &network, &guard, CONNECT_TIMEOUT).await {
            Ok(connection) => starts.push(connection.target.start),
            Err(_) => break,
        }
    }
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert_ne!(starts.first(), starts.last());
    // An address that refuses TCP is refused for both ways.
    let closed = Network::default();
    let failure = dialled(&targets, &zone, &closed, &Guard::default()).await.unwrap_err();
    assert_eq!(failure.to_string(), "1.1.1.1:5269: connection refused");
    assert_eq!(closed.tried(), ["1.1.1.1:5269"]);
}
