//! The namespace of each prefix at each place (Namespaces in XML §6).
//!
//! The cost of every lookup is bounded by the bytes of the name, however many declarations are in effect and however
//! long their namespace names are. A namespace name is decoded once, where it is declared; prefixes are found by a
//! keyed hash; and attributes of different prefixes are compared by numbers that represent the namespace names
//! ([`digest`]).

use std::hash::{BuildHasher as _, RandomState};

use bytes::BytesMut;

use super::digest::{self, Digest, NameId};
use super::error::{Bound, Malformation, XmlError};
use super::escape::attribute_into;
use super::namespace::Namespace;
use super::steps;
use super::tag::{Attribute, Span, ValueSpan};

/// The number of `http://www.w3.org/XML/1998/namespace`, to which only the prefix `xml` can be bound.
const XML_ID: NameId = NameId::MAX;

/// A prefix that the stream's opening tag declares.
#[derive(Clone, Debug)]
struct StreamPrefix {
    prefix: String,
    /// Its namespace name.
    uri: String,
    namespace: Namespace,
    /// The number of the namespace name.
    id: NameId,
    /// Bytes of the declaration in a start tag.
    written: usize,
}

/// Declarations of the stream's opening tag, kept as long as the stream lives.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamScope {
    /// Namespace name of the default namespace; empty when there is none.
    pub(super) default: String,
    default_namespace: Namespace,
    /// At most [`MAX_STREAM_PREFIXES`], in the order of the prefixes.
    prefixes: Vec<StreamPrefix>,
}

/// As many as [`super::element::Facts::outer_prefixes`] has bits.
pub(super) const MAX_STREAM_PREFIXES: usize = 32;

/// Maximum bytes of declarations that an element can inherit from the stream's opening tag. When it is relayed, they
/// are written into its own start tag (RFC 6120 §4.8.5), so without a limit a few bytes would become many.
pub(super) const MAX_INHERITED: usize = 1_024;

impl StreamScope {
    /// The default namespace, and the prefixes with their namespace names, which `scope` numbers.
    pub(super) fn new(
        default: String,
        declared: Vec<(String, String)>,
        scope: &ElementScope,
    ) -> Result<Self, XmlError> {
        if declared.len() > MAX_STREAM_PREFIXES {
            return Err(Bound::Declarations { limit: MAX_STREAM_PREFIXES }.into());
        }
        let mut prefixes: Vec<StreamPrefix> = declared
            .into_iter()
            .map(|(prefix, uri)| {
                let (namespace, id) = (Namespace::of(&uri), digest::of(&uri, &scope.keys));
                let mut written = BytesMut::new();
                attribute_into(&mut written, &prefix, &uri);
                let written = written.len().saturating_add("xmlns:".len());
                StreamPrefix { prefix, uri, namespace, id, written }
            })
            .collect();
        prefixes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let default_namespace = Namespace::of(&default);
        Ok(Self { default, default_namespace, prefixes })
    }

    /// The default namespace.
    pub(super) fn content(&self) -> Namespace {
        self.default_namespace
    }

    /// Whether a prefix is bound to `namespace`.
    pub(super) fn declares(&self, namespace: Namespace) -> bool {
        self.prefixes.iter().any(|known| known.namespace == namespace)
    }

    /// Prefixes with their namespace names.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.prefixes.iter().map(|known| (known.prefix.as_str(), known.uri.as_str()))
    }

    /// The declarations whose bits are set.
    pub(super) fn used(&self, bits: u32) -> impl Iterator<Item = (&str, &str)> {
        self.prefixes()
            .enumerate()
            .filter(move |(index, _)| bits & (1 << index) != 0)
            .map(|(_, declaration)| declaration)
    }

    /// Whether the declarations whose bits are set exceed what an element can inherit.
    pub(super) fn is_too_much(&self, bits: u32) -> bool {
        let used = self.prefixes.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
        used.map(|(_, known)| known.written).fold(0, usize::saturating_add) > MAX_INHERITED
    }

    fn find(&self, prefix: &[u8]) -> Option<(usize, &StreamPrefix)> {
        let index = self
            .prefixes
            .binary_search_by(|known| {
                steps::count(prefix.len());
                known.prefix.as_bytes().cmp(prefix)
            })
            .ok()?;
        Some((index, self.prefixes.get(index)?))
    }
}

/// One declaration inside a first-level element.
#[derive(Clone, Copy, Debug)]
struct Binding {
    /// Empty for the default namespace.
    prefix: Span,
    uri: ValueSpan,
    namespace: Namespace,
    /// Set once it was looked up.
    id: Option<NameId>,
    /// Index of the bucket that the prefix belongs to.
    bucket: usize,
    /// The previous last declaration of the bucket, by its index plus 1.
    hidden: u32,
}

/// Chains of declarations by the hash of their prefix. With a keyed hash, no peer can choose prefixes that collide.
const BUCKETS: usize = 32;
/// The chain of the default namespace.
const DEFAULT: usize = BUCKETS;

/// The declarations in effect inside the element that is being scanned. The buffers are reused for every element.
#[derive(Debug)]
pub(super) struct ElementScope {
    bindings: Vec<Binding>,
    /// The last declaration of each bucket by its index plus 1; 0 is none.
    last: [u32; BUCKETS + 1],
    /// Of the hashes of prefixes and of namespace names.
    keys: RandomState,
}

impl Default for ElementScope {
    fn default() -> Self {
        Self { bindings: Vec::new(), last: [0; BUCKETS + 1], keys: RandomState::new() }
    }
}

