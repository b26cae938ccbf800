//! Ranges of numbers, as the schema of the resource states them: one place for API server, operator and engine.

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;

use crate::config::error::ConfigErrorKind;

/// Checks every number that is set against `minimum` and `maximum` of its field's schema.
///
/// # Errors
/// The first field outside its range, by its name in the file.
pub fn check<T: JsonSchema + Serialize>(settings: &T) -> Result<(), (String, ConfigErrorKind)> {
    let schema = schema_for!(T);
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else { return Ok(()) };
    for (name, value) in &fields {
        let Some(value) = value.as_u64() else { continue };
        let bound = |keyword: &str, otherwise: u64| {
            schema
                .pointer(&format!("/properties/{name}/{keyword}"))
                .and_then(Value::as_u64)
                .unwrap_or(otherwise)
        };
        let (min, max) = (bound("minimum", 0), bound("maximum", u64::MAX));
        if !(min..=max).contains(&value) {
            return Err((name.clone(), ConfigErrorKind::OutOfRange { value, min, max }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::limits::{Limits, Timeouts};

    #[test]
    fn a_number_outside_its_range_is_named_with_the_range() {
        let limits = Limits { stanza_bytes: Some(9_999), ..Limits::default() };
        let (field, kind) = check(&limits).unwrap_err();
        assert_eq!(
            (field.as_str(), kind.to_string().as_str()),
            ("stanzaBytes", "9999 is outside the range from 10000 to 16777216")
        );
        let timeouts = Timeouts { connect_seconds: Some(121), ..Timeouts::default() };
        assert!(check(&timeouts).is_err());
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it_and_absent_is_fine() {
        assert!(check(&Limits::default()).is_ok());
        for bytes in [10_000, 16_777_216] {
            assert!(check(&Limits { stanza_bytes: Some(bytes), ..Limits::default() }).is_ok());
        }
    }
}
