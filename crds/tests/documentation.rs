//! The pages that describe the resource say what its types say.

use crds::condition::ConditionType;
use crds::federation::XmppFederation;
use crds::peer::Profile;
use crds::reason::{
    AcceptedReason, AddressAssignedReason, BackendReadyReason, CertificateReadyReason,
    DomainUncontestedReason, EngineReadyReason, HostResolvesReason, InboundReachableReason,
    PausedReason, PeersReachableReason, Reason, ReconcilingReason, ResolvedRefsReason,
    SRVResolvesReason, StalledReason, StreamVerifiedReason, TLSVerifiedReason,
};
use crds::word::Word;
use crds::xmpp::StreamCondition;

const README: &str = include_str!("../../README.md");
const STATUS: &str = include_str!("../../docs/status.md");
const NAT: &str = include_str!("../../docs/nat.md");
const PROXY: &str = include_str!("../../docs/proxy.md");
const CERTIFICATES: &str = include_str!("../../docs/certificates.md");
const PLATFORMS: &str = include_str!("../../docs/platforms.md");
const ENGINE: &str = include_str!("../../docs/engine.md");
const REASONS: &str = include_str!("../../docs/reasons.md");
const PARTNERS: &str = include_str!("../../docs/partners/README.md");

/// Text of a page from a heading to the next one of the same or a higher level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let begin = page.find(&format!("\n{heading}\n"));
    assert!(begin.is_some(), "no heading {heading:?}");
    let rest = begin.and_then(|at| page.get(at + 1 + heading.len()..)).unwrap_or_default();
    let level = heading.chars().take_while(|c| *c == '#').count();
    let end =
        (1..=level).filter_map(|hashes| rest.find(&format!("\n{} ", "#".repeat(hashes)))).min();
    end.and_then(|end| rest.get(..end)).unwrap_or(rest)
}

fn documented<R: Reason + 'static>(all: &[R]) {
    let text = if ConditionType::LADDER.contains(&R::TYPE) {
        section(STATUS, &format!("## {}", R::TYPE))
    } else {
        section(STATUS, "## Only while true")
    };
    for reason in all {
        let word = format!("`{}`", reason.as_str());
        let row = text.lines().find(|line| line.starts_with('|') && line.contains(&word));
        assert!(row.is_some(), "docs/status.md, {}: no row has {word}", R::TYPE);
    }
}

#[test]
fn the_status_page_has_every_reason_in_the_section_of_its_condition() {
    documented(AcceptedReason::ALL);
    documented(ResolvedRefsReason::ALL);
    documented(CertificateReadyReason::ALL);
    documented(EngineReadyReason::ALL);
    documented(BackendReadyReason::ALL);
    documented(AddressAssignedReason::ALL);
    documented(HostResolvesReason::ALL);
    documented(SRVResolvesReason::ALL);
    documented(InboundReachableReason::ALL);
    documented(TLSVerifiedReason::ALL);
    documented(StreamVerifiedReason::ALL);
    documented(DomainUncontestedReason::ALL);
    documented(PeersReachableReason::ALL);
    documented(ReconcilingReason::ALL);
    documented(StalledReason::ALL);
    documented(PausedReason::ALL);
}

/// What stands in backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What stands in backticks in the first column of the tables of a text whose column has that heading.
fn first_column<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let cell = line.strip_prefix('|').and_then(|line| line.split('|').next()).map(str::trim);
        match cell {
            Some(cell) if inside => found.extend(quoted(cell)),
            cell => inside = cell == Some(heading),
        }
        inside &= cell.is_some();
    }
    found
}

#[test]
fn the_reasons_page_has_every_reason_of_the_engine_and_no_other() {
    let mut rows: Vec<Word> = first_column(REASONS, "reason").into_iter().map(Word::from).collect();
    rows.sort_unstable();
    rows.dedup();
    let mut words = Word::ALL.to_vec();
    words.sort_unstable();
    assert_eq!(rows, words);
}

#[test]
fn every_condition_of_the_reasons_page_is_one_of_rfc_6120() {
    let table = section(REASONS, "## Stream errors that the engine sends");
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let condition = quoted(row).nth(1).unwrap();
        assert_ne!(StreamCondition::from(condition).known(), None, "{row}");
    }
}

