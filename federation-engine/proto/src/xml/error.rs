//! Why input is not acceptable XML.

/// Why a stream's bytes cannot be accepted. Final: nothing after it can be delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or not namespace-well-formed (RFC 6120 §4.9.3.13).
    #[error("the XML is not well-formed: {0}")]
    NotWellFormed(#[from] Malformation),
    /// A feature of XML that XMPP forbids (RFC 6120 §11.1).
    #[error("XMPP forbids {0} in a stream")]
    Restricted(&'static str),
    /// Any encoding other than UTF-8 (RFC 6120 §11.6).
    #[error("the stream is not encoded in UTF-8")]
    UnsupportedEncoding,
    /// Larger than a limit (RFC 6120 §13.12).
    #[error("{0}")]
    Exceeded(#[from] Bound),
}

/// Which rule of XML 1.0 or of Namespaces in XML is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformation {
    /// Not even the first character can begin a stream.
    #[error("the input does not begin with a tag")]
    NotXml,
    /// XML 1.0 §3.1, productions 40 to 42.
    #[error("a tag is malformed")]
    Tag,
    /// XML 1.0 §2.3, Namespaces §4.
    #[error("a name is malformed")]
    Name,
    /// XML 1.0 §3.1, production 41.
    #[error("an attribute is malformed")]
    Attribute,
    /// XML 1.0 §3.1, WFC: Unique Att Spec; Namespaces §6.3.
    #[error("an attribute occurs twice in a tag")]
    DuplicateAttribute,
    /// XML 1.0 §3.1, WFC: No < in Attribute Values.
    #[error("an attribute value contains '<'")]
    LessThanInAttribute,
    /// XML 1.0 §3, WFC: Element Type Match.
    #[error("an end tag does not match its start tag")]
    EndTag,
    /// XML 1.0 §4.1.
    #[error("a reference is malformed")]
    Reference,
    /// XML 1.0 §2.2.
    #[error("a character is not allowed in XML")]
    Character,
    /// RFC 3629.
    #[error("the bytes are not UTF-8")]
    Utf8,
    /// XML 1.0 §2.4.
    #[error("character data contains ']]>'")]
    CdataEnd,
    /// Text between first-level elements (RFC 6120 §4.1 permits only elements and whitespace there).
    #[error("text occurs outside of an element")]
    StrayText,
    /// XML 1.0 §2.8.
    #[error("the XML declaration is malformed")]
    Declaration,
    /// Namespaces §5, NSC: Prefix Declared.
    #[error("a namespace prefix is not declared")]
    UndeclaredPrefix,
    /// Namespaces §3, NSC: Reserved Prefixes and Namespace Names, No Prefix Undeclaring.
    #[error("a namespace declaration is not allowed")]
    NamespaceDeclaration,
}

/// Which bound of [`Bounds`](super::Bounds) was exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Bound {
    /// [`element_bytes`](super::Bounds::element_bytes).
    #[error("an element exceeds the limit of {limit} bytes")]
    ElementBytes {
        /// The bound.
        limit: usize,
    },
    /// Bytes of a stream before it is authenticated, white space included.
    #[error("the peer has sent {limit} bytes before authentication or")]
    UnauthenticatedBytes {
        /// The bound.
        limit: usize,
    },
    /// [`depth`](super::Bounds::depth).
    #[error("elements are nested deeper than the limit of {limit}")]
    Depth {
        /// The bound.
        limit: usize,
    },
    /// [`attributes`](super::Bounds::attributes).
    #[error("a tag exceeds the limit of {limit} attributes")]
    Attributes {
        /// The bound.
        limit: usize,
    },
    /// Namespace declarations in scope; see [`attributes`](super::Bounds::attributes).
    #[error("the namespace declarations in scope exceed the limit of {limit}")]
    Declarations {
        /// The bound.
        limit: usize,
    },
    /// Declarations that an element inherits from the stream's opening tag.
    #[error(
        "the namespace declarations that an element inherits exceed the limit of {limit} bytes"
    )]
    Inherited {
        /// The bound.
        limit: usize,
    },
    /// [`name_bytes`](super::Bounds::name_bytes).
    #[error("a name exceeds the limit of {limit} bytes")]
    NameBytes {
        /// The bound.
        limit: usize,
    },
}
