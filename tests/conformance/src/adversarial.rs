//! The adversarial list: input of hostile peers. A case runs against a target over sockets if a conversation can show
//! the result. Otherwise it names the statement or the engine test that shows the result.
//!
//! Groups: A identity, B STARTTLS and TLS, C resources (these cases measure the target's process), D XML, E policy and
//! operations.

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
    /// The behaviour of a conforming server.
    pub sentence: &'static str,
    /// The proof.
    pub proof: Proof,
}

/// Kinds of proof.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// A conversation with the target.
    Check(fn(&Target) -> Finding),
    /// The statement with that number, which runs against every target.
    Statement(u8),
    /// A test of the engine: file and function.
    Test(&'static str, &'static str),
    /// A property of the engine's construction; the sentence describes it.
    Construction(&'static str),
}

impl Case {
    /// Runs the case against that target, if the case runs over sockets.
    pub fn put(&self, target: &Target) -> Option<Outcome> {
        match self.proof {
            Proof::Check(check) => Some(check(target).into()),
            _ => None,
        }
    }

    /// The row of the case in the table of all cases.
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
