//! The fuzz targets: functions that accept any bytes and panic where a guarantee is broken. `make fuzz` runs them with
//! libFuzzer. The engine's test `fuzz_corpora` runs them with every corpus input, on every run of `make test`.

mod certificates;
mod component;
mod configuration;
mod names;
mod proxy;
mod stanzas;
mod streams;

/// A function that takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// All targets, by the name of their corpus directory.
pub(crate) const TARGETS: [(&str, Target); 13] = [
    ("scanner", stanzas::scanner),
    ("header", stanzas::header),
    ("dialback", stanzas::dialback),
    ("address", stanzas::address),
    ("proxy", proxy::proxy),
    ("names", certificates::names),
    ("chain", certificates::chain),
    ("tlsa", certificates::tlsa),
    ("plan", names::plan),
    ("responder", names::responder),
    ("configuration", configuration::configuration),
    ("streams", streams::streams),
    ("component", component::component),
];
