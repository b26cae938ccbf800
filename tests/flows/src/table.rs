//! The interoperability table. The results of each backend are a file of their own in `results/`, so that suites that run
//! beside each other do not write to one file. The page shows all of them.

use std::fmt::Write as _;

use interop::release::Release;

use crate::error::Result;
use crate::flow::Outcome;
use crate::run::Row;
use crate::side::Software;

/// A peculiarity of a server that has nothing to do with the engine: the flow fails in the same way if both servers reach
/// each other directly.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// The backend.
    pub backend: Software,
    /// The flow.
    pub flow: &'static str,
    /// Whether our side acts.
    pub out: bool,
    /// What the server does.
    pub reason: &'static str,
}

/// All of them.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        backend: Software::Server(Release::Ejabberd23),
        flow: "room: voice, kick and ban",
        out: false,
        reason: "ejabberd 23.01 lists an occupant as banned, and lets the occupant enter again. It does so without the engine as well",
    },
    jabberd2("a subscription is denied", true, "jabberd2 does not tell its user of a denial"),
    jabberd2(
        "unsubscribe, and cancel a subscription",
        true,
        "jabberd2 waits for an answer to `unsubscribe`, as in RFC 3921 §6.4; servers of RFC 6121 send none",
    ),
    jabberd2(
        "remove a contact",
        false,
        "jabberd2 does not tell its user that a contact who removed them has ended both subscriptions",
    ),
    jabberd2(
        "blocking (XEP-0191)",
        true,
        "jabberd2 drops messages of blocked contacts without an error",
    ),
    jabberd2("service discovery and ping of a client", false, DISCO_OF_CLIENTS),
    jabberd2("an avatar in PEP with notifications (XEP-0084)", true, DISCO_OF_CLIENTS),
];

const DISCO_OF_CLIENTS: &str = "jabberd2 answers service discovery in place of its clients, so nobody learns what they support";

const fn jabberd2(flow: &'static str, out: bool, reason: &'static str) -> Exception {
    Exception { backend: Software::Server(Release::Jabberd2), flow, out, reason }
}

/// The name of the file of a backend.
pub fn file(backend: Software) -> String {
    let name = backend.name().to_lowercase();
    let words =
        name.split(|one: char| !one.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    format!("{name}.txt")
}

/// The content of that file: a flow in each line, with both directions, separated by tabs.
pub fn results(backend: Software, rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { flow, out, back, .. } in rows {
        let [out, back] = [(out, true), (back, false)]
            .map(|(result, is_out)| word(backend, flow, is_out, result));
        let _ = writeln!(text, "{flow}\t{out}\t{back}");
    }
    text
}

/// One result: `yes`, or why not.
fn word(backend: Software, flow: &str, out: bool, result: &Result<Outcome>) -> String {
    let exception = EXCEPTIONS
        .iter()
        .find(|known| (known.backend, known.flow, known.out) == (backend, flow, out));
    match (result, exception) {
        (Ok(Outcome::Passed), None) => "yes".to_owned(),
        (Ok(Outcome::Passed), Some(_)) => "yes, although it is a known exception".to_owned(),
        (Ok(Outcome::Unsupported { feature, said }), _) => format!("`{feature}`: {said}"),
        (Err(_), Some(exception)) => exception.reason.to_owned(),
        (Err(_), None) => "FAILED".to_owned(),
    }
}

/// The rows that fail and are no known exception, with their errors.
pub fn failures(backend: Software, rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { flow, out, back, .. } in rows {
        for (result, is_out) in [(out, true), (back, false)] {
            let word = word(backend, flow, is_out, result);
            if word == "FAILED" || word.starts_with("yes,") {
                let direction = if is_out { "out" } else { "in" };
                let error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
                let _ = writeln!(text, "=== {flow}, {direction}: {word}\n{error}");
            }
        }
    }
    text
}

/// The table of all backends with their files, and the notes below it.
pub fn page(backends: &[(Software, String)]) -> String {
    let mut notes: Vec<String> = Vec::new();
    let mut mark = |word: &str| {
        if word == "yes" {
            return "yes".to_owned();
        }
        let place = notes.iter().position(|note| note == word).unwrap_or_else(|| {
            notes.push(word.to_owned());
            notes.len() - 1
        });
        format!("({})", place + 1)
    };
    let names: Vec<&str> = backends.iter().map(|(backend, _)| backend.name()).collect();
    let mut text =
        format!("| flow | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    let flows: Vec<&str> = backends
        .first()
        .map(|(_, file)| file.lines().filter_map(|line| line.split('\t').next()).collect())
        .unwrap_or_default();
    for flow in flows {
        let _ = write!(text, "| {flow} |");
        for (_, file) in backends {
            let line = file.lines().find(|line| line.split('\t').next() == Some(flow));
            let mut words = line.unwrap_or_default().split('\t').skip(1);
            let (out, back) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (out, back) = (mark(out), mark(back));
            let cell = if out == back { out } else { format!("out {out}, in {back}") };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for (number, note) in (1..).zip(&notes) {
        let _ = writeln!(text, "{number}. {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_notes_have_one_number_and_directions_that_differ_are_named() {
        let (prosody, jabberd2) = (Software::BACKENDS[1], Software::BACKENDS[4]);
        let page = page(&[
            (prosody, "a\tyes\tyes\nb\tyes\tno\n".to_owned()),
            (jabberd2, "a\tno\tno\nb\tyes\tno\n".to_owned()),
        ]);
        let expected = "| flow | Prosody 13 | jabberd2 |\n| --- | --- | --- |\n| a | yes | (1) |\n| b | out yes, in (1) | out yes, in (1) |\n\n1. no\n";
        assert_eq!(page, expected);
    }
}
