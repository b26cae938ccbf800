//! Runs libFuzzer on the target that `XFED_FUZZ_TARGET` names.

#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("XFED_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| {
            panic!("XFED_FUZZ_TARGET must be one of {:?}", TARGETS.map(|(name, _)| name))
        })
        .1
});

fuzz_target!(|data: &[u8]| TARGET(data));
