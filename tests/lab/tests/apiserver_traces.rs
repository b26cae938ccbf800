//! A real OpenTelemetry Collector receives the traces of both programs: of the operator on a real API server, and of the engine
//! between scripted servers. The spans have the attributes that docs/monitoring.md names. Loopback only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::fs;

use harness::loopback::{CLOSED, LOCAL, ORDINARY, PEER, World};
use harness::program::engine;
use lab::collector::{Collector, Span};
use lab::installed::{Release, create_example, install};
use lab::paths::Paths;
use serde_json::json;

/// Where the spans and their attributes are documented.
const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring.md");

/// The attributes that the page documents for a span.
fn documented(span: &str) -> Vec<String> {
    let page = fs::read_to_string(MONITORING).unwrap();
    let row = page.lines().find(|line| line.starts_with(&format!("| `{span}` |")));
    let row = row.unwrap_or_else(|| panic!("no row of {span} in docs/monitoring.md"));
    let attributes = row.rsplit('|').nth(1).unwrap();
    attributes.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn children<'a>(spans: &'a [Span], parent: &'a Span) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(|span| span.parent == parent.id)
}

/// The spans below a span.
fn below<'a>(spans: &'a [Span], parent: &'a Span) -> Vec<&'a Span> {
    let mut found: Vec<&Span> = children(spans, parent).collect();
    let mut next = 0;
    while let Some(&span) = found.get(next) {
        found.extend(children(spans, span));
        next += 1;
    }
    found
}

/// Each attribute that the page documents for this span is there, but for those of a failure.
fn has_what_is_documented(span: &Span) {
    let failure = ["reason"];
    for attribute in documented(&span.name) {
        if span.status == 2 || !failure.contains(&attribute.as_str()) {
            assert!(
                !span.attribute(&attribute).is_empty(),
                "{} lacks {attribute}: {span:?}",
                span.name
            );
        }
    }
}

#[test]
fn the_spans_of_a_pass_reach_a_real_collector() {
    let server = install(&[]).unwrap();
    let mut collector = Collector::start(&Paths::from_env().unwrap(), server.dir()).unwrap();
    let value = format!("traces.collector={}", collector.endpoint);
    let values = [value.as_str()];
    let release = Release::usual(&values);
    release.install(&server).unwrap();
    create_example(&server, "im", "example.com").unwrap();
    let _operator = release.start(&server).unwrap();
    // A pass that reached its end, and sent a request for a child.
    let is_request = |span: &Span| !span.attribute("http.method").is_empty();
    let applied = |spans: &[Span], pass: &Span| {
        let mut all = children(spans, pass).filter(|span| span.name == "apply");
        all.find(|apply| children(spans, apply).any(is_request)).cloned()
    };
    let pass = |spans: &[Span]| {
        let mut passes = spans.iter().filter(|span| span.name == "pass");
        let ended = |pass: &&Span| below(spans, pass).iter().any(|span| span.name == "status");
        passes.find(|pass| ended(pass) && applied(spans, pass).is_some()).cloned()
    };
    let spans = collector.until("a whole pass", |spans| pass(spans).is_some()).unwrap();
    let pass = pass(&spans).unwrap();
    assert_eq!(pass.attribute("federation"), "im/example");
    assert_eq!(pass.resource("service.name"), "xmpp-federation-operator");
    assert_eq!(pass.resource("service.version"), env!("CARGO_PKG_VERSION"));
    has_what_is_documented(&pass);
    let below = below(&spans, &pass);
    for name in ["plan", "apply", "judge", "status"] {
        assert!(below.iter().any(|span| span.name == name), "{name} is missing: {below:#?}");
    }
    has_what_is_documented(&applied(&spans, &pass).unwrap());
}

#[test]
fn the_spans_of_an_outbound_stream_reach_a_real_collector() {
    let directory = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(&Paths::from_env().unwrap(), directory.path()).unwrap();
    let traces = json!({"traces": {"collector": collector.endpoint}});
    let world = World::start_with(engine(), ORDINARY, |_, config| config["observability"] = traces)
        .unwrap();
    for domain in [PEER, CLOSED] {
        let mut stream = world.stream_from_backend(domain).unwrap();
        let stanza = format!(
            "<message from='juliet@{LOCAL}/b' to='tybalt@{domain}' id='1' type='chat'><body>?</body></message>"
        );
        stream.send(stanza).unwrap();
    }
    let set_up = |spans: &[Span], peer: &str| {
        let mut all = spans.iter().filter(|span| span.name == "outbound stream");
        all.find(|span| span.attribute("peer") == peer).cloned()
    };
    let spans = collector
        .until("the set-up of two streams", |spans| {
            [PEER, CLOSED].iter().all(|peer| set_up(spans, peer).is_some())
        })
        .unwrap();

    let opened = set_up(&spans, PEER).unwrap();
    assert_eq!(opened.resource("service.name"), "federation-engine");
    assert_eq!((opened.attribute("reason"), opened.status), ("", 0));
    assert!(opened.attribute("pair").contains(LOCAL), "{opened:?}");
    has_what_is_documented(&opened);
    let steps = below(&spans, &opened);
    for name in ["lookup", "connect", "negotiate", "tls"] {
        assert!(steps.iter().any(|span| span.name == name), "{name} is missing: {steps:#?}");
    }
    has_what_is_documented(steps.iter().find(|span| span.name == "negotiate").unwrap());

    let failed = set_up(&spans, CLOSED).unwrap();
    assert_eq!((failed.attribute("reason"), failed.status), ("ConnectRefused", 2));
    has_what_is_documented(&failed);
    assert!(below(&spans, &failed).iter().all(|span| span.name != "negotiate"));
}
