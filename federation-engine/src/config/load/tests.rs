use super::*;
use crate::Domain;
use crate::config::Attachment;

/// File, and how its error begins.
const TABLE: &[(&str, &str)] = &[
    // Syntax and types.
    ("", ":1:1: unexpected end of input"),
    (
        "domains: [{name: a.example}]\nhots: x.example\n",
        ":2:1: hots: unknown field `hots`, expected one of",
    ),
    (
        "domains:\n  - name: a.example\n    bakend: im\n",
        ":3:5: domains[0].bakend: unknown field `bakend`",
    ),
    (
        "domains: [{name: a.example}]\npeers:\n  - domain: b.example\n    tls:\n      mod: Required\n",
        ":5:7: peers[0].tls.mod: there is no such field",
    ),
    (
        "domains: [{name: a.example}]\npeerDefaults: {profil: Strict}\n",
        ":2:16: peerDefaults.profil: there is no such field",
    ),
    (
        "domains: [{name: a.example}]\nlimits: {stanzaByte: 20000}\n",
        ":2:10: limits.stanzaByte: there is no such field",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: b.example, profile: Loose}]\n",
        ":2:38: peers[0].profile: unknown variant `Loose`, expected one of Standards, Strict",
    ),
    ("domains: [{name: 192.0.2.1}]\n", ":1:18: domains[0].name: \"192.0.2.1\": an IP address"),
    (
        "domains: [{name: a.example}]\nlisten: {s2s: 5269}\n",
        ":2:15: listen.s2s: invalid socket address syntax",
    ),
    (
        "domains: [{name: a.example}]\nsplitHorizon: {address: x, port: 5269}\n",
        ":2:25: splitHorizon.address: invalid IP address syntax",
    ),
    (
        "domains: [{name: a.example}]\nresolvers: ['198.18.0.53']\n",
        ":2:13: resolvers[0]: invalid socket address syntax",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: b.example, route: {targets: [b.example]}}]\n",
        ":2:47: peers[0].route.targets[0]: \"b.example\": A route target needs a port",
    ),
    (
        "domains: [{name: a.example}]\ndnssec: {mode: Always}\n",
        ":2:16: dnssec.mode: unknown variant `Always`, expected one of Auto, Off",
    ),
    (
        "domains: [{name: a.example}]\ndnssec: {trustAnchor: root.key}\n",
        ":2:10: dnssec.trustAnchor: unknown field `trustAnchor`",
    ),
    (
        "domains: [{name: a.example}]\ndnssec: {trustAnchors: ''}\n",
        ":2:10: dnssec.trustAnchors: a file name is required",
    ),
    ("domains: [{name: a.example}]\nhost: [", ":2:"),
    ("domains: [{name: a.example}]\ndomains: []\n", ":2:1: duplicate mapping key: domains"),
    (
        "domains:\n  - name: a.example\n    contact: {abuse: [abuse@a.example]}\n",
        ":3:23: domains[0].contact.abuse[0]: \"abuse@a.example\": A contact address must be a URI without spaces",
    ),
    (
        "domains: [{name: a.example, contact: {abus: []}}]\n",
        ":1:39: domains[0].contact.abus: there is no such field",
    ),
    // Consistency.
    (
        "domains:\n  - name: a.example\n    contact:\n      admin: ['xmpp:1', 'xmpp:2', 'xmpp:3', 'xmpp:4', 'xmpp:5']\n",
        ":4:7: domains[0].contact.admin: at most 4 entries are allowed",
    ),
    ("domains: []\n", ":1:1: domains: at least one entry is required"),
    (
        "domains:\n  - name: a.example\n  - name: A.Example.\n",
        ":3:5: domains[1].name: the domain a.example is listed twice",
    ),
    (
        "domains: [{name: a.example, backend: mi}]\nbackends: [{name: im, server: {host: im.svc}}]\n",
        ":1:29: domains[0].backend: no backend is named \"mi\"; `backends` has im",
    ),
    (
        "domains: [{name: a.example}]\nbackends: [{name: im}]\n",
        ":2:12: backends[0]: a backend must have exactly one of",
    ),
    (
        "domains: [{name: a.example}]\nbackends: [{name: Im, server: {host: x}}]\n",
        ":2:13: backends[0].name: a backend name must have",
    ),
    (
        "domains: [{name: a.example}]\nbackends:\n  - {name: im, server: {host: x}}\n  - {name: im, server: {host: y}}\n",
        ":4:6: backends[1].name: the backend name \"im\" is used twice",
    ),
    (
        "domains: [{name: a.example}]\nbackends: [{name: im, server: {host: 'x:5269'}}]\n",
        ":2:32: backends[0].server.host: \"x:5269\" is neither",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: a.example}]\n",
        ":2:10: peers[0].domain: a.example is one of `domains`",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: '*.b.example'}, {domain: '*.B.example'}]\n",
        ":2:35: peers[1].domain: the peer *.b.example is listed twice",
    ),
    (
        "domains: [{name: a.example}]\npeers:\n  - domain: b.example\n    profile: LegacyDialback\n    authentication: {dialback: Disabled}\n",
        ":3:5: peers[0]: Without TLS, only dialback can authenticate the peer",
    ),
    (
        "domains: [{name: a.example}]\npeerDefaults: {tls: {verification: Required, mode: Optional}}\n",
        ":2:1: peerDefaults: A certificate can only be required",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: b.example, tls: {pins: [sha256/AAAA]}}]\n",
        ":2:42: peers[0].tls.pins[0]: \"sha256/AAAA\": a pin must be",
    ),
    (
        "domains: [{name: a.example}]\nlimits: {stanzaBytes: 9999}\n",
        ":2:10: limits.stanzaBytes: 9999 is outside the range from 10000 to 16777216",
    ),
    (
        "domains: [{name: a.example}]\ntimeouts: {connectSeconds: 0}\n",
        ":2:12: timeouts.connectSeconds: 0 is outside",
    ),
    (
        "domains: [{name: a.example}]\npeers: [{domain: b.example, limits: {streams: 0}}]\n",
        ":2:38: peers[0].limits.streams: 0 is outside the range from 1 to 1000",
    ),
    (
        "domains: [{name: a.example}]\nlisten:\n  s2s: '[::]:5269'\n  admin: 127.0.0.1:5269\n",
        ":4:3: listen.admin: `listen.s2s` already uses 127.0.0.1:5269",
    ),
    (
        "domains: [{name: a.example}]\nresolvers: ['198.18.0.53:0']\n",
        ":2:13: resolvers[0]: 198.18.0.53:0 cannot be a resolver",
    ),
    (
        "domains: [{name: a.example}]\nlisten:\n  proxyProtocol: {trustedSources: [192.0.2.0/24, '::/0']}\n",
        ":3:50: listen.proxyProtocol.trustedSources[1]: with this network, every server could claim any address",
    ),
    (
        "domains: [{name: a.example}]\nlisten: {proxyProtocol: {trustedSource: []}}\n",
        ":2:26: listen.proxyProtocol.trustedSource: unknown field `trustedSource`, expected one of trustedSources",
    ),
    (
        "domains: [{name: a.example}]\nsplitHorizon: {address: '::', port: 5269}\n",
        ":2:16: splitHorizon.address: a backend cannot connect to ::",
    ),
    (
        "domains: [{name: xfed-probe.im.example}]\nhost: im.example\n",
        ":1:12: domains[0].name: xfed-probe.im.example is the engine's own",
    ),
    (
        "domains: [{name: a.example}]\nsplitHorizon:\n  address: 198.18.0.1\n  port: 53\n  clients: [10.0.0.1]\n",
        ":5:",
    ),
    (
        "domains: [{name: a.example}]\ndialback: {secretFile: ''}\n",
        ":2:12: dialback.secretFile: a file name is required",
    ),
];

