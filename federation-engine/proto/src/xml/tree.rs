//! A small element parsed into a tree: stream features, SASL and dialback elements, errors.

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, ResolveResult};

use super::namespace::Namespace;
use super::scope::StreamScope;

/// Maximum nodes in a tree. The largest elements of stream negotiation have a few dozen.
const MAX_NODES: usize = 512;

/// An element with its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Namespace of the name.
    pub namespace: Namespace,
    /// Local name.
    pub local: String,
    /// Attributes by name as written, without namespace declarations.
    attributes: Vec<(String, String)>,
    /// Character data directly inside, concatenated.
    pub text: String,
    /// Child elements in order.
    pub children: Vec<Node>,
}

/// The element is not a negotiation element.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the element has more than {MAX_NODES} nodes or is incomplete")]
pub struct TooManyNodes;

/// Parses the events of one element that the scanner has accepted, in the scope of its stream.
pub(super) fn reader<'a>(
    element: &'a str,
    scope: Option<&StreamScope>,
) -> Result<NsReader<&'a [u8]>, TooManyNodes> {
    let mut reader = NsReader::from_str(element);
    let resolver = reader.resolver_mut();
    // An element that uses no prefix of the header is passed without its scope; the content namespace is a fixed one.
    let default = scope.map_or(Namespace::Server.uri(), |scope| &scope.default);
    resolver
        .add(PrefixDeclaration::Default, quick_xml::name::Namespace(default))
        .map_err(|_| TooManyNodes)?;
    if let Some(scope) = scope {
        for (prefix, uri) in scope.prefixes() {
            resolver
                .add(PrefixDeclaration::Named(prefix), quick_xml::name::Namespace(uri))
                .map_err(|_| TooManyNodes)?;
        }
    }
    Ok(reader)
}

impl Node {
    /// Parses one element that the scanner has accepted.
    ///
    /// # Errors
    /// When it has more than 512 nodes.
    pub(super) fn read(element: &str, scope: Option<&StreamScope>) -> Result<Self, TooManyNodes> {
        let mut reader = reader(element, scope)?;
        let mut open: Vec<Self> = Vec::new();
        let mut nodes = 0;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| TooManyNodes)?;
            let namespace = match namespace {
                ResolveResult::Bound(uri) => Namespace::of(uri.0),
                _ => Namespace::None,
            };
            let complete = match event {
                Event::Start(tag) => {
                    open.push(Self::start(namespace, &tag)?);
                    nodes += 1;
                    None
                }
                Event::Empty(tag) => {
                    nodes += 1;
                    Some(Self::start(namespace, &tag)?)
                }
                Event::End(_) => Some(open.pop().ok_or(TooManyNodes)?),
                Event::Text(text) => {
                    Self::append(&mut open, &text.xml10_content());
                    None
                }
                Event::CData(text) => {
                    Self::append(&mut open, &text.xml10_content());
                    None
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|_| TooManyNodes)?;
                    match character {
                        Some(c) => Self::append(&mut open, c.encode_utf8(&mut [0; 4])),
                        None => Self::append(
                            &mut open,
                            quick_xml::escape::resolve_predefined_entity(&reference)
                                .unwrap_or_default(),
                        ),
                    }
                    None
                }
                _ => return Err(TooManyNodes),
            };
            if nodes > MAX_NODES {
                return Err(TooManyNodes);
            }
            if let Some(node) = complete {
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Ok(node),
                }
            }
        }
    }

    fn start(namespace: Namespace, tag: &BytesStart<'_>) -> Result<Self, TooManyNodes> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|_| TooManyNodes)?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| TooManyNodes)?
                .into_owned();
            attributes.push((attribute.key.0.to_owned(), value));
        }
        let local = tag.local_name().into_inner().to_owned();
        Ok(Self { namespace, local, attributes, text: String::new(), children: Vec::new() })
    }

    fn append(open: &mut [Self], text: &str) {
        if let Some(node) = open.last_mut() {
            node.text.push_str(text);
        }
    }

    /// Whether this is the element `local` of `namespace`.
    pub(crate) fn is(&self, namespace: Namespace, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }

    /// An attribute by its name as written.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first child of that name.
    pub fn child(&self, namespace: Namespace, local: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, local))
    }
}
