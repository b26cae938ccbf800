//! Patterns with the names of a stage, and messages without them.

use std::sync::LazyLock;

use regex::Regex;

use super::stage::Stage;
use crate::error::{Error, Result};

/// A pattern with the names of the stage filled in.
///
/// # Errors
/// When it is not a regular expression.
pub fn pattern(text: &str, stage: &Stage) -> Result<Regex> {
    let address = stage.address().map(|address| address.to_string()).unwrap_or_default();
    let known = [
        ("<domain>", stage.domain.as_str()),
        ("<host>", stage.host.as_str()),
        ("<namespace>", stage.namespace.as_str()),
        ("<address>", address.as_str()),
    ];
    let filled = known
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, &regex::escape(value)));
    Regex::new(&filled).map_err(|error| Error::State(format!("pattern {text:?}: {error}")))
}

/// What differs from one run to the next, and what the page has instead.
static VARIABLE: LazyLock<Vec<(Option<Regex>, &'static str)>> = LazyLock::new(|| {
    [
        // The suffix of a ReplicaSet and of its pod.
        (r"\bexample-[0-9a-f]{7,10}-[a-z0-9]{5}\b", "example-6d5f9c7b44-x2k8p"),
        (r"\bexample-[0-9a-f]{7,10}\b", "example-6d5f9c7b44"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-11-30T12:00:00Z"),
        (r"\b198\.18\.200\.\d+\b", "203.0.113.99"),
        (r"\b198\.18\.(1[2-9]\d)\.\d+\b", "10.244.0.17"),
        (r"\b198\.18\.\d+\.\d+\b", "10.96.0.17"),
        (r"\b198\.19\.0\.53\b", "192.0.2.53"),
        (r"\b198\.19\.0\.(\d+)\b", "198.51.100.$1"),
        (r"Invalid value: \d{5}\b", "Invalid value: 30269"),
        (r"\bcatalogue-healthy-0\b", "other"),
        (r"\bhealthy-0\.example\.com\b", "example.net"),
    ]
    .into_iter()
    .map(|(pattern, text)| (Regex::new(pattern).ok(), text))
    .collect()
});

/// The text with an address replaced where it does not continue.
fn whole(text: &str, address: &str, example: &str) -> String {
    if address.is_empty() {
        return text.to_owned();
    }
    let pattern = Regex::new(&format!(r"\b{}\b", regex::escape(address)));
    pattern
        .map_or_else(|_| text.to_owned(), |pattern| pattern.replace_all(text, example).into_owned())
}

/// A message as the page shows it: with the names and addresses of an example.
pub fn as_example(message: &str, stage: &Stage) -> String {
    // Only the current address is that of the example: another one is an old or a wrong one.
    // A private one is what its message is about.
    let current = stage.address().map(|address| address.to_string()).unwrap_or_default();
    let current = if current.starts_with("198.18.200.") { current } else { String::new() };
    let named = whole(message, &current, "203.0.113.10")
        .replace(&stage.domain, "example.com")
        .replace(&stage.namespace, "im")
        .replace("cupdomain.example", "example.com");
    VARIABLE.iter().fold(named, |text, (pattern, example)| match pattern {
        Some(pattern) => pattern.replace_all(&text, *example).into_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_replaced_only_where_it_is_whole() {
        let text = "198.18.200.1 and 198.18.200.12; expected 198.18.200.1.";
        let shown = whole(text, "198.18.200.1", "203.0.113.10");
        assert_eq!(shown, "203.0.113.10 and 198.18.200.12; expected 203.0.113.10.");
        assert_eq!(whole(text, "", "203.0.113.10"), text);
    }

    #[test]
    fn every_variable_part_has_a_pattern() {
        assert!(VARIABLE.iter().all(|(pattern, _)| pattern.is_some()));
    }
}
