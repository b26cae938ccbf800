//! The lab's manifests: files with `${NAME}` for values that the lab fills in.

use crate::edge;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::network::{Host, PRIVATE_CIDR};
use crate::parts::{COREDNS_IMAGE, PAUSE_IMAGE};
use crate::paths::{Paths, read};

/// Reads `manifests/FILE` and fills in the addresses and images of the lab, and the additional values from the caller.
pub fn render(paths: &Paths, file: &str, more: &[(&str, &str)]) -> Result<String> {
    let family = Family::of(paths);
    let known = [
        ("PUBLIC_DNS", family.address(Host::Dns).to_string()),
        ("CLUSTER_DNS", family.cluster_dns().to_string()),
        // In a list of strings in quotes.
        ("LOAD_BALANCER_CIDR", family.load_balancer_cidrs().join("', '")),
        ("PRIVATE_CIDR", PRIVATE_CIDR.to_owned()),
        ("PRIVATE_ADDRESS", edge::PRIVATE.to_string()),
        ("PUBLIC_ADDRESS", edge::PUBLIC.to_string()),
        ("COREDNS_IMAGE", COREDNS_IMAGE.to_owned()),
        ("PAUSE_IMAGE", PAUSE_IMAGE.to_owned()),
    ];
    let known: Vec<(&str, &str)> =
        known.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = fill(&read(&paths.source.join("manifests").join(file))?, &known);
    complete(file, fill(&text, more))
}

/// Reads `backends/FILE` and fills in the values from the caller.
pub fn render_backend(paths: &Paths, file: &str, values: &[(&str, &str)]) -> Result<String> {
    complete(file, fill(&read(&paths.source.join("backends").join(file))?, values))
}

/// Replaces every `${NAME}` by its value. If the name is a whole line, all lines of the value get the indentation of that
/// line.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let whole = values.iter().find(|(name, _)| line.trim() == format!("${{{name}}}"));
        if let Some((_, value)) = whole {
            let indentation = line.split('$').next().unwrap_or_default();
            for one in value.lines() {
                if !one.is_empty() {
                    filled.push_str(indentation);
                }
                filled.push_str(one);
                filled.push('\n');
            }
            continue;
        }
        let mut line = line.to_owned();
        for (name, value) in values {
            line = line.replace(&format!("${{{name}}}"), value);
        }
        filled.push_str(&line);
    }
    filled
}

fn complete(file: &str, text: String) -> Result<String> {
    match text.split_once("${").and_then(|(_, rest)| rest.split_once('}')) {
        None => Ok(text),
        Some((name, _)) => {
            Err(Error::State(format!("{file} asks for ${{{name}}}, which nobody gave")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_has_all_of_its_names_filled_in() {
        let paths = Paths::from_env().unwrap();
        for entry in std::fs::read_dir(paths.source.join("manifests")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(!render(&paths, &file, &[]).unwrap().contains("${"), "{file}");
        }
    }

    #[test]
    fn a_value_of_several_lines_gets_the_indentation_of_its_name() {
        let text = "a:\n  ${LIST}\n  c: ${C}\n";
        let filled = fill(text, &[("LIST", "- 1\n\n- 2"), ("C", "3")]);
        assert_eq!(filled, "a:\n  - 1\n\n  - 2\n  c: 3\n");
    }

    #[test]
    fn a_name_that_nobody_gives_is_an_error() {
        let paths = Paths::from_env().unwrap();
        let error = render_backend(&paths, "prosody.yaml", &[]).unwrap_err();
        assert!(error.to_string().contains("which nobody gave"), "{error}");
    }
}