/// Every error is one line that a person can act on: place, field, what is wrong.
#[test]
fn an_error_names_line_column_and_field() {
    for (text, expected) in TABLE {
        let error = parse_text(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}\n  got      {error}\n  expected {expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn the_smallest_file_has_every_default() {
    let config = parse_text("domains: [{name: Example.COM}]\n").unwrap();
    assert_eq!(config.host.as_str(), "xmpp.example.com");
    assert_eq!(config.probe_domain.as_str(), "xfed-probe.xmpp.example.com");
    let local = config.local(&Domain::parse("example.com").unwrap()).unwrap();
    assert_eq!(local.backend, None);
    assert!(config.trust.system_roots);
    assert_eq!(config.limits.stanza_bytes, 524_288);
    assert_eq!(config.peers.defaults().stanza_bytes, 524_288);
    assert_eq!(config.listen, crds::engine_file::FileListen::default());
}

#[test]
fn the_first_backend_serves_domains_that_name_none() {
    let config = parse_text(
        "domains: [{name: b.example}, {name: a.example, backend: bot}]
backends:
  - {name: im, server: {host: 198.18.0.9}}
  - {name: bot, component: {secretFile: /run/secret}}
listen: {component: '127.0.0.1:5347'}
",
    )
    .unwrap();
    assert_eq!(
        config.local_names().map(Domain::as_str).collect::<Vec<_>>(),
        ["a.example", "b.example"]
    );
    let backend =
        |name: &str| config.local(&Domain::parse(name).unwrap()).unwrap().backend.clone().unwrap();
    assert_eq!(backend("a.example").name, "bot");
    let Attachment::Server { target, .. } = &backend("b.example").attachment else {
        panic!("im is a server")
    };
    assert_eq!(target.to_string(), "198.18.0.9:5269");
    assert_eq!(config.not_in_effect(), [] as [&str; 0]);
    assert!(config.local(&Domain::parse("c.example").unwrap()).is_none());
}

#[test]
fn xep0157_contact_addresses_behind_a_backend_are_said_to_have_no_effect() {
    let domains = "domains: [{name: a.example, contact: {abuse: ['mailto:abuse@a.example']}}]\n";
    let alone = parse_text(domains).unwrap();
    let local = alone.local(&Domain::parse("a.example").unwrap()).unwrap();
    assert_eq!(local.contact.abuse.first().unwrap().as_str(), "mailto:abuse@a.example");
    assert_eq!(alone.not_in_effect(), [] as [&str; 0]);
    let text = format!("{domains}backends: [{{name: im, server: {{host: im.svc}}}}]\n");
    let reported = parse_text(&text).unwrap();
    assert_eq!(
        reported.not_in_effect(),
        [
            "domains[a.example].contact: its backend answers service discovery; set the contact addresses there"
        ]
    );
}

#[test]
fn accepted_fields_that_have_no_effect_yet_are_named() {
    let config = parse_text(
        "domains: [{name: a.example}]
backends:
  - {name: im, server: {host: im.svc, authentication: PlainDialback}}
  - {name: bot, component: {secretFile: /run/secret}}
peerDefaults: {probe: {to: echo@b.example}}
peers:
  - {domain: c.example, probe: {mode: Auto}}
  - {domain: d.example, probe: {to: echo@d.example}}
",
    )
    .unwrap();
    let probe = "no effect, because the address belongs to one peer; set peers[].probe.to";
    assert_eq!(
        config.not_in_effect(),
        [
            format!("peerDefaults.probe.to: {probe}"),
            "backends[1].component: no component can connect; set listen.component".to_owned(),
        ]
    );
}

/// The operator writes the file with the types that the engine reads.
#[test]
fn what_is_written_of_a_file_reads_back_equal() {
    for text in [
        "domains: [{name: a.example}]",
        include_str!("../../../tests/data/engine.yaml"),
        include_str!("../../../tests/data/presets.yaml"),
    ] {
        let file = deserialize(text).unwrap();
        let written = serde_saphyr::to_string(&file).unwrap();
        assert_eq!(deserialize(&written).unwrap(), file, "{written}");
        let hash = parse_text(&written).unwrap().hash;
        assert_eq!(Config { hash, ..parse_text(text).unwrap() }, parse_text(&written).unwrap());
    }
}

#[test]
fn dns_clients_are_this_machine_and_the_backends_addresses_unless_they_are_named() {
    let clients = |more: &str, listen: &str| {
        let text = format!(
            "domains: [{{name: a.example}}]
backends: [{{name: im, server: {{host: 198.18.0.10}}}}, {{name: other, server: {{host: im.svc}}}}]
listen: {{dns: '{listen}'}}
splitHorizon: {{address: 198.18.0.1, port: 15269{more}}}
"
        );
        let split = parse_text(&text).unwrap().split_horizon.unwrap();
        split.clients.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let own = ["127.0.0.0/8", "198.18.0.1/32", "198.18.0.10/32", "::1/128"];
    assert_eq!(clients("", "[::]:53"), own);
    assert_eq!(clients(", clients: []", "198.18.0.1:53"), own);
    assert!(clients("", "198.18.0.2:53").contains(&"198.18.0.2/32".to_owned()));
    let named = clients(", clients: [10.0.0.0/8, 'fd00::/8']", "[::]:53");
    assert_eq!(named, ["10.0.0.0/8", "fd00::/8"], "and nobody else");
}

#[test]
fn every_sample_of_the_documentation_style_is_understood() {
    let config = parse_text(include_str!("../../../tests/data/engine.yaml")).unwrap();
    assert_eq!(config.listen.dns.unwrap().port(), 5353);
    assert_eq!(config.split_horizon.as_ref().unwrap().port.get(), 5269);
    assert_eq!(config.peers.entries().len(), 3);
    assert_eq!(config.hash.len(), 64);
    // Each file that the text names is among those to watch.
    let text = include_str!("../../../tests/data/engine.yaml");
    let named: std::collections::BTreeSet<_> = text
        .split([' ', '[', ']', '{', '}', '\n'])
        .filter(|word| word.starts_with("/etc/"))
        .map(std::path::Path::new)
        .collect();
    assert_eq!(config.files().collect::<std::collections::BTreeSet<_>>(), named);
    assert_eq!(named.len(), 14);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("engine.yaml");
    let error = load(&file).unwrap_err();
    assert!(matches!(*error.kind, ConfigErrorKind::Unreadable(_)));
    assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");

    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(matches!(*load(&file).unwrap_err().kind, ConfigErrorKind::NotText));
    std::fs::write(&file, vec![b' '; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
    assert!(matches!(*load(&file).unwrap_err().kind, ConfigErrorKind::FileTooLarge { .. }));
    std::fs::write(&file, "domains: [{name: a.example}]\nx: 1").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("engine.yaml:2:1: x: unknown field"));
}

#[test]
fn an_alias_bomb_is_refused_before_it_unfolds() {
    let mut text = String::from("a: &a0 [x]\n");
    for level in 1..32 {
        use std::fmt::Write;
        let previous = level - 1;
        writeln!(text, "a{level}: &a{level} [*a{previous},*a{previous},*a{previous}]").unwrap();
    }
    assert!(parse_text(&text).is_err());
    assert_eq!(locate(&text, "a31"), None);
}
