//! RFC 7673, DANE with SRV records.

use super::Check;

mod s3;

pub(super) fn checks() -> Vec<Check> {
    s3::CHECKS.to_vec()
}
