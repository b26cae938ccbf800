//! Changes of JSON objects.

use serde_json::Value;

/// Lays one object over another one: fields of the same name are replaced, objects field by field.
pub fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_replaced_and_objects_are_merged() {
        let mut below = json!({"a": {"b": 1, "c": [1]}, "d": 2});
        lay_over(&mut below, &json!({"a": {"c": [2]}, "e": {"f": 3}}));
        assert_eq!(below, json!({"a": {"b": 1, "c": [2]}, "d": 2, "e": {"f": 3}}));
    }
}
