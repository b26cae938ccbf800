//! XEP-0288, bidirectional streams.

use super::Check;

mod s2;

pub(super) fn checks() -> Vec<Check> {
    s2::CHECKS.to_vec()
}
