//! How a backend prepares the parts of an address before it compares them: stringprep (RFC 3454), with Nodeprep (RFC
//! 6122 Appendix A) for localparts, Nameprep (RFC 3491) for domainparts and Resourceprep (RFC 6122 Appendix B) for
//! resourceparts.
//!
//! RFC 7622 replaced these by PRECIS. Prosody, ejabberd, Openfire and others still use stringprep and refuse the texts
//! that it prohibits; some of them close the whole stream. Where servers differ, this module accepts: code points that
//! Unicode 3.2 did not assign pass, as in Prosody. ejabberd refuses them and answers the stanza itself.
//!
//! Only for text that is not ASCII; ASCII needs one check of each byte ([`super::address`]).

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

use super::address::{MAX_PART, is_forbidden_in_local};
use crate::Domain;

/// Whether Nodeprep accepts a localpart, and its result is not empty.
pub(super) fn is_localpart(part: &str) -> bool {
    prepare(part, Case::Folded).is_some_and(|part| {
        fits(&part) && !part.contains(|c| is_forbidden_in_local(c) || is_prohibited(c))
    })
}

/// Whether Resourceprep accepts a resourcepart, and its result is not empty.
pub(super) fn is_resourcepart(part: &str) -> bool {
    prepare(part, Case::Kept).is_some_and(|part| fits(&part) && !part.contains(is_prohibited))
}

/// Whether Nameprep leaves a domain unchanged. It would convert a domain with `ß`, a final sigma or a joiner to another
/// one, although these are separate letters in today's DNS (RFC 5891, UTS 46): a backend would treat the two as one.
pub fn keeps(domain: &Domain) -> bool {
    let domain = domain.as_str();
    domain.is_ascii()
        || prepare(domain, Case::Folded)
            .is_some_and(|prepared| prepared == domain && !prepared.contains(is_prohibited))
}

fn fits(part: &str) -> bool {
    (1..=MAX_PART).contains(&part.len())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Case {
    Folded,
    Kept,
}

/// Maps (RFC 3454 §3), normalises (§4) and checks directions (§6); the caller checks for prohibited output.
fn prepare(text: &str, case: Case) -> Option<String> {
    let kept = text.chars().filter(|c| !tables::commonly_mapped_to_nothing(*c));
    let mapped: String = match case {
        Case::Folded => kept.flat_map(tables::case_fold_for_nfkc).collect(),
        Case::Kept => kept.collect(),
    };
    let prepared = normalised(&mapped);
    directions_agree(&prepared).then_some(prepared)
}

/// NFKC as of Unicode 3.2 (RFC 3454 §4): a code point that it did not assign is unchanged.
fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (known, after) =
            rest.split_at(rest.find(tables::unassigned_code_point).unwrap_or(rest.len()));
        out.extend(known.nfkc());
        let end = after.find(|c| !tables::unassigned_code_point(c)).unwrap_or(after.len());
        let (unknown, after) = after.split_at(end);
        out.push_str(unknown);
        rest = after;
    }
    out
}

/// RFC 3454 §6: text with a right-to-left character begins and ends with one, and has no left-to-right one.
fn directions_agree(text: &str) -> bool {
    let leftward = tables::bidi_r_or_al;
    !text.contains(leftward)
        || text.starts_with(leftward) && text.ends_with(leftward) && !text.contains(tables::bidi_l)
}

/// RFC 3454 Appendix C without ASCII space (C.1.1), which a resourcepart may have.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || c.is_control()
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}
