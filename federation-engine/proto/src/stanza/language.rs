//! Language tags (BCP 47, RFC 5646 §2.1), as far as their syntax goes.

/// Longest tag that is relayed. Registered ones have 35 bytes at most (RFC 5646 §4.4.1).
const MAX_TAG: usize = 64;

/// Whether `text` is a well-formed language tag: `langtag` or `privateuse`, without the old irregular tags
/// (`i-klingon`).
pub(crate) fn is_tag(text: &str) -> bool {
    if text.len() > MAX_TAG || !text.split('-').all(is_subtag) {
        return false;
    }
    let mut rest = text.split('-').peekable();
    let Some(language) = rest.next() else { return false };
    if language.eq_ignore_ascii_case("x") {
        return rest.next().is_some();
    }
    if language.len() < 2 || !is_alphabetic(language) {
        return false;
    }
    if language.len() <= 3 {
        for _ in 0..3 {
            rest.next_if(|part| part.len() == 3 && is_alphabetic(part));
        }
    }
    rest.next_if(|part| part.len() == 4 && is_alphabetic(part));
    rest.next_if(|part| {
        part.len() == 2 && is_alphabetic(part) || part.len() == 3 && is_numeric(part)
    });
    while rest.next_if(is_variant).is_some() {}
    while let Some(singleton) = rest.next() {
        if singleton.len() != 1 {
            return false;
        }
        if singleton.eq_ignore_ascii_case("x") {
            return rest.next().is_some();
        }
        if rest.next_if(|part| part.len() >= 2).is_none() {
            return false;
        }
        while rest.next_if(|part| part.len() >= 2).is_some() {}
    }
    true
}

fn is_subtag(part: &str) -> bool {
    (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_alphabetic(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_numeric(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_variant(part: &&str) -> bool {
    part.len() >= 5 || part.len() == 4 && part.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5646_2_1_well_formed_tags() {
        // Among them all kinds of its Appendix A.
        for tag in [
            "de",
            "EN",
            "fra",
            "zh-Hant",
            "zh-cmn-Hans-CN",
            "cmn-Hans-CN",
            "zh-yue-HK",
            "sr-Latn-RS",
            "sl-rozaj-biske",
            "de-CH-1901",
            "sl-IT-nedis",
            "hy-Latn-IT-arevela",
            "de-DE",
            "en-US",
            "es-419",
            "de-CH-x-phonebk",
            "az-Arab-x-AZE-derbend",
            "x-whatever",
            "qaa-Qaaa-QM-x-southern",
            "en-US-u-islamcal",
            "zh-CN-a-myext-x-private",
            "en-a-myext-b-another",
            "tlhlang",
            "art-lojban",
        ] {
            assert!(is_tag(tag), "{tag}");
        }
    }

    #[test]
    fn rfc5646_2_1_what_is_no_tag() {
        let long = format!("de-x-{}", "a-".repeat(40));
        for tag in [
            "",
            "-",
            "de-",
            "-de",
            "de--CH",
            "d",
            "1",
            "d1",
            "x",
            "x-",
            "de-x",
            "de-419-DE",
            "a-DE",
            "en_US",
            "C.UTF-8",
            "C",
            "POSIX.x",
            "de CH",
            "de'",
            "d\u{E9}",
            "abcdefghi",
            "de-abcdefghi",
            "en-a",
            "en-a-b",
            "de-1",
            "ar-a-aaa-b",
            &long,
        ] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
