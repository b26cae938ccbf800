//! Addresses as the servers behind the engine prepare them.

use crate::Domain;
use crate::stanza::{address::is_well_formed, preparation::keeps};

/// A line of `addresses.txt`.
struct Recorded {
    prosody: bool,
    /// A part becomes empty.
    vanishes: bool,
    address: String,
}

fn recorded() -> Vec<Recorded> {
    include_str!("addresses.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (verdicts, address) = line.split_at(4);
            Recorded {
                prosody: verdicts.starts_with('P'),
                vanishes: verdicts.ends_with('0'),
                address: unescaped(address.trim_start_matches(' ')),
            }
        })
        .collect()
}

/// Resolves `\u{X}` and `{N}`.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let braced = |rest: &str| rest.split_once('}').map(|(n, _)| n.to_owned()).unwrap();
        if let Some(after) = rest.strip_prefix("\\u{") {
            let code = braced(after);
            out.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
            rest = &after[code.len() + 1..];
        } else if let Some(after) = rest.strip_prefix('{') {
            let count = braced(after);
            let last = out.pop().unwrap();
            out.extend(std::iter::repeat_n(last, count.parse().unwrap()));
            rest = &after[count.len() + 1..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[test]
fn rfc6122_what_a_backend_refuses_is_not_well_formed_and_nothing_else() {
    let recorded = recorded();
    assert!(recorded.len() > 300);
    for Recorded { prosody, vanishes, address } in recorded {
        assert_eq!(is_well_formed(&address), prosody && !vanishes, "{}", address.escape_unicode());
    }
}

#[test]
fn rfc3454_6_directions_are_not_mixed() {
    for address in ["\u{5D0}\u{5D1}@example.com", "u@example.com/\u{627}1\u{628}"] {
        assert!(is_well_formed(address), "{address}");
    }
    for address in ["\u{5D0}b@example.com", "u@example.com/phone \u{5D0}", "\u{5D0}1@example.com"] {
        assert!(!is_well_formed(address), "{address}");
    }
}

#[test]
fn rfc3454_4_what_normalisation_makes_is_judged() {
    for address in [
        "a\u{FF20}b@example.com",
        "\u{2100}@example.com",
        "a\u{3000}b@example.com",
        "\u{AD}@example.com",
        // 33 bytes of each.
        &format!("u@example.com/{}", "\u{FDFA}".repeat(32)),
    ] {
        assert!(!is_well_formed(address), "{address}");
    }
    assert!(is_well_formed(&format!("u@example.com/{}", "\u{FDFA}".repeat(31))));
}

#[test]
fn rfc3491_a_domain_that_nameprep_takes_for_another_is_distinguished() {
    for domain in
        ["example.com", "b\u{FC}cher.example", "\u{4F8B}\u{3048}.example", "xn--bcher-kva.example"]
    {
        assert!(keeps(&Domain::parse(domain).unwrap()), "{domain}");
    }
    for domain in ["stra\u{DF}e.example", "xn--strae-oqa.example", "\u{3C3}\u{3C2}.example"] {
        assert!(!keeps(&Domain::parse(domain).unwrap()), "{domain}");
    }
}
