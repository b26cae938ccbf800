//! The fields of a schema, by path, and the difference between two schemas: the one that this operator was built with and
//! the one that the API server serves. They differ while the `CustomResourceDefinition` and the operator are of different
//! versions.

use std::collections::BTreeSet;

use serde_json::Value;

/// Fields that a message names before it counts the others.
const NAMED: usize = 3;

/// Paths of all fields of a schema, such as `spec.peers[].profile`, and their permitted values, such as
/// `spec.peers[].profile=Strict`. `{}` stands for the keys of a map.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields(BTreeSet<String>);

/// What two schemas do not have in common: the topmost fields, and values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference {
    /// The operator has them; the API server drops them.
    pub missing: Vec<String>,
    /// The API server has them; the operator ignores them.
    pub unknown: Vec<String>,
}

impl Fields {
    /// Those of spec and status in a schema of the resource.
    pub fn of(schema: &Value) -> Self {
        let mut fields = Self::default();
        for part in ["spec", "status"] {
            if let Some(schema) = schema.pointer(&format!("/properties/{part}")) {
                fields.visit(part, schema);
            }
        }
        fields
    }

    /// Those of spec and status in the definition that this program was built with.
    pub fn own() -> Self {
        let definition = crds::manifest::custom_resource_definition();
        let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
        schema
            .and_then(|schema| serde_json::to_value(schema).ok())
            .as_ref()
            .map(Self::of)
            .unwrap_or_default()
    }

    fn visit(&mut self, path: &str, schema: &Value) {
        self.0.insert(path.to_owned());
        let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        self.0.extend(values.filter_map(Value::as_str).map(|value| format!("{path}={value}")));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            self.visit(&format!("{path}.{name}"), property);
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            self.visit(&format!("{path}[]"), items);
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => self.0.extend([format!("{path}{{}}")]),
            Some(values) if values.is_object() => self.visit(&format!("{path}{{}}"), values),
            _ => {}
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
            self.0.insert(anything(path));
        }
    }

    /// What these fields, the operator's own, and those of the API server do not have in common.
    pub fn compare(&self, served: &Self) -> Difference {
        Difference {
            missing: topmost(self.0.difference(&served.0)),
            unknown: topmost(served.0.difference(&self.0)),
        }
    }

    /// Drops from the value at `path` what these fields do not have: the API server refuses an object that is applied with
    /// an unknown field or value.
    pub fn fit(&self, path: &str, value: &mut Value) {
        match value {
            _ if self.0.contains(&anything(path)) => {}
            Value::Object(object) => {
                let is_map = self.0.contains(&format!("{path}{{}}"));
                object.retain(|name, value| {
                    let field = format!("{path}.{name}");
                    if self.0.contains(&field) {
                        self.fit(&field, value);
                        self.permits(&field, value)
                    } else {
                        self.fit(&format!("{path}{{}}"), value);
                        is_map
                    }
                });
            }
            Value::Array(items) => {
                let path = format!("{path}[]");
                for item in items {
                    self.fit(&path, item);
                }
            }
            _ => {}
        }
    }

    /// Whether the value is one of those that the field may have, if these are listed.
    fn permits(&self, field: &str, value: &Value) -> bool {
        let Some(value) = value.as_str() else { return true };
        let listed = format!("{field}=");
        let is_listed = |known: &String| known.starts_with(&listed);
        self.0.range(listed.clone()..).next().is_none_or(|known| !is_listed(known))
            || self.0.contains(&format!("{field}={value}"))
    }
}

impl Difference {
    /// Neither has what the other lacks.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unknown.is_empty()
    }
}

/// Stands for all that may be below a field of which the schema preserves unknown fields.
fn anything(path: &str) -> String {
    format!("{path}{{*}}")
}

/// The fields, some by name and the others by number.
pub fn named(fields: &[String]) -> String {
    let shown: Vec<String> = fields.iter().take(NAMED).map(|field| shown(field)).collect();
    match fields.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        1 => format!("{} and 1 more", shown.join(", ")),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn shown(field: &str) -> String {
    match field.split_once('=') {
        Some((field, value)) => format!("{field} ({value})"),
        None => field.to_owned(),
    }
}

/// Without the fields within others of them. A field sorts before what it contains.
fn topmost<'a>(fields: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    for field in fields {
        let ends = field.char_indices().filter(|(_, c)| ".[{=".contains(*c)).map(|(at, _)| at);
        let is_within = ends.filter_map(|at| field.get(..at)).any(|outer| kept.contains(outer));
        if !is_within {
            kept.insert(field);
        }
    }
    kept.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"properties": {
            "metadata": {"type": "object"},
            "spec": {"properties": {
                "domains": {"items": {"properties": {"name": {"type": "string"}}}},
                "mode": {"type": "string", "enum": ["A", "B"]},
                "labels": {"additionalProperties": {"type": "string"}},
                "affinity": {"x-kubernetes-preserve-unknown-fields": true}
            }},
            "status": {"properties": {"stage": {"type": "string"}}}
        }})
    }

    fn without(pointer: &str, name: &str) -> Fields {
        let mut schema = schema();
        schema.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
        Fields::of(&schema)
    }

    #[test]
    fn a_field_and_a_value_that_one_of_two_schemas_lacks_is_named_once() {
        let own = Fields::of(&schema());
        assert!(own.compare(&own).is_empty());
        let without_domains = without("/properties/spec/properties", "domains");
        let older = own.compare(&without_domains);
        assert_eq!((older.missing, older.unknown), (vec!["spec.domains".to_owned()], vec![]));
        let newer = without_domains.compare(&own);
        assert_eq!((newer.missing, newer.unknown), (vec![], vec!["spec.domains".to_owned()]));

        let mut fewer = schema();
        fewer["properties"]["spec"]["properties"]["mode"]["enum"] = json!(["A"]);
        let older = own.compare(&Fields::of(&fewer));
        assert_eq!(older.missing, ["spec.mode=B"]);
        assert_eq!(named(&older.missing), "spec.mode (B)");
        let many: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(named(&many), "a, b, c and 2 more");
    }

    #[test]
    fn a_value_is_cut_to_what_the_schema_has() {
        let fields = without("/properties/spec/properties/domains/items/properties", "name");
        let mut value = json!({
            "domains": [{"name": "example.com"}], "mode": "C", "labels": {"a": "b"},
            "affinity": {"nodeAffinity": {"x": [1]}}, "new": 1
        });
        fields.fit("spec", &mut value);
        let expected = json!({"domains": [{}], "labels": {"a": "b"}, "affinity": {"nodeAffinity": {"x": [1]}}});
        assert_eq!(value, expected);
        let mut whole = json!({"mode": "A"});
        fields.fit("spec", &mut whole);
        assert_eq!(whole, json!({"mode": "A"}));
    }

    #[test]
    fn the_own_definition_has_spec_and_status_and_lacks_nothing_of_itself() {
        let own = Fields::own();
        for field in
            ["spec.peers[].profile=Strict", "status.conditions[].type", "spec.pod.labels{}"]
        {
            assert!(own.0.contains(field), "{field}");
        }
        assert!(own.compare(&Fields::own()).is_empty());
    }
}
