//! docs/messages.md has every text of the programs: reasons with example values, and the templates of conditions, errors
//! and log lines as they are in the source. A new or changed text fails here until the page has it: `make messages`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::{env, fs};

use crds::effective::effective;
use crds::peer::{PeerSettings, Profile};
use crds::xmpp::{SaslCondition, StanzaCondition, StreamCondition};
use s2s_proto::dialback::KeyInquiry;
use s2s_proto::direction::Direction;
use s2s_proto::reason::{
    AgainstExternal, CertificateReason, ConnectReason, DnsReason, Failure, NoDialback, NoExternal,
    NoMethod, Records, Refusal, SetBy,
};
use s2s_proto::stream::redirect::{NotFollowed, OtherHost, Redirect};

use super::{Literal, Part, literals, program, repository, scan, sources};

const PAGE: &str = "docs/messages.md";

const INTRODUCTION: &str = "\
<!-- Generated from the source by `make messages`. Do not edit. -->

# Messages

This page lists the texts of the engine and of the operator. Use it to find the part of the code
that a text comes from, and to read all texts side by side. `{...}` stands for a value.

- [docs/status.md](status.md) explains the reasons of conditions.
- [docs/partners/README.md](partners/README.md#how-to-read-the-reasons) explains the reasons that
  partners cause.
";

/// The sources, with the heading of each.
const ROOTS: [(&str, &str); 4] = [
    ("Operator", "operator/src"),
    ("Engine", "federation-engine/src"),
    ("Core of the engine", "federation-engine/proto/src"),
    ("Rules of the resource and of the engine's file", "crds/src"),
];

#[test]
fn the_page_of_messages_has_every_text_of_the_programs() {
    let (path, page) = (repository().join(PAGE), page());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<_> = page.lines().filter(|line| !found.lines().any(|l| l == *line)).collect();
    assert!(found == page, "{PAGE} differs from the source: run `make messages`. {missing:#?}");
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(
        "\n## Reasons of failures\n\nWith example values. Remote servers get the second text.\n",
    );
    page.push_str("\n| reason | text in log, evidence and status | text for remote servers |\n| --- | --- | --- |\n");
    for failure in failures() {
        let (word, reported) = (failure.word().to_string(), failure.remote_text());
        writeln!(page, "| `{word}` | {} | {} |", cell(&failure.to_string()), cell(reported))
            .unwrap();
    }
    page.push_str("\n## Reasons of refused stanzas\n\n| reason | text |\n| --- | --- |\n");
    for refusal in Refusal::ALL {
        let word = refusal.word().to_string();
        writeln!(page, "| `{word}` | {} |", cell(&refusal.to_string())).unwrap();
    }
    for (heading, root) in ROOTS {
        writeln!(page, "\n## {heading}").unwrap();
        let mut files = sources(&repository().join(root));
        files.sort();
        for (path, source) in files {
            let templates = templates(program(&source));
            if templates.is_empty() || path.ends_with("testing.rs") {
                continue;
            }
            let path = path.strip_prefix(repository()).unwrap().display().to_string();
            writeln!(page, "\n### {path}\n\n| use | text |\n| --- | --- |").unwrap();
            for (purpose, text) in templates {
                writeln!(page, "| {purpose} | {} |", cell(&text)).unwrap();
            }
        }
    }
    page
}

/// Text that does not end a cell or become markup.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

/// Lists the variants of an enum that the page must have, and names the variant of a value. A new variant does not compile
/// until it is here, and the test fails until [`failures`] has an example of it.
macro_rules! variants {
    ($all:ident, $name:ident, $type:ty: $($variant:literal $pattern:pat,)+) => {
        const $all: &[&str] = &[$($variant),+];

        fn $name(value: &$type) -> &'static str {
            match value {
                $($pattern => $variant,)+
            }
        }
    };
}

