//! The meaning of a start tag: namespaces, the facts of a first-level element, the attributes of the header.

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use super::{Item, Phase, Scanner, Step};
use crate::xml::element::Facts;
use crate::xml::error::{Malformation, XmlError};
use crate::xml::header::HeaderAttributes;
use crate::xml::namespace::Namespace;
use crate::xml::scope::{Resolved, StreamScope};
use crate::xml::steps;
use crate::xml::tag::{QualifiedName, Span, StartTag};

impl Scanner {
    /// Adds the declarations of the tag, then checks that the prefixes of its attributes are declared and that no two
    /// of them have the same expanded name (Namespaces in XML §6.3).
    pub(super) fn declare(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        let mut prefixed = 0;
        for attribute in &self.attributes {
            let (prefix, local) = (attribute.name.prefix(), attribute.name.local());
            let declared = match prefix.of(bytes) {
                b"xmlns" => local,
                b"" if local.of(bytes) == b"xmlns" => prefix,
                b"" => continue,
                _ => {
                    prefixed += 1;
                    continue;
                }
            };
            self.scope.declare(bytes, declared, attribute, self.bounds.attributes)?;
        }
        if prefixed > 0 {
            self.check_prefixed(bytes, prefixed)?;
        }
        Ok(())
    }

    fn check_prefixed(&mut self, bytes: &[u8], prefixed: usize) -> Result<(), XmlError> {
        self.expanded.clear();
        for attribute in &self.attributes {
            let prefix = attribute.name.prefix().of(bytes);
            if prefix.is_empty() || prefix == b"xmlns" {
                continue;
            }
            let resolved = self.scope.resolve(bytes, prefix, &self.stream)?;
            if let Resolved::Outer(_, index) = resolved {
                self.outer_prefixes |= 1 << index;
            }
            // A single xml:lang, as usual, needs no comparison.
            if prefixed > 1 {
                let id = self.scope.id(bytes, resolved, &self.stream);
                let id = id.ok_or(Malformation::NamespaceDeclaration)?;
                self.expanded.push((id, attribute.name.local()));
            }
        }
        self.expanded.sort_unstable_by(|(a, local), (b, other)| {
            steps::count(1);
            a.cmp(b).then_with(|| {
                steps::count(local.len().min(other.len()));
                local.of(bytes).cmp(other.of(bytes))
            })
        });
        let twice = self.expanded.windows(2).any(|pair| {
            matches!(pair, [(a, local), (b, other)]
                if a == b && local.of(bytes) == other.of(bytes))
        });
        if twice { Err(Malformation::DuplicateAttribute.into()) } else { Ok(()) }
    }

    /// The namespace of an element; below the first level only whether it has one.
    pub(super) fn namespace_of(
        &mut self,
        bytes: &[u8],
        name: QualifiedName,
    ) -> Result<Namespace, XmlError> {
        let prefix = name.prefix().of(bytes);
        if prefix.is_empty() {
            let first = self.open.is_empty();
            return Ok(if first {
                self.scope.default_namespace(&self.stream)
            } else {
                Namespace::Other
            });
        }
        if prefix == b"xmlns" {
            return Err(Malformation::UndeclaredPrefix.into());
        }
        let resolved = self.scope.resolve(bytes, prefix, &self.stream)?;
        if let Resolved::Outer(_, index) = resolved {
            self.outer_prefixes |= 1 << index;
        }
        Ok(if self.open.is_empty() { resolved.namespace() } else { Namespace::Other })
    }

    pub(super) fn first_level(
        &self,
        bytes: &[u8],
        end: usize,
        tag: StartTag,
        namespace: Namespace,
    ) -> Facts {
        let mut facts = Facts {
            namespace,
            local: tag.name.local(),
            from: None,
            to: None,
            id: None,
            kind: None,
            lang: None,
            start_tag_end: Span::new(0, end).end,
            self_closing: tag.self_closing,
            outer_prefixes: 0,
        };
        for attribute in &self.attributes {
            let place = match attribute.name.span.of(bytes) {
                b"from" => &mut facts.from,
                b"to" => &mut facts.to,
                b"id" => &mut facts.id,
                b"type" => &mut facts.kind,
                b"xml:lang" => &mut facts.lang,
                _ => continue,
            };
            *place = Some(attribute.value);
        }
        facts
    }

    pub(super) fn header(
        &mut self,
        buf: &mut BytesMut,
        end: usize,
        tag: StartTag,
    ) -> Result<Step, XmlError> {
        let namespace = self.namespace_of(buf, tag.name)?;
        let stream = self.stream_scope(buf)?;
        let value = |name: &str| {
            self.attributes
                .iter()
                .find(|attribute| attribute.name.span.of(buf) == name.as_bytes())
                .map(|attribute| {
                    attribute.value.decode(attribute.value.span.text(buf)).into_owned()
                })
        };
        let header = HeaderAttributes {
            namespace,
            local: tag.name.local().text(buf).to_owned(),
            prefix: tag.name.prefix().text(buf).to_owned(),
            content: stream.content(),
            declares_dialback: stream.declares(Namespace::Dialback),
            from: value("from"),
            to: value("to"),
            id: value("id"),
            version: value("version"),
            lang: value("xml:lang"),
        };
        self.root = tag.name.span.of(buf).to_vec();
        self.stream = Arc::new(stream);
        self.scope.clear();
        self.outer_prefixes = 0;
        self.phase = if tag.self_closing { Phase::SelfClosed } else { Phase::Content };
        buf.advance(end);
        self.token_done(0);
        Ok(Step::Item(Item::Header(header)))
    }

    fn stream_scope(&self, bytes: &[u8]) -> Result<StreamScope, XmlError> {
        let (mut default, mut prefixes) = (String::new(), Vec::new());
        for attribute in &self.attributes {
            let uri = || attribute.value.decode(attribute.value.span.text(bytes)).into_owned();
            if attribute.name.span.of(bytes) == b"xmlns" {
                default = uri();
            } else if attribute.name.prefix().of(bytes) == b"xmlns" {
                prefixes.push((attribute.name.local().text(bytes).to_owned(), uri()));
            }
        }
        StreamScope::new(default, prefixes, &self.scope)
    }
}
