//! XEP-0220, Server Dialback.

use super::Check;

mod s2_1;
mod s2_2;
mod s2_3;
mod s2_4;
mod s2_5;
mod s2_6;

pub(super) fn checks() -> Vec<Check> {
    [s2_1::CHECKS, s2_2::CHECKS, s2_3::CHECKS, s2_4::CHECKS, s2_5::CHECKS, s2_6::CHECKS].concat()
}
