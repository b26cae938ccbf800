//! Values that are strings in JSON and YAML, and have their own types in the program.

/// Implements `Serialize`, `Deserialize` and `JsonSchema` through `Display` and `FromStr`. The error quotes
/// the rejected text, so that it can be found in a long file.
macro_rules! serde_as_text {
    ($type:ty, $name:literal, min = $min:expr, max = $max:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(|error| {
                    serde::de::Error::custom(format_args!("{text:?}: {error}"))
                })
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "minLength": $min, "maxLength": $max})
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

pub(crate) use serde_as_text;
