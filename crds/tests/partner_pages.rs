//! The settings on the pages of the partners are valid and have the effect that the pages state.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crds::federation::XmppFederationSpec;
use serde_json::{Value, json};

/// The pages and their text.
fn pages() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/partners");
    let mut pages: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// The blocks of YAML on a page.
fn samples(page: &str) -> impl Iterator<Item = &str> {
    page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn every_sample_of_a_page_is_a_valid_entry_of_the_resource() {
    let mut checked = 0;
    for (name, page) in pages() {
        for sample in samples(&page) {
            let mut spec: Value = serde_saphyr::from_str(sample).unwrap();
            assert!(spec.get("peers").is_some(), "{name}: {sample}");
            spec.as_object_mut()
                .unwrap()
                .insert("domains".to_owned(), json!([{"name": "example.com"}]));
            let spec: XmppFederationSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(crds::validate::validate("example", &spec), [], "{name}: {sample}");
            checked += 1;
        }
    }
    assert_eq!(checked, 7, "samples are found");
}

#[test]
fn the_index_has_every_page_and_the_profile_that_the_page_sets() {
    let pages = pages();
    let index = &pages.iter().find(|(name, _)| name == "README.md").unwrap().1;
    for (name, page) in pages.iter().filter(|(name, _)| name != "README.md") {
        let link = format!("[{name}]({name})");
        let row = index.lines().find(|line| line.starts_with('|') && line.contains(&link));
        assert!(row.is_some(), "no row for {name}");
        for profile in page.lines().filter_map(|line| line.trim().strip_prefix("profile: ")) {
            let profile = profile.split_whitespace().next().unwrap_or_default();
            assert!(row.unwrap_or_default().contains(&format!("`{profile}`")), "{name}: {profile}");
        }
    }
}

/// The tags of sources in a text, as `[S-1]`.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.split("[S-").skip(1).filter_map(|rest| rest.split(']').next())
}

#[test]
fn every_source_that_a_page_or_a_description_cites_is_in_the_list_and_the_other_way_round() {
    let mut texts: Vec<String> = pages().into_iter().map(|(_, page)| page).collect();
    let descriptions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peer/src/partners");
    for entry in fs::read_dir(descriptions).unwrap() {
        texts.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let cited: BTreeSet<&str> =
        texts.iter().flat_map(|text| tags(text)).filter(|tag| *tag != "nn").collect();
    let pages = pages();
    let index = &pages.iter().find(|(name, _)| name == "README.md").unwrap().1;
    let listed: BTreeSet<&str> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| S-")?.split_whitespace().next())
        .collect();
    assert_eq!(cited, listed);
}

/// A simulated partner is called so wherever it is shown.
#[test]
fn pages_of_simulated_partners_say_so() {
    let pages = pages();
    let index = &pages.iter().find(|(name, _)| name == "README.md").unwrap().1;
    let mut simulated = 0;
    for (name, page) in pages.iter().filter(|(name, _)| name != "README.md") {
        let row = index.lines().find(|line| line.contains(&format!("({name})")));
        let says = row.unwrap_or_default().ends_with("| a simulation |");
        assert_eq!(page.contains("*Simulated.*"), says, "{name}");
        simulated += usize::from(says);
    }
    assert_eq!(simulated, 6);
}
