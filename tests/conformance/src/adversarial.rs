//! The adversarial list: input of hostile peers. A case is put to a target over sockets where a conversation shows the
//! result; else it names the statement or the test of the engine that shows it.
//!
//! Groups: A identity, B STARTTLS and TLS, C resources (which measure the target's process), D XML, E policy and operations.

mod identity;
mod measured;
mod operations;
mod resources;
mod starttls;
mod xml;

use super::outcome::{Finding, Outcome};
use super::target::Target;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name: a letter for the group and a number.
    pub name: &'static str,
    /// The behaviour of a server that passes.
    pub sentence: &'static str,
    /// The proof.
    pub proof: Proof,
}

/// Kinds of proof.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// A conversation with the target.
    Check(fn(&Target) -> Finding),
    /// The statement of that number, which is run against every target.
    Statement(u8),
    /// A test of the engine: file and function.
    Test(&'static str, &'static str),
    /// The way that the engine is built; the sentence says how.
    Construction(&'static str),
}

impl Case {
    /// Puts it to that target, if it is put over sockets.
    pub fn put(&self, target: &Target) -> Option<Outcome> {
        match self.proof {
            Proof::Check(check) => Some(check(target).into()),
            _ => None,
        }
    }

    /// Its row in the table of all cases.
    pub fn row(&self) -> String {
        let shown = match self.proof {
            Proof::Check(_) => "run against every target".to_owned(),
            Proof::Statement(number) => format!("statement {number}"),
            Proof::Test(file, name) => format!("`{file}`: `{name}`"),
            Proof::Construction(how) => how.to_owned(),
        };
        format!("| {} | {} | {shown} |", self.name, self.sentence.replace('<', "&lt;"))
    }
}

/// All cases, by group and number.
pub fn cases() -> Vec<Case> {
    [identity::CASES, starttls::CASES, resources::CASES, xml::CASES, operations::CASES].concat()
}
