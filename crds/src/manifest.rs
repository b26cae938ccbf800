//! The manifests of the `CustomResourceDefinition`s, as stored in `crds/` and in the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::federation::XmppFederation;
use crate::probe_report::XmppProbeReport;

/// A manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// Its file.
    pub file_name: String,
    /// Its content.
    pub yaml: String,
}

/// The `CustomResourceDefinition` of `XmppFederation`.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    adapted(XmppFederation::crd())
}

/// Every `CustomResourceDefinition` to install.
pub fn custom_resource_definitions() -> [CustomResourceDefinition; 2] {
    [custom_resource_definition(), adapted(XmppProbeReport::crd())]
}

fn adapted(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            adapt(schema);
        }
    }
    crd
}

/// The manifests, one for each resource.
///
/// # Errors
/// When a definition cannot be written as YAML, which would be a bug of this crate.
pub fn manifests() -> Result<Vec<Manifest>, serde_saphyr::ser::Error> {
    let all = custom_resource_definitions();
    let manifest = |crd: &CustomResourceDefinition| {
        let yaml = serde_saphyr::to_string(crd)?;
        Ok(Manifest {
            file_name: format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default()),
            yaml: format!("# Written by crdgen from crds/src; do not edit.\n{yaml}"),
        })
    };
    all.iter().map(manifest).collect()
}

/// Corrects in a derived schema what API servers warn about or misread, and what people do not see:
/// - `nullable`: an absent field means the same as `null`, and rules with `has()` would treat `null` as a value.
/// - the markup of Rust documentation, which `kubectl explain` would show as it is.
/// - descriptions without the default, because `kubectl explain` shows only them.
/// - formats of unsigned integers, which the API does not know; a minimum expresses the same.
fn adapt(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = description.replace("[`", "").replace("`]", "").replace('`', "");
        let default = schema.default.as_ref().and_then(|default| shown(&default.0));
        if let Some(default) = default.filter(|_| !description.contains("Default:")) {
            *description = format!("{description} Default: {default}.");
        }
    }
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = match schema.format.as_deref() {
            Some("uint64" | "uint32") => Some("int64".into()),
            _ => Some("int32".into()),
        };
        schema.minimum.get_or_insert(0.0);
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        adapt(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => adapt(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(adapt),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        adapt(value);
    }
}

/// A default in a sentence; `None` for a section, whose fields have defaults of their own.
fn shown(default: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match default {
        Value::String(text) => Some(in_hours(text).unwrap_or_else(|| text.clone())),
        Value::Bool(_) | Value::Number(_) => Some(default.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whole hours, which Kubernetes writes in seconds.
fn in_hours(text: &str) -> Option<String> {
    let seconds: u64 = text.strip_suffix('s')?.parse().ok()?;
    (seconds > 0 && seconds.is_multiple_of(3600)).then(|| format!("{}h", seconds / 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_stands_in_the_description_that_explain_shows() {
        fn visit(path: &str, schema: &JSONSchemaProps) {
            let default = schema.default.as_ref().and_then(|default| shown(&default.0));
            if let Some(default) = default {
                let description = schema.description.as_deref().unwrap_or_default();
                assert!(
                    description.contains(&format!("Default: {default}")),
                    "{path}: {description}"
                );
            }
            for (name, property) in schema.properties.iter().flatten() {
                visit(&format!("{path}.{name}"), property);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
                visit(&format!("{path}[]"), item);
            }
        }
        let crd = custom_resource_definition();
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let schema = schema.open_api_v3_schema.as_ref().unwrap();
        visit(".spec", &schema.properties.as_ref().unwrap()["spec"]);
        let ttl = in_hours("86400s");
        assert_eq!(
            (ttl.as_deref(), in_hours("Minted"), in_hours("90s")),
            (Some("24h"), None, None)
        );
    }

    #[test]
    fn the_manifests_in_the_tree_are_those_that_the_types_give() {
        for Manifest { file_name, yaml } in manifests().unwrap() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file_name);
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == yaml,
                "{} differs from the types: run `cargo run -p crds --bin crdgen -- --write crds`",
                path.display()
            );
        }
    }

    #[test]
    fn every_list_and_every_text_of_the_spec_that_is_ours_is_bounded() {
        fn visit(path: &str, schema: &JSONSchemaProps) {
            // Types of the core API keep the core's own (missing) bounds.
            const FOREIGN: [&str; 5] = [
                ".spec.pod.affinity",
                ".spec.pod.resources",
                ".spec.pod.tolerations",
                ".spec.pod.topologySpreadConstraints",
                ".spec.networkPolicy",
            ];
            if FOREIGN.contains(&path) {
                return;
            }
            match schema.type_.as_deref() {
                Some("string") => assert!(
                    schema.max_length.is_some()
                        || schema.enum_.is_some()
                        || schema.format.as_deref() == Some("date-time"),
                    "{path} has no maxLength"
                ),
                Some("array") => assert!(schema.max_items.is_some(), "{path} has no maxItems"),
                Some("object") if schema.additional_properties.is_some() => {
                    assert!(schema.max_properties.is_some(), "{path} has no maxProperties");
                }
                Some("integer") => assert!(
                    schema.minimum.is_some() || path.starts_with(".status"),
                    "{path} has no minimum"
                ),
                _ => {}
            }
            assert_eq!(schema.nullable, None, "{path}");
            for (name, property) in schema.properties.iter().flatten() {
                visit(&format!("{path}.{name}"), property);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
                visit(&format!("{path}[]"), item);
            }
        }
        for crd in custom_resource_definitions() {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap();
            let schema = schema.open_api_v3_schema.as_ref().unwrap();
            let parts = schema.properties.as_ref().unwrap();
            for part in ["spec", "status"].into_iter().filter(|part| parts.contains_key(*part)) {
                visit(&format!(".{part}"), &parts[part]);
            }
        }
    }
}
