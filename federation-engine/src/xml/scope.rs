//! Which namespace a prefix stands for at each place (Namespaces in XML §6).

use super::error::{Bound, Malformation, XmlError};
use super::namespace::Namespace;
use super::tag::{Span, ValueSpan};

/// Declarations of the stream's opening tag, kept for as long as the stream lives.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamScope {
    /// Namespace name of the default namespace; empty when there is none.
    pub(super) default: String,
    /// Prefixes with their namespace names, at most [`MAX_STREAM_PREFIXES`].
    pub(super) prefixes: Vec<(String, String)>,
}

/// As many as [`super::element::Facts::outer_prefixes`] has bits.
pub(super) const MAX_STREAM_PREFIXES: usize = 32;

impl StreamScope {
    /// The declarations whose bits are set.
    pub(super) fn used(&self, bits: u32) -> impl Iterator<Item = (&str, &str)> {
        self.prefixes
            .iter()
            .enumerate()
            .filter(move |(index, _)| bits & (1 << index) != 0)
            .map(|(_, (prefix, uri))| (prefix.as_str(), uri.as_str()))
    }
}

/// One declaration inside a first-level element.
#[derive(Clone, Copy, Debug)]
struct Binding {
    /// Empty for the default namespace.
    prefix: Span,
    uri: ValueSpan,
}

/// The declarations in force inside the element that is being scanned. The buffers are reused for every element.
#[derive(Debug, Default)]
pub(super) struct ElementScope {
    bindings: Vec<Binding>,
}

/// What a prefix resolves to.
pub(super) enum Resolved<'a> {
    /// Declared inside the element, as written.
    Inner(&'a str, ValueSpan),
    /// Declared by the stream header, with its index.
    Outer(&'a str, usize),
    /// The prefix `xml`.
    Xml,
}

impl Resolved<'_> {
    pub(super) fn namespace(&self) -> Namespace {
        match self {
            Self::Inner(raw, value) => Namespace::of(&value.decode(raw)),
            Self::Outer(uri, _) => Namespace::of(uri),
            Self::Xml => Namespace::Xml,
        }
    }

    pub(super) fn same_name(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Xml, Self::Xml) => true,
            (Self::Xml, _) | (_, Self::Xml) => false,
            _ => self.uri() == other.uri(),
        }
    }

    fn uri(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Inner(raw, value) => value.decode(raw),
            Self::Outer(uri, _) => (*uri).into(),
            Self::Xml => Namespace::Xml.uri().into(),
        }
    }
}

impl ElementScope {
    pub(super) fn clear(&mut self) {
        self.bindings.clear();
    }

    /// Declarations in force; hand it to [`Self::leave`] when the element that made new ones ends.
    pub(super) fn mark(&self) -> usize {
        self.bindings.len()
    }

    pub(super) fn leave(&mut self, mark: usize) {
        self.bindings.truncate(mark);
    }

    /// Adds the declaration `xmlns='...'` (empty prefix) or `xmlns:prefix='...'`.
    pub(super) fn declare(
        &mut self,
        bytes: &[u8],
        prefix: Span,
        uri: ValueSpan,
        bound: usize,
    ) -> Result<(), XmlError> {
        check_declaration(prefix.text(bytes), &uri.decode(uri.span.text(bytes)))?;
        if self.bindings.len() >= bound {
            return Err(Bound::Declarations { limit: bound }.into());
        }
        self.bindings.push(Binding { prefix, uri });
        Ok(())
    }

    /// The namespace of names without a prefix.
    pub(super) fn default_namespace(&self, bytes: &[u8], stream: &StreamScope) -> Namespace {
        match self.bindings.iter().rev().find(|binding| binding.prefix.is_empty()) {
            Some(binding) => Namespace::of(&binding.uri.decode(binding.uri.span.text(bytes))),
            None => Namespace::of(&stream.default),
        }
    }

    /// What a prefix that is not empty stands for.
    pub(super) fn resolve<'a>(
        &self,
        bytes: &'a [u8],
        prefix: &[u8],
        stream: &'a StreamScope,
    ) -> Result<Resolved<'a>, XmlError> {
        if prefix == b"xml" {
            return Ok(Resolved::Xml);
        }
        for binding in self.bindings.iter().rev() {
            if binding.prefix.of(bytes) == prefix {
                return Ok(Resolved::Inner(binding.uri.span.text(bytes), binding.uri));
            }
        }
        stream
            .prefixes
            .iter()
            .position(|(known, _)| known.as_bytes() == prefix)
            .and_then(|index| Some(Resolved::Outer(&stream.prefixes.get(index)?.1, index)))
            .ok_or(Malformation::UndeclaredPrefix.into())
    }
}

/// Namespaces §3: reserved names, and no undeclaring of prefixes.
pub(super) fn check_declaration(prefix: &str, uri: &str) -> Result<(), XmlError> {
    let namespace = Namespace::of(uri);
    let allowed = match prefix {
        "xml" => namespace == Namespace::Xml,
        "xmlns" => false,
        "" => !matches!(namespace, Namespace::Xml | Namespace::Xmlns),
        _ => !matches!(namespace, Namespace::Xml | Namespace::Xmlns | Namespace::None),
    };
    if allowed { Ok(()) } else { Err(Malformation::NamespaceDeclaration.into()) }
}
