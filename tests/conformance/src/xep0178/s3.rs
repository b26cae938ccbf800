//! XEP-0178 §3: certificates between servers.

use rcgen::ExtendedKeyUsagePurpose;

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 26,
    section: "XEP-0178 §3",
    sentence: "a client certificate without the usage clientAuth is accepted, as public authorities issue no other",
    run: server_auth_only,
}];

fn server_auth_only(target: &Target) -> Finding {
    let identity = target.authority.issue_with(&[&target.peer], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    })?;
    ensure(target.proves(&target.peer, &identity), || {
        "a certificate with only serverAuth does not authenticate the peer".to_owned()
    })
}
