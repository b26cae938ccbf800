//! Names that have a type are written in one place: the conditions of XMPP (`crds/src/xmpp.rs`) and the words of the evidence
//! (`crds/src/word.rs`). A literal of such a name elsewhere escapes the compiler when it is misspelt or renamed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

#[path = "literals/messages.rs"]
mod messages;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crds::word::Word;
use crds::xmpp::{SaslCondition, StanzaCondition, StreamCondition};

/// A string literal, with the line and the byte at which it begins.
#[derive(Debug, PartialEq)]
struct Literal {
    text: String,
    line: usize,
    at: usize,
}

/// A part of Rust source.
enum Part<'a> {
    /// One character of code.
    Code,
    /// A string literal, with its content. Escapes stay as they are: no name has any.
    Text(&'a str),
    /// A comment, a character literal, or the apostrophe of a lifetime.
    Other,
}

/// Visits the parts of Rust source that the compiler accepts, with their position and source text.
fn scan<'a>(source: &'a str, mut visit: impl FnMut(usize, &'a str, Part<'a>)) {
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let (part, length) = if rest.starts_with("//") {
            (Part::Other, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Part::Other, rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if let Some((text, length)) = string(rest) {
            (Part::Text(text), length)
        } else if first == '\'' {
            (Part::Other, character(rest))
        } else {
            (Part::Code, first.len_utf8())
        };
        visit(at, &rest[..length], part);
        at += length;
    }
}

/// The string literals of Rust source.
fn literals(source: &str) -> Vec<Literal> {
    let (mut found, mut line) = (Vec::new(), 1);
    scan(source, |at, piece, part| {
        if let Part::Text(text) = part {
            found.push(Literal { text: text.to_owned(), line, at });
        }
        line += piece.matches('\n').count();
    });
    found
}

/// The content of the string literal at the beginning, and the length of the literal.
fn string(source: &str) -> Option<(&str, usize)> {
    let raw = source.strip_prefix("br").or_else(|| source.strip_prefix('r'));
    if let Some(raw) = raw {
        let hashes = raw.bytes().take_while(|&byte| byte == b'#').count();
        if let Some(content) = raw[hashes..].strip_prefix('"') {
            let end = content.find(&format!("\"{}", "#".repeat(hashes)))?;
            return Some((&content[..end], source.len() - content.len() + end + 1 + hashes));
        }
    }
    let content = source.strip_prefix('b').unwrap_or(source).strip_prefix('"')?;
    let mut escaped = false;
    let end = content.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&content[..end], source.len() - content.len() + end + 1))
}

/// The length of the character literal at the beginning, or of the apostrophe of a lifetime.
fn character(source: &str) -> usize {
    let mut characters = source.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let behind = at + escaped.len_utf8();
            behind + source[behind..].find('\'').map_or(0, |end| end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// The modules of tests that a source declares: their positions, and the text after `mod`.
fn test_modules(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source.match_indices("\n#[cfg(test)]\n").filter_map(|(at, attribute)| {
        let declaration = source[at + attribute.len()..].lines().next()?;
        Some((at, declaration.trim_start_matches("pub(crate) ").strip_prefix("mod ")?))
    })
}

/// The part of the source that belongs to the program: unit tests are at the end.
fn program(source: &str) -> &str {
    let end = test_modules(source).find(|(_, module)| module.ends_with('{'));
    end.map_or(source, |(at, _)| &source[..at])
}

/// The sources of a program with their text, without those of tests.
fn sources(root: &Path) -> Vec<(PathBuf, String)> {
    let (mut files, mut tests) = (Vec::new(), Vec::new());
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let below = match path.file_stem().unwrap().to_str().unwrap() {
                    "lib" | "main" => root.to_owned(),
                    _ => path.with_extension(""),
                };
                let declared =
                    test_modules(&source).filter_map(|(_, module)| module.strip_suffix(';'));
                tests.extend(declared.map(|module| below.join(module)));
                files.push((path, source));
            }
        }
    }
    files.retain(|(path, _)| !tests.iter().any(|test| path.with_extension("").starts_with(test)));
    files
}

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Where a literal of the programs is one of the names.
fn written_out(names: &HashSet<&str>) -> Vec<String> {
    let roots = ["federation-engine/src", "federation-engine/proto/src", "operator/src"];
    let files: Vec<_> = roots.iter().flat_map(|root| sources(&repository().join(root))).collect();
    assert!(files.len() > 200, "{} files are not the two programs", files.len());
    let mut found = Vec::new();
    for (path, source) in files {
        for Literal { text, line, at: _ } in literals(program(&source)) {
            if names.contains(text.as_str()) {
                found.push(format!("{}:{line}: {text:?}", path.display()));
            }
        }
    }
    found
}

#[test]
fn literals_are_found_in_code_and_nowhere_else() {
    let source = r##"
// "comment" and /* "comment" */
/// "documentation"
fn f<'a>(x: &'a str) { g('"', '\'', 'a', "first", b"second"); /* "comment
"*/ h(r"third", r#"four"th"#, "fi\"fth", '\u{1F600}', "
sixth"); var("seventh") }
"##;
    let found = literals(source);
    let texts: Vec<&str> = found.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(texts, ["first", "second", "third", "four\"th", "fi\\\"fth", "\nsixth", "seventh"]);
    assert_eq!(found.iter().map(|literal| literal.line).collect::<Vec<_>>(), [4, 4, 5, 5, 5, 5, 6]);
    let source = "a(\"b\");\n#[cfg(test)]\nmod c;\nd();\n#[cfg(test)]\nmod tests {\n}\n";
    assert!(program(source).ends_with("d();"));
}

#[test]
fn conditions_of_xmpp_are_named_by_their_types() {
    let streams = StreamCondition::ALL.iter().map(StreamCondition::as_str);
    let stanzas = StanzaCondition::ALL.iter().map(StanzaCondition::as_str);
    let sasl = SaslCondition::ALL.iter().map(SaslCondition::as_str);
    let names = streams.chain(stanzas).chain(sasl).collect();
    assert_eq!(written_out(&names), [""; 0]);
}

#[test]
fn words_of_the_evidence_are_named_by_their_type() {
    // A word with one capital may be any word of English.
    let several = |name: &&str| name.bytes().filter(u8::is_ascii_uppercase).count() > 1;
    let names = Word::ALL.iter().map(Word::as_str).filter(several).collect();
    assert_eq!(written_out(&names), [""; 0]);
}
