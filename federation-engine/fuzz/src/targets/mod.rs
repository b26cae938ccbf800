//! What is fuzzed: functions that take any bytes and panic where a promise is broken. `make fuzz` feeds them with libFuzzer;
//! the test `fuzz_corpora` of the engine feeds them with every kept input, on every run of `make test`.

mod certificates;
mod configuration;
mod names;
mod stanzas;
mod streams;

/// A function that takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// All of them, by the name of the directory of their kept inputs.
pub(crate) const TARGETS: [(&str, Target); 11] = [
    ("scanner", stanzas::scanner),
    ("header", stanzas::header),
    ("dialback", stanzas::dialback),
    ("address", stanzas::address),
    ("names", certificates::names),
    ("chain", certificates::chain),
    ("tlsa", certificates::tlsa),
    ("plan", names::plan),
    ("responder", names::responder),
    ("configuration", configuration::configuration),
    ("streams", streams::streams),
];