/// The resolution of a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resolved {
    /// Declared inside the element, with the index of the declaration.
    Inner(Namespace, usize),
    /// Declared by the stream header, with its index.
    Outer(Namespace, usize),
    /// The prefix `xml`.
    Xml,
}

impl Resolved {
    pub(super) fn namespace(self) -> Namespace {
        match self {
            Self::Inner(namespace, _) | Self::Outer(namespace, _) => namespace,
            Self::Xml => Namespace::Xml,
        }
    }
}

impl ElementScope {
    pub(super) fn clear(&mut self) {
        self.leave(0);
    }

    /// The keys of the numbers of namespace names.
    pub(super) fn keys(&self) -> &RandomState {
        &self.keys
    }

    /// Declarations in effect; pass it to [`Self::leave`] when the element that added declarations ends.
    pub(super) fn mark(&self) -> usize {
        self.bindings.len()
    }

    pub(super) fn leave(&mut self, mark: usize) {
        while self.bindings.len() > mark {
            let Some(binding) = self.bindings.pop() else { break };
            if let Some(last) = self.last.get_mut(binding.bucket) {
                *last = binding.hidden;
            }
        }
    }

    /// Adds the declaration `xmlns='...'` (empty prefix) or `xmlns:prefix='...'`.
    pub(super) fn declare(
        &mut self,
        bytes: &[u8],
        prefix: Span,
        attribute: &Attribute,
        bound: usize,
    ) -> Result<(), XmlError> {
        let uri = attribute.value;
        let (namespace, separator) = if let Some(Digest { separator, .. }) = attribute.long {
            (Namespace::Other, separator)
        } else {
            let uri = uri.decode(uri.span.text(bytes));
            (Namespace::of(&uri), digest::contains_separator(&uri))
        };
        check_declaration(prefix.text(bytes), namespace, separator)?;
        if self.bindings.len() >= bound {
            return Err(Bound::Declarations { limit: bound }.into());
        }
        let bucket = if prefix.is_empty() { DEFAULT } else { self.bucket(prefix.of(bytes)) };
        let number = u32::try_from(self.bindings.len()).unwrap_or(u32::MAX).saturating_add(1);
        let hidden = self.last.get_mut(bucket).map_or(0, |last| std::mem::replace(last, number));
        let id = attribute.long.map(|long| long.id);
        self.bindings.push(Binding { prefix, uri, namespace, id, bucket, hidden });
        Ok(())
    }

    fn bucket(&self, prefix: &[u8]) -> usize {
        steps::count(prefix.len());
        usize::try_from(self.keys.hash_one(prefix) % BUCKETS as u64).unwrap_or(0)
    }

    /// The declarations of a bucket, the innermost first.
    fn chain(&self, bucket: usize) -> impl Iterator<Item = (usize, &Binding)> {
        let at = |number: u32| {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            Some((index, self.bindings.get(index)?))
        };
        let first = at(self.last.get(bucket).copied().unwrap_or(0));
        std::iter::successors(first, move |(_, binding)| at(binding.hidden))
    }

    /// The namespace of names without a prefix.
    pub(super) fn default_namespace(&self, stream: &StreamScope) -> Namespace {
        self.chain(DEFAULT).next().map_or(stream.content(), |(_, binding)| binding.namespace)
    }

    /// The namespace of a non-empty prefix.
    pub(super) fn resolve(
        &self,
        bytes: &[u8],
        prefix: &[u8],
        stream: &StreamScope,
    ) -> Result<Resolved, XmlError> {
        if prefix == b"xml" {
            return Ok(Resolved::Xml);
        }
        if !self.bindings.is_empty() {
            for (index, binding) in self.chain(self.bucket(prefix)) {
                steps::count(prefix.len());
                if binding.prefix.of(bytes) == prefix {
                    return Ok(Resolved::Inner(binding.namespace, index));
                }
            }
        }
        match stream.find(prefix) {
            Some((index, known)) => Ok(Resolved::Outer(known.namespace, index)),
            None => Err(Malformation::UndeclaredPrefix.into()),
        }
    }

    /// The number of the namespace name that a prefix resolves to.
    pub(super) fn id(
        &mut self,
        bytes: &[u8],
        resolved: Resolved,
        stream: &StreamScope,
    ) -> Option<NameId> {
        let index = match resolved {
            Resolved::Xml => return Some(XML_ID),
            Resolved::Outer(_, index) => return stream.prefixes.get(index).map(|known| known.id),
            Resolved::Inner(_, index) => index,
        };
        let binding = self.bindings.get_mut(index)?;
        if binding.id.is_none() {
            let name = binding.uri.decode(binding.uri.span.text(bytes));
            binding.id = Some(digest::of(&name, &self.keys));
        }
        binding.id
    }
}

/// Namespaces §3: reserved names, and no undeclaring of prefixes. `separator`: the name contains a character that no
/// namespace name can contain.
fn check_declaration(prefix: &str, namespace: Namespace, separator: bool) -> Result<(), XmlError> {
    if separator && namespace == Namespace::Other {
        return Err(Malformation::NamespaceDeclaration.into());
    }
    let allowed = match prefix {
        "xml" => namespace == Namespace::Xml,
        "xmlns" => false,
        "" => !matches!(namespace, Namespace::Xml | Namespace::Xmlns),
        _ => !matches!(namespace, Namespace::Xml | Namespace::Xmlns | Namespace::None),
    };
    if allowed { Ok(()) } else { Err(Malformation::NamespaceDeclaration.into()) }
}
