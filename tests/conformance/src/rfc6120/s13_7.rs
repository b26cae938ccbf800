//! RFC 6120 §13.7: certificates.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, CustomExtension};
use s2s_peer::expiring::expiring;
use s2s_peer::namespace::SASL;
use s2s_peer::stream::Stream;

use crate::Check;
use crate::ending::expect_error;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure, not_applicable};
use crate::target::{EXTERNAL_FEATURES, Target, send_auth};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 24,
        section: "RFC 6120 §13.7.2.1, RFC 7673 §4.1",
        sentence: "a certificate is verified for the domain of the header, never for an SRV target that DNSSEC does not authenticate",
        run: reference_identity,
    },
    Check {
        id: 25,
        section: "RFC 6120 §13.7.1.2.1",
        sentence: "DNS-ID, SRV-ID of _xmpp-server and XmppAddr are accepted; a wildcard is the whole left-most label",
        run: names_of_certificates,
    },
    Check {
        id: 27,
        section: "RFC 6120 §13.7.2.3",
        sentence: "a stream closes with reset when the certificate that authenticated its peer expires",
        run: expiry,
    },
];

/// The last arcs of id-on-xmppAddr and id-on-dnsSRV (RFC 6120 §13.7.1.4, RFC 4985 §2).
const XMPP_ADDR: u8 = 5;
const DNS_SRV: u8 = 7;
/// ASN.1 tags of the strings in these names.
const UTF8_STRING: u8 = 0x0c;
const IA5_STRING: u8 = 0x16;

fn reference_identity(target: &Target) -> Finding {
    let host = format!("xmpp.{}", target.peer);
    let of_host = target.identity(&[&host])?;
    ensure(!target.proves(&target.peer, &of_host), || {
        format!("the certificate of {host} authenticated {}", target.peer)
    })?;
    let (Some(strict), Ok(_)) = (&target.strict, target.resolved()) else { return Ok(()) };
    let _waiting = target.make_send(strict, "s24")?;
    let dialled = target.accept_dialled(&[&host], EXTERNAL_FEATURES);
    let proof = dialled.and_then(|mut dialled| Ok(dialled.stream.element("a proof")?));
    ensure(proof.is_err(), || {
        format!("the certificate of {host} authenticated {strict}: {proof:?}")
    })
}

fn names_of_certificates(target: &Target) -> Finding {
    let peer = &target.peer;
    let (sub, deep) = (target.below("a"), target.below("a.b"));
    let wildcard = target.identity(&[&format!("*.{peer}")])?;
    let other_name = |last_arc, tag, text: &str| {
        let extension = subject_alt_name(last_arc, tag, text);
        target.authority.issue_with(&[], |params| params.custom_extensions.push(extension))
    };
    let server = other_name(DNS_SRV, IA5_STRING, &format!("_xmpp-server.{peer}"))?;
    let client = other_name(DNS_SRV, IA5_STRING, &format!("_xmpp-client.{peer}"))?;
    let address = other_name(XMPP_ADDR, UTF8_STRING, peer)?;
    let cases = [
        (true, peer, &target.identity(&[peer])?, "its DNS-ID"),
        (true, peer, &server, "an SRV-ID of _xmpp-server"),
        (true, peer, &address, "an XmppAddr"),
        (true, &sub, &wildcard, "a wildcard of one label"),
        (false, peer, &client, "an SRV-ID of _xmpp-client"),
        (false, peer, &wildcard, "a wildcard below it"),
        (false, &deep, &wildcard, "a wildcard of two labels"),
    ];
    for (due, from, identity, what) in cases {
        let verb = if due { "did not authenticate" } else { "proved" };
        ensure(target.proves(from, identity) == due, || format!("{what} {verb} {from}"))?;
    }
    Ok(())
}

fn expiry(target: &Target) -> Finding {
    let mut stream = expiring(|life| authenticated_for(life, target))?;
    expect_error(&mut stream, &["reset"])
}

/// A stream that a certificate with this validity authenticates.
fn authenticated_for(life: Duration, target: &Target) -> Finding<Stream> {
    let end = (SystemTime::now() + life).into();
    let short = |params: &mut CertificateParams| params.not_after = end;
    let identity = target.authority.issue_with(&[&target.peer], short)?;
    let opened = target.encrypted(&target.header(), Some(&identity))?;
    if !opened.offers_external() {
        return not_applicable("the target does not offer EXTERNAL");
    }
    let mut stream = opened.stream;
    send_auth(&mut stream, &BASE64_STANDARD.encode(&target.peer))?;
    stream.expect(SASL, "success", "the answer to SASL EXTERNAL")?;
    Ok(Opened::greet(stream.restarted(), &target.header())?.stream)
}

/// A subjectAltName with one `otherName` (RFC 5280 §4.2.1.6) whose OID is below 1.3.6.1.5.5.7.8.
fn subject_alt_name(last_arc: u8, tag: u8, text: &str) -> CustomExtension {
    let mut body = vec![0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, last_arc];
    body.extend(tlv(0xa0, &tlv(tag, text.as_bytes())));
    CustomExtension::from_oid_content(&[2, 5, 29, 17], tlv(0x30, &tlv(0xa0, &body)))
}

/// A DER element whose length has one or two bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let low = length.last().copied().unwrap_or_default();
    let mut encoded = if low < 128 { vec![tag, low] } else { vec![tag, 0x81, low] };
    encoded.extend_from_slice(content);
    encoded
}
