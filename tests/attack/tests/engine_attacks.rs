//! Bounded attacks on the real engine program. During each attack, the good peer is served, probes are answered, and
//! the engine stays within its memory. The tests print the figures and judge no time. Loopback only.

use attack::error::Result;
use attack::kind::Kind;
use attack::measure::{Extent, measure};
use attack::report::Figures;
use harness::program::engine;

/// 80 % of the limit of a pod, 512 MiB.
const MEMORY_KIB: u64 = 512 * 1024 / 10 * 8;

/// Runs an attack with this many connections against an engine. A failed round trip fails the test.
fn put(kind: Kind, connections: usize) -> Result<Figures> {
    let extent = Extent { round_trips: 50, connections: Some(connections), peer_first: false };
    let figures = measure(engine(), kind, extent)?;
    println!("{}\n{figures}", Figures::HEAD);
    assert_eq!(figures.round_trips, 50);
    assert!(figures.alive, "{figures}");
    assert!(figures.counts.opened > 0, "{figures}");
    assert!(figures.most_kib < MEMORY_KIB, "{figures}");
    Ok(figures)
}

macro_rules! attacks {
    ($($name:ident = $kind:ident, $connections:literal;)*) => {
        $(#[test] fn $name() { put(Kind::$kind, $connections).unwrap(); })*

        /// The attacks that the tests of this file run.
        const PUT: &[Kind] = &[$(Kind::$kind,)* Kind::LogFlood];
    };
}

attacks! {
    certificates_with_many_intermediates = CertificateChains, 2;
    stanzas_with_many_prefixed_attributes = PrefixedAttributes, 2;
    a_header_that_declares_a_long_namespace = LongNamespaces, 2;
    dialback_requests_that_need_lookups = DialbackLookups, 2;
    dialback_requests_whose_verification_hangs = DialbackHanging, 2;
    silent_connections = SilentConnections, 150;
    headers_that_never_end = SlowHeaders, 150;
    streams_that_never_authenticate = UnauthenticatedStreams, 120;
    many_streams_of_one_certificate = AuthenticatedStreams, 100;
    white_space_between_stanzas_for_a_slow_receiver = WhiteSpace, 2;
    silent_connections_to_the_admin_port = AdminPort, 150;
    many_names_of_one_wildcard_certificate = WildcardNames, 4;
    requests_without_end_of_a_backend = BackendFlood, 2;
    garbage_of_a_backend = BackendGarbage, 2;
}

#[test]
fn streams_that_are_refused_write_few_lines() {
    let figures = put(Kind::LogFlood, 2).unwrap();
    // A line has about 200 bytes. Omitted lines are counted.
    let bytes = u64::try_from(figures.log_bytes).unwrap();
    assert!(bytes < 50_000 + figures.counts.opened * 20, "{figures}");
}

#[test]
fn every_attack_has_a_test() {
    let missing: Vec<_> = Kind::ALL.into_iter().filter(|kind| !PUT.contains(kind)).collect();
    assert_eq!(missing, []);
}