variants! { FAILURES, name, Failure:
    "BlockedByLocalPolicy" Failure::BlockedByLocalPolicy,
    "DomainNotFound" Failure::Dns(DnsReason::DomainNotFound { .. }),
    "NoAddress" Failure::Dns(DnsReason::NoAddress { .. }),
    "ServiceDisabled" Failure::Dns(DnsReason::ServiceDisabled { .. }),
    "ResolverUnavailable" Failure::Dns(DnsReason::ResolverUnavailable { .. }),
    "Bogus" Failure::Dns(DnsReason::Bogus { .. }),
    "Connect" Failure::Connect(_),
    "Guard" Failure::Guard(_),
    "StartTlsNotOffered" Failure::StartTlsNotOffered,
    "StartTlsRefused" Failure::StartTlsRefused,
    "Handshake" Failure::Handshake(_),
    "Missing" Failure::Certificate(CertificateReason::Missing),
    "SelfSigned" Failure::Certificate(CertificateReason::SelfSigned),
    "Untrusted" Failure::Certificate(CertificateReason::Untrusted { .. }),
    "NameMismatch" Failure::Certificate(CertificateReason::NameMismatch { .. }),
    "Expired" Failure::Certificate(CertificateReason::Expired { .. }),
    "NotYetValid" Failure::Certificate(CertificateReason::NotYetValid { .. }),
    "PinMismatch" Failure::Certificate(CertificateReason::PinMismatch),
    "DaneMismatch" Failure::Certificate(CertificateReason::DaneMismatch { .. }),
    "OtherBackend" Failure::Certificate(CertificateReason::OtherBackend { .. }),
    "Invalid" Failure::Certificate(CertificateReason::Invalid { .. }),
    "CertificateRequired" Failure::CertificateRequired(_),
    "StreamError" Failure::StreamError { .. },
    "RedirectTo" Failure::SeeOtherHost(Redirect::To(_)),
    "RedirectNotFollowed" Failure::SeeOtherHost(Redirect::NotFollowed { .. }),
    "NotXmpp" Failure::NotXmpp(_),
    "TlsDisabled" Failure::NoAuthenticationMethod(NoMethod::TlsDisabled),
    "SharedStream" Failure::NoAuthenticationMethod(NoMethod::SharedStream),
    "Neither" Failure::NoAuthenticationMethod(NoMethod::Neither(..)),
    "ExternalRejected" Failure::ExternalRejected { .. },
    "NotSeen" Failure::DialbackInvalid(KeyInquiry::NotSeen),
    "Confirmed" Failure::DialbackInvalid(KeyInquiry::Confirmed),
    "Denied" Failure::DialbackInvalid(KeyInquiry::Denied),
    "Refused" Failure::DialbackInvalid(KeyInquiry::Refused),
    "DialbackError" Failure::DialbackError { .. },
    "DialbackTimedOut" Failure::DialbackTimedOut,
    "NegotiationTimedOut" Failure::NegotiationTimedOut(_),
    "ConnectionLost" Failure::ConnectionLost(_),
    "NoBackend" Failure::NoBackend,
    "ComponentNotConnected" Failure::ComponentNotConnected,
    "ShuttingDown" Failure::ShuttingDown,
}

/// One example of each failure.
fn failures() -> Vec<Failure> {
    let name = || "partner.example".to_owned();
    let text = |text: &str| text.to_owned();
    let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let guarded = ConnectReason::AddressNotAllowed {
        address: address("10.0.0.1:5269").ip(),
        kind: "a private address",
    };
    let cisco =
        PeerSettings { profile: Some(Profile::CiscoExpressway), ..PeerSettings::<()>::default() };
    let by = SetBy::Peer(Profile::CiscoExpressway);
    let external = AgainstExternal::of(effective(&cisco, None).rules, by, Direction::Outbound);
    let all = vec![
        Failure::BlockedByLocalPolicy,
        DnsReason::DomainNotFound { name: name() }.into(),
        DnsReason::NoAddress { name: name() }.into(),
        DnsReason::ServiceDisabled { name: name() }.into(),
        DnsReason::ResolverUnavailable { name: name(), detail: text("Server Failure") }.into(),
        DnsReason::Bogus { name: name(), records: Records::Service }.into(),
        Failure::Connect(vec![
            (address("203.0.113.1:5269"), ConnectReason::Refused),
            (address("203.0.113.2:5269"), ConnectReason::TimedOut),
            (address("[2001:db8::1]:5269"), ConnectReason::NoRoute),
            (
                address("203.0.113.3:5269"),
                ConnectReason::Other { detail: text("Broken pipe (os error 32)") },
            ),
            (address("10.0.0.1:5269"), guarded.clone()),
        ]),
        Failure::Guard(guarded),
        Failure::StartTlsNotOffered,
        Failure::StartTlsRefused,
        Failure::Handshake(text("the peer closed the connection without a TLS alert")),
        CertificateReason::Missing.into(),
        CertificateReason::SelfSigned.into(),
        CertificateReason::Untrusted { issuer: text("CN=Private CA") }.into(),
        CertificateReason::NameMismatch { found: vec![text("other.example")] }.into(),
        CertificateReason::Expired { not_after: text("2026-06-01T00:00:00Z") }.into(),
        CertificateReason::NotYetValid { not_before: text("2027-06-01T00:00:00Z") }.into(),
        CertificateReason::PinMismatch.into(),
        CertificateReason::DaneMismatch { owner: text("_5269._tcp.xmpp.partner.example") }.into(),
        CertificateReason::OtherBackend { domain: "rooms.example".parse().unwrap() }.into(),
        CertificateReason::Invalid { detail: text("the chain is too long") }.into(),
        Failure::CertificateRequired(CertificateReason::SelfSigned),
        Failure::StreamError {
            condition: StreamCondition::HostUnknown,
            text: text("No such host"),
        },
        Failure::SeeOtherHost(Redirect::To(OtherHost::parse("xmpp2.partner.example").unwrap())),
        Failure::SeeOtherHost(Redirect::NotFollowed {
            said: text("xmpp2.partner.example"),
            reason: NotFollowed::NotEncrypted,
        }),
        Failure::NotXmpp(text("the input does not begin with a tag")),
        NoMethod::TlsDisabled.into(),
        NoMethod::SharedStream.into(),
        NoMethod::Neither(NoExternal::Forbidden(external), NoDialback::NotKnown).into(),
        Failure::ExternalRejected {
            condition: SaslCondition::NotAuthorized,
            text: text("Certificate not trusted"),
            forbidden: None,
        },
        Failure::DialbackInvalid(KeyInquiry::NotSeen),
        Failure::DialbackInvalid(KeyInquiry::Confirmed),
        Failure::DialbackInvalid(KeyInquiry::Denied),
        Failure::DialbackInvalid(KeyInquiry::Refused),
        Failure::DialbackError {
            condition: StanzaCondition::RemoteConnectionFailed,
            text: text("Connection refused"),
        },
        Failure::DialbackTimedOut,
        Failure::NegotiationTimedOut("waiting for the peer's stream header"),
        Failure::ConnectionLost("waiting for the peer's stream features"),
        Failure::NoBackend,
        Failure::ComponentNotConnected,
        Failure::ShuttingDown,
    ];
    assert_eq!(all.iter().map(self::name).collect::<Vec<_>>(), FAILURES);
    all
}

