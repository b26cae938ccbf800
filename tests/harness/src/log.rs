//! The log of a program, as an error quotes it.

/// The last `most` bytes of a text, cut at a character boundary.
pub fn tail(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    (from..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default()
}
