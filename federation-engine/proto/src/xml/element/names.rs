//! The names of an element and of its children with their namespaces. Not used for relayed stanzas: only for decisions
//! after a failure, and for messages.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

use super::Element;
use crate::xml::escape::printable;
use crate::xml::tree;

/// Maximum bytes of a name in a message.
const MAX_NAME: usize = 128;

impl Element {
    /// Whether one of the children has this expanded name.
    pub(crate) fn has_child(&self, uri: &str, local: &str) -> bool {
        self.find(|depth, namespace, name| depth == 1 && (namespace, name) == (uri, local))
    }

    /// The element as a message names it: `<name xmlns='namespace'/>`.
    pub(crate) fn described(&self) -> String {
        let mut described = String::new();
        self.find(|_, namespace, name| {
            let (name, namespace) = (printable(name, MAX_NAME), printable(namespace, MAX_NAME));
            described = format!("<{name} xmlns='{namespace}'/>");
            true
        });
        described
    }

    /// Parses start tags, with their depth, until one matches. False if none does.
    fn find(&self, mut wanted: impl FnMut(usize, &str, &str) -> bool) -> bool {
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        let Ok(mut reader) = tree::reader(text, self.scope.as_deref()) else { return false };
        let mut depth = 0_usize;
        loop {
            let Ok((namespace, event)) = reader.read_resolved_event() else { return false };
            let (tag, opens) = match &event {
                Event::Start(tag) => (tag, true),
                Event::Empty(tag) => (tag, false),
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    continue;
                }
                Event::Eof => return false,
                _ => continue,
            };
            let namespace = match namespace {
                ResolveResult::Bound(uri) => uri.0,
                _ => "",
            };
            if wanted(depth, namespace, tag.local_name().into_inner()) {
                return true;
            }
            depth += usize::from(opens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str) -> Element {
        Element::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_child_is_found_by_its_namespace_whatever_its_prefix() {
        for (text, expected) in [
            ("<presence><x xmlns='urn:x'/></presence>", true),
            ("<presence><c xmlns='urn:c'><y/></c><p:x xmlns:p='urn:x'>a</p:x></presence>", true),
            ("<presence xmlns:p='urn:x'><p:x/></presence>", true),
            ("<presence/>", false),
            ("<presence><x/></presence>", false),
            ("<presence><x xmlns='urn:y'/></presence>", false),
            ("<presence><y xmlns='urn:x'/></presence>", false),
            ("<presence><y xmlns='urn:y'><x xmlns='urn:x'/></y></presence>", false),
            ("<x xmlns='urn:x'/>", false),
        ] {
            assert_eq!(element(text).has_child("urn:x", "x"), expected, "{text}");
        }
        let many = format!("<presence>{}<x xmlns='urn:x'/></presence>", "<y/>".repeat(5_000));
        assert!(element(&many).has_child("urn:x", "x"));
    }

    #[test]
    fn a_message_names_an_element_with_its_namespace_and_no_more_of_it_than_fits() {
        assert_eq!(element("<iq id='1'/>").described(), "<iq xmlns='jabber:server'/>");
        let other = element("<p:other xmlns:p='urn:x'><y/></p:other>");
        assert_eq!(other.described(), "<other xmlns='urn:x'/>");
        let long = format!("<{0} xmlns='urn:{0}'/>", "x".repeat(1_000));
        assert!(element(&long).described().len() < 300);
    }
}