/// The use of a literal that is neither an error, nor a log line, nor the text of a reason.
const OTHER: &str = "text";

/// The texts of a source with their use, in the order of the source.
fn templates(source: &str) -> Vec<(String, String)> {
    let mut code = String::new();
    scan(source, |_, piece, part| match part {
        Part::Code => code.push_str(piece),
        Part::Text(_) | Part::Other => code.extend(piece.bytes().map(|_| ' ')),
    });
    let mut found = Vec::new();
    for Literal { text, line: _, at } in literals(source) {
        let text = plain(&text);
        let Some(purpose) = purpose(&code[..at]) else { continue };
        let is_read = purpose != OTHER && text.contains(char::is_alphabetic) || is_sentence(&text);
        let template = (purpose, text);
        if is_read && !found.contains(&template) {
            found.push(template);
        }
    }
    found
}

/// The text as people read it: continued lines joined, quotes without escapes.
fn plain(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let mut joined = lines.next().unwrap_or_default().to_owned();
    lines.for_each(|line| joined.push_str(line.trim_start()));
    joined.replace("\\n", " ").replace('\n', " ").replace("\\\"", "\"")
}

/// At least two words, and neither XML nor an expression.
fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphabetic());
        word.len() > 1 && word.chars().all(char::is_alphabetic)
    };
    let words = text.split_whitespace().filter(|word| !word.contains(['{', '='])).filter(is_word);
    let is_code = ["xmlns", "self.", " ? "].iter().any(|mark| text.contains(mark));
    !text.trim_start().starts_with('<') && !is_code && words.count() > 1
}

/// The use of a literal by the code before it; none if nobody reads it.
fn purpose(before: &str) -> Option<String> {
    let (mut depth, mut called) = (0_usize, None);
    for (at, character) in before.char_indices().rev() {
        match character {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' if depth > 0 => depth -= 1,
            '(' => {
                called = Some(before[..at].trim_end());
                break;
            }
            '[' | '{' => break,
            _ => {}
        }
    }
    let called = called.unwrap_or_default();
    let function = called.rsplit(|c: char| c.is_whitespace() || "(,:[{|&".contains(c)).next()?;
    match function {
        "error" if called.ends_with("#[error") => return Some("error".to_owned()),
        "error!" | "warn!" | "info!" | "debug!" => {
            return Some(format!("log, {}", function.trim_end_matches('!')));
        }
        "panic!" | "expect" | "allow" | "unreachable!" | "concat!" => return None,
        attribute
            if ["#[", "#!["]
                .iter()
                .any(|begin| called.ends_with(&format!("{begin}{attribute}"))) =>
        {
            return None;
        }
        _ => {}
    }
    let body = &before[before.rfind("fn ").unwrap_or(0)..];
    let tail = &body[body.rfind("Reason::").unwrap_or(body.len())..];
    let reason = tail.strip_prefix("Reason::").filter(|tail| !tail.contains([';', '}', '=']));
    let word: Option<String> =
        reason.map(|tail| tail.chars().take_while(char::is_ascii_alphanumeric).collect());
    Some(word.map_or_else(|| OTHER.to_owned(), |word| format!("`{word}`")))
}

#[test]
fn templates_are_found_with_their_use() {
    let source = "fn f() { tracing::warn!(%a, \"a log line\"); g(\"<x a='b'/> is xml\", \"word\");\n\
                  Verdict::new(SomeReason::Word, format!(\"a \\\"condition\\\" {b}. \\\n   It goes on.\")) }\n\
                  #[error(\"an error text\")] struct E; #[allow(x, reason = \"not a text\")] fn h() { i(\"some text\") }";
    let expected = [
        ("log, warn", "a log line"),
        ("`Word`", "a \"condition\" {b}. It goes on."),
        ("error", "an error text"),
        (OTHER, "some text"),
    ];
    assert_eq!(templates(source), expected.map(|(purpose, text)| (purpose.into(), text.into())));
}
