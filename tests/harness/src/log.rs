//! What a program has logged, as an error repeats it.

/// The last `most` bytes of a text, cut at a character.
pub fn tail(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    (from..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default()
}
