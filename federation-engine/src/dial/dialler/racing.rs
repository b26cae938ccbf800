//! The race over scripted DNS and a scripted network with paused time, driven by the dialler.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crds::target::RouteTarget;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream};
use s2s_proto::plan::{self, TlsStart};
use s2s_proto::race::MAX_ATTEMPTS;
use s2s_proto::reason::Failure;
use tokio::time::sleep;

use super::*;
use crate::dial::tcp::Connect;

/// What happens after so many milliseconds.
#[derive(Clone, Debug)]
enum Fate {
    Connects(u64),
    Refuses(u64),
    NoRoute,
    Silent,
}

use Fate::{Connects, NoRoute, Refuses, Silent};

/// The answer about one family, and after how many milliseconds it comes.
type Family = (u64, Answer<IpAddr>);

fn found(after: u64, addresses: &[&str]) -> Family {
    (after, Answer::Records(addresses.iter().map(|address| address.parse().unwrap()).collect()))
}

fn absent(after: u64) -> Family {
    (after, Answer::Absent)
}

fn failed(after: u64) -> Family {
    (after, Answer::Failed("SERVFAIL".to_owned()))
}

#[derive(Default)]
struct World {
    hosts: HashMap<&'static str, [Family; 2]>,
    fates: HashMap<IpAddr, Fate>,
    start: Option<tokio::time::Instant>,
    /// The queries and connection attempts, and when they happened.
    log: Mutex<Vec<(String, u128)>>,
}

impl World {
    fn note(&self, what: String) {
        let at = self.start.unwrap().elapsed().as_millis();
        self.log.lock().unwrap().push((what, at));
    }
}

impl Addresses for World {
    fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
        self.note(name.to_string());
        let families = self.hosts[&*name].clone();
        families
            .into_iter()
            .map(|(after, answer)| sleep(Duration::from_millis(after)).map(move |()| answer))
            .collect::<FuturesUnordered<_>>()
    }
}

impl Connect for World {
    type Stream = IpAddr;

    async fn connect(&self, address: SocketAddr) -> Result<IpAddr, ConnectReason> {
        self.note(address.ip().to_string());
        let (after, result) = match self.fates[&address.ip()] {
            Connects(after) => (after, Ok(address.ip())),
            Refuses(after) => (after, Err(ConnectReason::Refused)),
            NoRoute => (0, Err(ConnectReason::NoRoute)),
            Silent => return std::future::pending().await,
        };
        sleep(Duration::from_millis(after)).await;
        result
    }
}

