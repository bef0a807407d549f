//! What fuzzing calls: each target takes any bytes, and panics where a rule does not hold.
//!
//! libFuzzer drives them (`make fuzz`), and so does a test that takes the seeds and changes them at
//! random (`make unit`). A new target is a file here, a line in [`TARGETS`], a folder of seeds in
//! `corpus` and a `[[bin]]` in `Cargo.toml`.

mod collector_answer;
mod context;
mod correlation;
mod lines;
mod mesh_configuration;
mod pairs;
mod plugin_configuration;
mod redaction;
mod regex;
mod remote_sampling;
mod request;
mod rules;
mod span;
mod stranger;
mod tags;
mod tracestate;

/// One target: whether its rules hold for these bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 14] = [
    ("collector_answer", collector_answer::check),
    ("context", context::check),
    ("correlation", correlation::check),
    ("mesh_configuration", mesh_configuration::check),
    ("pairs", pairs::check),
    ("plugin_configuration", plugin_configuration::check),
    ("redaction", redaction::check),
    ("regex", regex::check),
    ("remote_sampling", remote_sampling::check),
    ("rules", rules::check),
    ("span", span::check),
    ("stranger", stranger::check),
    ("tags", tags::check),
    ("tracestate", tracestate::check),
];

/// The target of this name.
pub fn target(name: &str) -> Target {
    TARGETS.iter().find(|(other, _)| *other == name).expect("a target of that name").1
}
