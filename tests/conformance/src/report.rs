//! Reports for people and for programs.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Check;
use super::outcome::Outcome;

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The number of the statement.
    pub id: u8,
    /// The section that defines it.
    pub section: &'static str,
    /// The behaviour of a conforming server.
    pub sentence: &'static str,
    /// The outcome of the check.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Line {
    /// The result of that check.
    pub fn new(check: &Check, outcome: Outcome) -> Self {
        Self { id: check.id, section: check.section, sentence: check.sentence, outcome }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, section, sentence, outcome } = self;
        let (word, more) = match outcome {
            Outcome::Holds => ("holds", None),
            Outcome::Violated { seen } => ("VIOLATED", Some(("seen", seen))),
            Outcome::NotApplicable { why } => ("not run", Some(("because", why))),
        };
        write!(f, "{id:>2}  {word:<8}  {sentence} ({section})")?;
        match more {
            Some((name, text)) => write!(f, "\n              {name}: {}", text.trim()),
            None => Ok(()),
        }
    }
}

/// The results for one target.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The results, in the order of the statements' numbers.
    pub statements: Vec<Line>,
}

impl Report {
    /// The numbers of statements that hold, that are violated, and that were not run.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.statements.iter().filter(|line| wanted(&line.outcome)).count()
        };
        (
            count(|outcome| matches!(outcome, Outcome::Holds)),
            count(|outcome| matches!(outcome, Outcome::Violated { .. })),
            count(|outcome| matches!(outcome, Outcome::NotApplicable { .. })),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holds, violated, not_put) = self.counts();
        write!(f, "{holds} hold, {violated} are violated, {not_put} could not be run")
    }
}

/// Several reports, as `--json` writes them, side by side in Markdown.
///
/// # Errors
/// Returns an error if one of them is not a report.
pub fn table(reports: &[(String, Value)], checks: &[Check]) -> Result<String, String> {
    let mut lines = vec!["| | statement | section |".to_owned(), "| --- | --- | --- |".to_owned()];
    let mut notes = Vec::new();
    for (name, _) in reports {
        push(&mut lines, 0, &format!(" {name} |"));
        push(&mut lines, 1, " --- |");
    }
    for check in checks {
        let mut line = format!("| {} | {} | {} |", check.id, cell(check.sentence), check.section);
        for (name, report) in reports {
            let (mark, note) = mark(report, check.id)
                .ok_or_else(|| format!("the report {name} has no statement {}", check.id))?;
            line.extend([" ", mark, " |"]);
            if let Some(note) = note {
                notes.push(format!("- {}, {name}: {}", check.id, cell(&note)));
            }
        }
        lines.push(line);
    }
    Ok(format!(
        "{}\n\nObservations for violated statements:\n\n{}\n",
        lines.join("\n"),
        notes.join("\n")
    ))
}

fn push(lines: &mut [String], index: usize, text: &str) {
    if let Some(line) = lines.get_mut(index) {
        line.push_str(text);
    }
}

/// The text of a cell, and the observed behaviour if the table must show it.
fn mark(report: &Value, id: u8) -> Option<(&'static str, Option<String>)> {
    let lines = report.get("statements")?.as_array()?;
    let line = lines.iter().find(|line| line.get("id") == Some(&Value::from(id)))?;
    let text = |name| line.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(match text("outcome")?.as_str() {
        "holds" => ("yes", None),
        "violated" => ("**no**", text("seen")),
        _ => ("–", None),
    })
}

/// Maximum characters of the observed behaviour in the table's notes.
const SHOWN: usize = 240;

/// Escapes text so that it cannot end a cell or become markup.
fn cell(text: &str) -> String {
    let mut shown: String = text.trim().chars().take(SHOWN).collect();
    if shown.len() < text.trim().len() {
        shown.push('…');
    }
    shown.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        super::super::statements().into_iter().next().unwrap()
    }

    #[test]
    fn violations_are_counted_and_shown_with_what_was_seen() {
        let seen = "closed | <without>".to_owned();
        let line = Line::new(&check(), Outcome::Violated { seen });
        assert!(line.to_string().contains("VIOLATED"));
        let report = Report { statements: vec![line] };
        assert_eq!(report.counts(), (0, 1, 0));
        let json = serde_json::to_value(&report).unwrap();
        let table = table(&[("x".to_owned(), json)], &[check()]).unwrap();
        assert!(table.contains("**no**") && table.contains(r"closed \| &lt;without>"), "{table}");
    }

    #[test]
    fn what_could_not_be_put_is_not_counted_as_held() {
        let line = Line::new(&check(), Outcome::NotApplicable { why: "nothing".to_owned() });
        assert_eq!(Report { statements: vec![line] }.counts(), (0, 0, 1));
    }

    #[test]
    fn a_report_that_misses_a_statement_makes_no_table() {
        let empty = serde_json::to_value(Report::default()).unwrap();
        assert!(table(&[("x".to_owned(), empty)], &[check()]).is_err());
    }
}