/// SRV targets with their priorities.
fn targets(hosts: &[(&'static str, u16)]) -> Vec<Target> {
    let target = |(host, priority): &(&'static str, u16)| Target {
        host: Host::Name((*host).into()),
        port: plan::DEFAULT_PORT,
        start: TlsStart::StartTls,
        priority: *priority,
        weight: 0,
        origin: Origin::Srv,
        validated_for: None,
    };
    hosts.iter().map(target).collect()
}

struct Run {
    world: World,
    dialler: Dialler,
}

type Hosts<'a> = &'a [(&'static str, u16, Family, Family)];

fn run(hosts: Hosts<'_>, fates: &[(&str, Fate)]) -> Run {
    let list: Vec<_> = hosts.iter().map(|(host, priority, ..)| (*host, *priority)).collect();
    Run {
        world: World {
            hosts: hosts.iter().cloned().map(|(host, _, v6, v4)| (host, [v6, v4])).collect(),
            fates: fates.iter().map(|(ip, fate)| (ip.parse().unwrap(), fate.clone())).collect(),
            start: Some(tokio::time::Instant::now()),
            log: Mutex::default(),
        },
        dialler: Dialler::new("partner.example".to_owned(), targets(&list)),
    }
}

impl Run {
    /// The address that won and when it did.
    async fn connect(&mut self) -> Result<(String, u128), Failure> {
        let (world, timeout) = (&self.world, Duration::from_secs(10));
        let Connection { stream, address, .. } =
            self.dialler.connect(world, world, &Guard::default(), timeout).await?;
        assert_eq!(stream, address.ip());
        Ok((stream.to_string(), world.start.unwrap().elapsed().as_millis()))
    }

    fn log(&self) -> Vec<(String, u128)> {
        std::mem::take(&mut *self.world.log.lock().unwrap())
    }

    /// Compares a run with the expected one.
    async fn expect(mut self, winner: (&str, u128), log: &[(&str, u128)]) {
        let won = self.connect().await.unwrap();
        assert_eq!((&*won.0, won.1), winner);
        let seen = self.log();
        let seen: Vec<_> = seen.iter().map(|(what, at)| (&**what, *at)).collect();
        assert_eq!(seen, log);
    }
}

#[tokio::test(start_paused = true)]
async fn rfc8305_3_an_ipv6_address_is_dialled_before_the_answer_about_ipv4() {
    run(
        &[("a", 0, found(20, &["2a00::1"]), found(5000, &["1.1.1.1"]))],
        &[("2a00::1", Connects(100)), ("1.1.1.1", Connects(1))],
    )
    .expect(("2a00::1", 120), &[("a", 0), ("2a00::1", 20)])
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc8305_3_an_ipv4_address_waits_a_moment_for_the_answer_about_ipv6() {
    run(
        &[("a", 0, found(50, &["2a00::1"]), found(20, &["1.1.1.1"]))],
        &[("2a00::1", Connects(100)), ("1.1.1.1", Connects(1))],
    )
    .expect(("2a00::1", 150), &[("a", 0), ("2a00::1", 50)])
    .await;
    // Whether there are any is known: nothing to wait for.
    for none in [absent(10), absent(40), failed(40)] {
        let start = u128::from(none.0.max(20));
        run(&[("a", 0, none, found(20, &["1.1.1.1"]))], &[("1.1.1.1", Connects(1))])
            .expect(("1.1.1.1", start + 1), &[("a", 0), ("1.1.1.1", start)])
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn rfc8305_3_a_late_ipv6_answer_joins_the_race() {
    run(
        &[("a", 0, found(100, &["2a00::1"]), found(20, &["1.1.1.1", "1.1.1.2"]))],
        &[("1.1.1.1", Silent), ("1.1.1.2", Silent), ("2a00::1", Connects(10))],
    )
    .expect(("2a00::1", 330), &[("a", 0), ("1.1.1.1", 70), ("2a00::1", 320)])
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc8305_4_families_alternate_and_attempts_are_250_ms_apart() {
    let fates = ["2a00::1", "2a00::2", "2a00::3", "1.1.1.1"].map(|address| (address, Silent));
    run(
        &[(
            "a",
            0,
            found(0, &["2a00::1", "2a00::2", "2a00::3"]),
            found(0, &["1.1.1.1", "1.1.1.2"]),
        )],
        &[&fates[..], &[("1.1.1.2", Connects(30))]].concat(),
    )
    .expect(
        ("1.1.1.2", 780),
        &[("a", 0), ("2a00::1", 0), ("1.1.1.1", 250), ("2a00::2", 500), ("1.1.1.2", 750)],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc8305_5_a_host_without_a_route_for_a_family_goes_on_at_once() {
    let addresses = (found(0, &["2a00::1", "2a00::2"]), found(30, &["1.1.1.1"]));
    let fates = |v6: &Fate, v4: &Fate| {
        [("2a00::1", v6.clone()), ("2a00::2", v6.clone()), ("1.1.1.1", v4.clone())]
    };
    // The answer about IPv4 is awaited when IPv6 has failed, and no other target is queried meanwhile.
    run(
        &[("a", 0, addresses.0.clone(), addresses.1.clone()), ("b", 0, absent(0), absent(0))],
        &fates(&NoRoute, &Connects(40)),
    )
    .expect(("1.1.1.1", 70), &[("a", 0), ("2a00::1", 0), ("2a00::2", 0), ("1.1.1.1", 30)])
    .await;
    run(&[("a", 0, addresses.0, addresses.1)], &fates(&Connects(40), &NoRoute))
        .expect(("2a00::1", 40), &[("a", 0), ("2a00::1", 0)])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_fast_first_address_is_never_rivalled() {
    run(
        &[("a", 0, absent(0), found(0, &["1.1.1.1", "1.1.1.2"])), ("b", 0, absent(0), absent(0))],
        &[("1.1.1.1", Connects(240))],
    )
    .expect(("1.1.1.1", 240), &[("a", 0), ("1.1.1.1", 0)])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_address_lets_the_next_one_start_at_once() {
    run(
        &[("a", 0, absent(0), found(0, &["1.1.1.1"])), ("b", 7, absent(5), found(5, &["1.1.1.2"]))],
        &[("1.1.1.1", Refuses(10)), ("1.1.1.2", Connects(10))],
    )
    .expect(("1.1.1.2", 25), &[("a", 0), ("1.1.1.1", 0), ("b", 10), ("1.1.1.2", 15)])
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc2782_targets_of_one_priority_are_raced() {
    run(
        &[
            ("a", 5, absent(0), found(0, &["1.1.1.1"])),
            ("b", 5, absent(0), found(20, &["1.1.1.2"])),
        ],
        &[("1.1.1.1", Silent), ("1.1.1.2", Connects(10))],
    )
    .expect(("1.1.1.2", 280), &[("a", 0), ("1.1.1.1", 0), ("b", 250), ("1.1.1.2", 270)])
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc2782_a_worse_priority_waits_for_one_that_answers_within_two_seconds() {
    let hosts: Hosts<'_> =
        &[("a", 5, absent(0), found(0, &["1.1.1.1"])), ("b", 6, absent(0), found(0, &["1.1.1.2"]))];
    // The first SYN was lost.
    run(hosts, &[("1.1.1.1", Connects(1100)), ("1.1.1.2", Connects(1))])
        .expect(("1.1.1.1", 1100), &[("a", 0), ("1.1.1.1", 0), ("b", 250)])
        .await;
    run(hosts, &[("1.1.1.1", Silent), ("1.1.1.2", Connects(10))])
        .expect(("1.1.1.2", 2010), &[("a", 0), ("1.1.1.1", 0), ("b", 250), ("1.1.1.2", 2000)])
        .await;
    // It still wins if it answers while the backup does not.
    run(hosts, &[("1.1.1.1", Connects(2500)), ("1.1.1.2", Silent)])
        .expect(("1.1.1.1", 2500), &[("a", 0), ("1.1.1.1", 0), ("b", 250), ("1.1.1.2", 2000)])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_dns_hangs_does_not_stop_the_next_one() {
    for (priority, start) in [(5, 260), (6, 2000)] {
        run(
            &[
                ("a", 5, found(7000, &["2a00::1"]), failed(8000)),
                ("b", priority, absent(0), found(10, &["1.1.1.2"])),
            ],
            &[("1.1.1.2", Connects(10))],
        )
        .expect(("1.1.1.2", start + 10), &[("a", 0), ("b", 250), ("1.1.1.2", start)])
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_failures_are_listed_in_the_order_of_the_attempts_and_time_is_bounded() {
    let mut run = run(
        &[
            ("a", 0, failed(0), found(0, &["1.1.1.1", "10.0.0.1"])),
            ("gone", 1, absent(0), absent(0)),
            ("b", 2, found(0, &["2a00::1"]), found(0, &["1.1.1.1", "1.1.1.2"])),
        ],
        &[("1.1.1.1", Silent), ("2a00::1", Refuses(5)), ("1.1.1.2", Silent)],
    );
    let failure = run.connect().await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "10.0.0.1:5269: 10.0.0.1 is a private address, and `egress.allowNetworks` does not list it; \
         1.1.1.1:5269: connection timed out; [2a00::1]:5269: connection refused; \
         1.1.1.2:5269: connection timed out"
    );
    assert_eq!(run.world.start.unwrap().elapsed().as_millis(), 12_005);
    assert!(run.dialler.is_exhausted());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_over_all_targets_and_connections() {
    let list: Vec<String> = (1..=10).map(|n| format!("1.1.1.{n}")).collect();
    let more: Vec<String> = (1..=10).map(|n| format!("1.1.2.{n}")).collect();
    let all: Vec<&str> = list.iter().chain(&more).map(String::as_str).collect();
    let hosts: Hosts<'_> =
        &[("a", 0, absent(0), found(0, &all[..10])), ("b", 0, absent(0), found(0, &all[10..]))];
    let refused: Vec<_> = all.iter().map(|address| (*address, Refuses(1))).collect();
    let mut refused = run(hosts, &refused);
    let failure = refused.connect().await.unwrap_err();
    assert!(matches!(failure, Failure::Connect(attempts) if attempts.len() == MAX_ATTEMPTS));

    let useless: Vec<_> = all.iter().map(|address| (*address, Connects(1))).collect();
    let mut useless = run(hosts, &useless);
    let mut connections = 0;
    while !useless.dialler.is_exhausted() {
        useless.connect().await.unwrap();
        connections += 1;
    }
    assert_eq!(connections, MAX_ATTEMPTS);
    let dialled = useless.log().iter().filter(|(what, _)| what.starts_with('1')).count();
    assert_eq!(dialled, MAX_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn after_a_useless_connection_everything_that_was_not_tried_is() {
    let mut run = run(
        &[
            ("a", 0, found(320, &["2a00::1"]), found(0, &["1.1.1.1", "1.1.1.2"])),
            ("b", 1, absent(0), found(0, &["1.1.1.3"])),
        ],
        &[
            ("1.1.1.1", Connects(260)),
            ("1.1.1.2", Connects(0)),
            ("2a00::1", Connects(0)),
            ("1.1.1.3", Refuses(0)),
        ],
    );
    // 1.1.1.1 was slower than 1.1.1.2, which then is useless; 2a00::1 could not become known in time.
    assert_eq!(run.connect().await.unwrap().0, "1.1.1.2");
    assert!(!run.dialler.is_exhausted());
    assert_eq!(run.connect().await.unwrap().0, "1.1.1.1");
    assert_eq!(run.connect().await.unwrap().0, "2a00::1");
    assert!(!run.dialler.is_exhausted());
    assert_eq!(run.connect().await.unwrap_err().word().as_str(), "ConnectRefused");
    assert!(run.dialler.is_exhausted());
}

#[tokio::test(start_paused = true)]
async fn the_order_of_a_route_is_a_persons_word() {
    let route = ["1.1.1.1:5269", "1.1.1.2:5269"];
    let route = route.map(|text| Target::from(&text.parse::<RouteTarget>().unwrap()));
    let mut run = run(&[], &[("1.1.1.1", Silent), ("1.1.1.2", Connects(0))]);
    run.dialler = Dialler::new("partner.example".to_owned(), route.to_vec());
    assert_eq!(run.connect().await, Ok(("1.1.1.2".to_owned(), 2000)));
}

#[tokio::test(start_paused = true)]
async fn without_targets_there_is_nothing_to_wait_for() {
    assert_eq!(run(&[], &[]).connect().await.unwrap_err().word().as_str(), "DomainNotFound");
}
