//! Finds the position of a field in a YAML text. Used only for an error message.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::config::error::Position;

/// Position of the field with this path (`peers[2].tls.mode`), or of its nearest ancestor that exists. `None` when the
/// text is not YAML.
pub fn locate(text: &str, path: &str) -> Option<Position> {
    let root: Spanned<Node> = serde_saphyr::from_str(text).ok()?;
    let mut found = root.referenced;
    let mut node = &root.value;
    for segment in segments(path) {
        let Some((location, child)) = node.child(segment) else { break };
        found = location;
        node = child;
    }
    position(found)
}

/// `None` for a location that the parser does not know.
pub fn position(location: Location) -> Option<Position> {
    (location.line() > 0).then(|| Position { line: location.line(), column: location.column() })
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        match part.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => Segment::Index(index),
            _ => Segment::Key(part),
        }
    })
}

/// The shape of a document without its values.
enum Node {
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
    Sequence(Vec<Spanned<Node>>),
    Scalar,
}

impl Node {
    /// A key stands for its value (a reader looks there), an element of a sequence for itself.
    fn child(&self, segment: Segment<'_>) -> Option<(Location, &Self)> {
        match (self, segment) {
            (Self::Mapping(entries), Segment::Key(name)) => entries
                .iter()
                .find(|(key, _)| key.value == name)
                .map(|(key, value)| (key.referenced, &value.value)),
            (Self::Sequence(items), Segment::Index(index)) => {
                items.get(index).map(|item| (item.referenced, &item.value))
            }
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_flow_and_block_style() {
        let text = "domains: [{name: a.example}]\npeers:\n  - domain: b.example\n    tls:\n      mode: Required\n  - {domain: c.example, tls: {pins: [x, y]}}\n";
        for (path, line, column) in [
            ("", 1, 1),
            ("domains[0].name", 1, 12),
            ("peers[0].tls.mode", 5, 7),
            ("peers[1].tls.pins[1]", 6, 41),
            ("peers[0].tls.absent", 4, 5),
            ("peers[7].domain", 2, 1),
        ] {
            assert_eq!(locate(text, path), Some(Position { line, column }), "{path}");
        }
    }

    #[test]
    fn what_is_no_yaml_has_no_places() {
        assert_eq!(locate("a: [", "a"), None);
    }
}
