//! The pages of docs/backends show the settings that the tests run.

use std::fs;

use lab::error::{Error, Result};
use lab::manifest::fill;
use lab::paths::{Paths, read, write};

/// Begins the line before a block that is a file of this tree.
const MARK: &str = "<!-- from ";
/// The settings that the status shows.
const SETTINGS: &str = "operator/src/configure";
/// The names on the pages.
const NAMES: [(&str, &str); 12] = [
    ("DOMAIN", "example.com"),
    ("FEDERATION", "example"),
    ("CERTIFICATE", "example-backend-tls"),
    ("NAMESPACE", "im"),
    ("IMAGE", "your-image"),
    ("BACKEND_DNS", "10.96.3.7"),
    ("KEY_PAIR", "/etc/federation/tls/tls"),
    ("ADDRESS", "::"),
    ("INTERFACE", "*"),
    ("DATA", "/var/lib/ejabberd"),
    ("UPLOAD_HOST", "upload.example.com"),
    ("UPLOAD_URL", "https://upload.example.com"),
];

/// The page with the content of the files in its marked blocks.
fn with_files(paths: &Paths, page: &str) -> Result<String> {
    let broken = |what: &str| Error::State(format!("a marked block {what}"));
    let mut parts = page.split(MARK);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (file, rest) =
            part.split_once(" -->\n```").ok_or_else(|| broken("does not follow its mark"))?;
        let (language, rest) = rest.split_once('\n').ok_or_else(|| broken("has no content"))?;
        let (_, after) = rest.split_once("```").ok_or_else(|| broken("has no end"))?;
        let content = fill(&read(&paths.tree().join(file))?, &NAMES);
        for text in [MARK, file, " -->\n```", language, "\n", &content, "```", after] {
            whole.push_str(text);
        }
    }
    Ok(whole)
}

#[test]
fn every_page_shows_the_files_of_the_tests_or_says_that_it_is_not_tested() {
    let paths = Paths::from_env().unwrap();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut pages = 0;
    for entry in fs::read_dir(paths.tree().join("docs/backends")).unwrap() {
        let file = entry.unwrap().path();
        let page = read(&file).unwrap();
        let wanted = with_files(&paths, &page).unwrap();
        if update {
            write(&file, &wanted).unwrap();
        } else {
            let name = file.display();
            assert_eq!(page, wanted, "UPDATE_GOLDEN=1 puts the files into {name}");
        }
        let tested = page.contains(MARK);
        let says_not = page.contains("**Not tested**");
        assert_ne!(
            tested,
            says_not,
            "{}: it shows files of the tests or it is not tested",
            file.display()
        );
        pages += 1;
    }
    assert!(pages >= 9, "the pages are found");
}

#[test]
fn every_file_of_settings_is_on_a_page() {
    let paths = Paths::from_env().unwrap();
    let mut text = String::new();
    for entry in fs::read_dir(paths.tree().join("docs/backends")).unwrap() {
        text.push_str(&read(&entry.unwrap().path()).unwrap());
    }
    for entry in fs::read_dir(paths.tree().join(SETTINGS)).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("{MARK}{SETTINGS}/{file} -->")), "no page shows {file}");
    }
}