#[test]
fn the_pages_that_explain_some_reasons_of_the_engine_name_no_unknown_one() {
    let tables = [
        first_column(section(PARTNERS, "## How to read the reasons"), "reason"),
        first_column(
            section(STATUS, "## PeersReachable").split("| reason | status |").next().unwrap(),
            "reason",
        ),
    ];
    for words in tables {
        assert!(!words.is_empty());
        for word in words {
            let known = match word.strip_suffix("...") {
                Some(prefix) => Word::ALL.iter().any(|known| known.as_str().starts_with(prefix)),
                None => Word::from(word).known().is_some(),
            };
            assert!(known, "{word}");
        }
    }
}

#[test]
fn the_readme_lists_the_ladder_in_its_order() {
    let rows: Vec<_> = section(README, "## Read the status")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let ladder: Vec<_> = ConditionType::LADDER
        .into_iter()
        .chain([ConditionType::Ready])
        .map(ConditionType::as_str)
        .collect();
    assert_eq!(rows, ladder);
}

#[test]
fn the_smallest_object_of_the_readme_is_valid() {
    let text = section(README, "## The smallest object");
    let yaml = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let federation: XmppFederation = serde_saphyr::from_str(yaml).unwrap();
    let name = federation.metadata.name.unwrap();
    assert_eq!(crds::validate::validate(&name, &federation.spec), []);
    assert_eq!(federation.spec.not_in_effect(), [] as [&str; 0]);
}

#[test]
fn the_manifests_of_the_page_on_nat_are_valid_and_in_effect() {
    let manifests: Vec<&str> =
        NAT.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(manifests.len(), 4);
    for yaml in manifests {
        let federation: XmppFederation = serde_saphyr::from_str(yaml).unwrap();
        let name = federation.metadata.name.unwrap();
        assert_eq!(crds::validate::validate(&name, &federation.spec), [], "{yaml}");
        assert_eq!(federation.spec.not_in_effect(), [] as [&str; 0], "{yaml}");
        assert!(!federation.spec.service.public_addresses.is_empty(), "{yaml}");
    }
}

#[test]
fn the_manifests_of_the_page_on_proxies_are_valid_and_in_effect() {
    let manifests: Vec<&str> =
        PROXY.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(manifests.len(), 2);
    for yaml in manifests {
        let federation: XmppFederation = serde_saphyr::from_str(yaml).unwrap();
        let name = federation.metadata.name.unwrap();
        assert_eq!(crds::validate::validate(&name, &federation.spec), [], "{yaml}");
        assert_eq!(federation.spec.not_in_effect(), [] as [&str; 0], "{yaml}");
        assert!(!federation.spec.service.proxy_protocol.trusted_sources.is_empty(), "{yaml}");
    }
}

#[test]
fn the_federation_on_the_certificates_page_is_valid_and_in_effect() {
    let yaml = CERTIFICATES.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let federation: XmppFederation = serde_saphyr::from_str(yaml.unwrap()).unwrap();
    assert_eq!(crds::validate::validate("example", &federation.spec), []);
    assert_eq!(federation.spec.not_in_effect(), [] as [&str; 0]);
    for reason in
        ["CertManagerNotInstalled", "Issuing", "IssuanceFailed", "PreviousCertificateServed"]
    {
        assert!(CERTIFICATES.contains(&format!("| `{reason}` |")), "{reason}");
    }
}

#[test]
fn the_manifests_of_the_page_on_platforms_are_valid_and_in_effect() {
    let manifests =
        PLATFORMS.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let ours = manifests.filter(|yaml| yaml.contains("kind: XmppFederation"));
    for yaml in ours {
        let federation: XmppFederation = serde_saphyr::from_str(yaml).unwrap();
        let name = federation.metadata.name.unwrap();
        assert_eq!(crds::validate::validate(&name, &federation.spec), [], "{yaml}");
        assert_eq!(federation.spec.not_in_effect(), [] as [&str; 0], "{yaml}");
    }
    assert!(PLATFORMS.contains(crds::ALLOW_SERVICE_REPLACEMENT));
}

#[test]
fn the_engine_page_has_the_table_of_presets() {
    let rows: Vec<Vec<&str>> = section(ENGINE, "## Peers")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Profile::ALL.len());
    for (profile, row) in Profile::ALL.into_iter().zip(rows) {
        let name = serde_json::to_value(profile).unwrap();
        let preset = profile.preset();
        assert!(row[1].starts_with(&format!("`{}`", name.as_str().unwrap())), "{row:?}");
        assert_eq!(row[2], format!("{:?}", preset.tls), "{row:?}");
        assert_eq!(row[3], format!("{:?}", preset.verification), "{row:?}");
        assert_eq!(row[4], if preset.external { "in, out" } else { "off" }, "{row:?}");
        assert_eq!(row[5], format!("{:?}", preset.dialback), "{row:?}");
    }
}
