//! RFC 7622, addresses.

use super::Check;

mod s3_2;

pub(super) fn checks() -> Vec<Check> {
    s3_2::CHECKS.to_vec()
}
