//! Parses the `JUnit` XML report that cargo-nextest writes for a run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::error::{PipelineError, Result};

/// One test that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its test program, as cargo-nextest names it: `lab::people`.
    pub program: String,
    /// Its name in the test program.
    pub name: String,
    /// Its duration.
    pub took: Duration,
    /// Its output, if it failed.
    pub failure: Option<String>,
}

/// Reads a report.
pub fn read(file: &Path) -> Result<Vec<Test>> {
    let text = fs::read_to_string(file).map_err(PipelineError::io("reading", file))?;
    parse(&text).map_err(|why| PipelineError::Format { file: file.display().to_string(), why })
}

fn parse(report: &str) -> std::result::Result<Vec<Test>, String> {
    let mut reader = Reader::from_str(report);
    let mut tests = Vec::new();
    let mut program = String::new();
    let mut test: Option<Test> = None;
    let mut in_failure = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => return Ok(tests),
            Event::Start(start) => match start.name().as_ref() {
                "testsuite" => program = attribute(&start, "name")?.unwrap_or_default(),
                "testcase" => test = Some(case(&program, &start)?),
                "failure" | "error" => {
                    in_failure = true;
                    fail(test.as_mut(), &start)?;
                }
                _ => {}
            },
            Event::Empty(start) => match start.name().as_ref() {
                "testcase" => tests.push(case(&program, &start)?),
                "failure" | "error" => fail(test.as_mut(), &start)?,
                _ => {}
            },
            Event::Text(words) if in_failure => {
                say(test.as_mut(), &words.xml_content(XmlVersion::Explicit1_0));
            }
            Event::CData(words) if in_failure => say(test.as_mut(), &words),
            Event::GeneralRef(reference) if in_failure => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                let named = || resolve_predefined_entity(&reference).map(str::to_owned);
                let words = character.map(String::from).or_else(named);
                say(test.as_mut(), &words.unwrap_or_default());
            }
            Event::End(end) => match end.name().as_ref() {
                "testcase" => tests.extend(test.take()),
                "failure" | "error" => in_failure = false,
                _ => {}
            },
            _ => {}
        }
    }
}

fn case(program: &str, start: &BytesStart<'_>) -> std::result::Result<Test, String> {
    let seconds = attribute(start, "time")?.and_then(|time| time.parse().ok()).unwrap_or_default();
    Ok(Test {
        program: program.to_owned(),
        name: attribute(start, "name")?.unwrap_or_default(),
        took: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        failure: None,
    })
}

/// Some kinds of failure have only these attributes, for example a timeout.
fn fail(test: Option<&mut Test>, start: &BytesStart<'_>) -> std::result::Result<(), String> {
    if let Some(test) = test {
        let message = attribute(start, "message")?.or(attribute(start, "type")?);
        test.failure = Some(message.unwrap_or_default() + "\n");
    }
    Ok(())
}

fn say(test: Option<&mut Test>, words: &str) {
    if let Some(said) = test.and_then(|test| test.failure.as_mut()) {
        said.push_str(words);
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> std::result::Result<Option<String>, String> {
    let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
    found
        .map(|found| found.normalized_value(XmlVersion::Explicit1_0).map(String::from))
        .transpose()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_failed_and_ended_tests_are_read() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="2" errors="0" uuid="u" timestamp="t" time="1.5">
    <testsuite name="tests::people" tests="3" disabled="0" errors="0" failures="2">
        <testcase name="meet" classname="tests::people" timestamp="t" time="0.250"/>
        <testcase name="part" classname="tests::people" timestamp="t" time="1.000">
            <failure message="thread &apos;part&apos; panicked" type="test failure">it &amp; that
was all</failure>
            <system-out>noise</system-out>
        </testcase>
        <testcase name="hang" classname="tests::people" timestamp="t" time="600">
            <failure type="test timeout"/>
        </testcase>
    </testsuite>
</testsuites>"#;
        let tests = parse(text).unwrap();
        let seen: Vec<_> =
            tests.iter().map(|test| (test.name.as_str(), test.failure.as_deref())).collect();
        assert_eq!(
            seen,
            [
                ("meet", None),
                ("part", Some("thread 'part' panicked\nit & that\nwas all")),
                ("hang", Some("test timeout\n")),
            ]
        );
        assert_eq!(tests[0].took, Duration::from_millis(250));
        assert_eq!(tests[0].program, "tests::people");
    }
}
