//! XEP-0185, dialback keys.

use super::Check;

mod s3;

pub(super) fn checks() -> Vec<Check> {
    s3::CHECKS.to_vec()
}
