//! A small element tree for negotiation, and for the stanzas that tests examine.

use std::fmt;

use quick_xml::escape::escape;
use quick_xml::events::BytesStart;
use quick_xml::name::ResolveResult;

/// An element with its name resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Namespace name; empty if there is none.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// Attributes by qualified name, without namespace declarations.
    pub attributes: Vec<(String, String)>,
    /// Child elements in order.
    pub children: Vec<Element>,
    /// All character data directly inside the element, joined.
    pub text: String,
}

impl Element {
    /// The element of a start tag.
    pub(super) fn of(
        namespace: &ResolveResult<'_>,
        tag: &BytesStart<'_>,
    ) -> Result<Self, quick_xml::Error> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute?;
            let name: &str = attribute.key.as_ref();
            if name != "xmlns" && !name.starts_with("xmlns:") {
                let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?;
                attributes.push((name.to_owned(), value.into_owned()));
            }
        }
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.0.to_owned(),
            ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
        };
        let name = tag.local_name().into_inner().to_owned();
        Ok(Self { namespace, name, attributes, ..Self::default() })
    }

    /// Whether the element has that name.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first child with that name.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }
}

/// The element as XML, for error messages.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} xmlns='{}'", self.name, self.namespace)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}='{}'", escape(value.as_str()))?;
        }
        write!(f, ">{}", escape(self.text.as_str()))?;
        for child in &self.children {
            child.fmt(f)?;
        }
        write!(f, "</{}>", self.name)
    }
}
