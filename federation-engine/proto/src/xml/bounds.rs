//! Limits of the data that a peer may send at once.

/// Factor by which the bytes that are skipped of a larger element exceed the limit of an authenticated peer's element.
const SKIPPED_TIMES: usize = 16;

/// Bounds of one first-level element. The stream's opening tag obeys them too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Bytes of the element from its `<` to its last `>` (RFC 6120 §13.12).
    pub element_bytes: usize,
    /// Bytes that are skipped of an element that exceeds `element_bytes`, so that only this element is lost; with none,
    /// the stream closes on it.
    pub skipped_bytes: usize,
    /// Levels of elements; a first-level element without children has 1.
    pub depth: usize,
    /// Attributes of one tag, namespace declarations included; also the namespace declarations in scope at any place.
    pub attributes: usize,
    /// Bytes of an element or attribute name, prefix included.
    pub name_bytes: usize,
}

impl Bounds {
    /// The bounds before authentication, with the default sizes of the configuration.
    pub const PRE_AUTHENTICATION: Self = Self {
        element_bytes: 10_000,
        skipped_bytes: 0,
        depth: 16,
        attributes: 32,
        name_bytes: 256,
    };

    /// The bounds after authentication, with the default sizes of the configuration.
    pub const AUTHENTICATED: Self = Self {
        element_bytes: 524_288,
        depth: 64,
        attributes: 64,
        name_bytes: 1_024,
        skipped_bytes: 524_288 * SKIPPED_TIMES,
    };

    /// The same with another bound of an element's bytes.
    #[must_use]
    pub const fn with_element_bytes(self, element_bytes: usize) -> Self {
        let skipped_bytes = element_bytes.saturating_mul(SKIPPED_TIMES);
        Self { element_bytes, skipped_bytes, ..self }
    }
}
