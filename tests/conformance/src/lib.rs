//! A conformance suite for XMPP between servers: 71 rules that implementers often violate. A separate check tests each
//! rule against a server over real sockets. Each section of an RFC or XEP has its own file.
//!
//! A check is a function over a [`target::Target`]; [`statements`] lists all of them. The program is `s2s-conformance`.

pub mod adversarial;
pub mod dialled;
pub mod ejabberd;
pub mod ending;
mod header;
mod inside;
mod opened;
pub mod outcome;
pub mod outside;
pub mod prosody;
pub mod report;
mod signed;
pub mod target;
mod tls;
pub mod world;

mod rfc6120;
mod rfc7590;
mod rfc7622;
mod rfc7673;
mod xep0178;
mod xep0185;
mod xep0220;
mod xep0288;
mod xep0368;

use outcome::{Finding, Outcome};
use target::Target;

/// Number of statements.
pub const STATEMENTS: u8 = 71;

/// One statement and its check against a target.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its number, 1 to 71.
    pub id: u8,
    /// The section that defines it.
    pub section: &'static str,
    /// The behaviour of a conforming server.
    pub sentence: &'static str,
    /// The conversation.
    pub run: fn(&Target) -> Finding,
}

impl Check {
    /// Runs the check against that target.
    pub fn put(&self, target: &Target) -> Outcome {
        if let Some(outside) = &target.outside {
            // This check must not see the connections of an earlier check.
            outside.starttls.clear();
            outside.direct.clear();
            outside.trap.clear();
        }
        (self.run)(target).into()
    }
}

/// All checks, in the order of their numbers.
pub fn statements() -> Vec<Check> {
    let mut all = [
        rfc6120::checks(),
        rfc7590::checks(),
        rfc7622::checks(),
        rfc7673::checks(),
        xep0178::checks(),
        xep0185::checks(),
        xep0220::checks(),
        xep0288::checks(),
        xep0368::checks(),
    ]
    .concat();
    all.sort_by_key(|check| check.id);
    all
}
