//! Which new traces are sampled: a percentage alone, or an object with rules and more.

use std::borrow::Cow;
use std::time;

use super::error::ConfigError;
use super::field::{Field, Object};
use super::keys::Kind::{self, Boolean, Duration, Own, Percent, Text};
use super::keys::{self, Key, key, needed};
use super::matching::{MAX_TEXT, OWN_HEADERS};
use super::plugin::SAMPLING_KEYS;
use super::rule::{self, Rule};
use super::{Percentage, PluginConfig, RemoteSampling, remote};

/// Which new traces are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of new traces that no rule matches.
    pub percent: Percentage,
    /// The lower-case names of the headers that rules and probes are told by, each once; first
    /// `:path`, `:method`, `:authority` and `user-agent`.
    pub headers: Vec<Cow<'static, str>>,
    /// The first rule that matches decides.
    pub rules: Vec<Rule>,
    /// The ceiling on sampled new traces, those of rules with ceilings of their own included.
    pub ceiling: Option<Ceiling>,
    /// Whether probes and health checks that no rule matches are left out.
    pub drop_probes: bool,
    /// The header that has a new trace sampled, whatever rules and ceilings say.
    pub force: Option<Force>,
    /// The server whose word counts in the place of [`Self::percent`], once it has given it.
    pub remote: Option<RemoteSampling>,
    /// Which requests of traces that are not sampled are exported all the same.
    pub keep: Option<Keep>,
}

/// A header of a request, and the value that it has to have, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Force {
    /// Its lower-case name.
    pub header: String,
    /// Its value, not empty.
    pub value: String,
}

/// The most sampled new traces a second, which all workers of a proxy share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// How many there are a second over time, 0.01 to 100,000.
    pub per_second: f64,
    /// How many may come at once after a while with fewer, 1 to 100,000.
    pub burst: f64,
}

impl Ceiling {
    /// So many a second, and at once half a second's, but one at the least.
    pub fn new(per_second: f64) -> Self {
        // With more, the first ten seconds of a load would have a tenth more than they may.
        Self { per_second, burst: (per_second / 2.0).max(1.0) }
    }
}

/// What a request that is not sampled has to be when it ends, so that its span is exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// One that failed.
    pub errors: bool,
    /// One that took longer, 1 ms to 1 h.
    pub slower_than: Option<time::Duration>,
    /// The share of traces of which such requests are kept.
    pub percent: Percentage,
    /// The ceiling on spans that are kept.
    pub ceiling: Ceiling,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            percent: Percentage::DEFAULT,
            headers: OWN_HEADERS.map(Cow::Borrowed).to_vec(),
            rules: Vec::new(),
            ceiling: None,
            drop_probes: true,
            force: None,
            remote: None,
            keep: None,
        }
    }
}

/// A percentage, or an object; the percentage is apart, since the mesh may have a word on it.
pub(super) fn read(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    // The other spellings are Istio's, for what Istio has: a number.
    if !field.is_object() || !SAMPLING_KEYS.starts_with(&[field.key()]) {
        config.percent = Some(field.percent()?);
        return Ok(());
    }
    keys::read(config, field, &KEYS)
}

static KEYS: [Key; 7] = [
    key(&["percent"], Percent(|config, percent| config.percent = Some(percent))),
    key(&["rules"], Own(rule::list)),
    key(&["dropProbes"], Boolean(|config, yes| config.sampling.drop_probes = yes)),
    key(
        &["ratePerSecond"],
        Kind::Ceiling(|config, ceiling| config.sampling.ceiling = Some(ceiling)),
    ),
    key(&["force"], Own(force)),
    key(&["remote"], Own(remote::read)),
    key(&["keep"], Own(keep)),
];

fn force(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    config.sampling.force = Some(Force { header: String::new(), value: String::new() });
    keys::read(config, field, &FORCE)
}

static FORCE: [Key; 2] = [
    needed(
        &["header"],
        "the name of a header",
        Own(|config, field| {
            let name = field.header_name()?;
            if let Some(force) = &mut config.sampling.force {
                force.header = name;
            }
            Ok(())
        }),
    ),
    needed(
        &["value"],
        "a string",
        Text(1..=MAX_TEXT, |config, value| {
            if let Some(force) = &mut config.sampling.force {
                force.value = value;
            }
        }),
    ),
];

fn keep(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    keys::read(config, field, &KEEP)?;
    let Keep { errors, slower_than, .. } = kept(config);
    match *errors || slower_than.is_some() {
        true => Ok(()),
        false => Err(field.instead("keeps nothing", "errors: true, slowerThan, or both")),
    }
}

/// What is kept. The ceiling where none is said: of a mesh in which everything fails, enough to see why.
#[inline(never)]
fn kept(config: &mut PluginConfig) -> &mut Keep {
    config.sampling.keep.get_or_insert(Keep {
        errors: false,
        slower_than: None,
        percent: Percentage::ALL,
        ceiling: Ceiling { per_second: 100.0, burst: 50.0 },
    })
}

static KEEP: [Key; 4] = [
    key(&["errors"], Boolean(|config, yes| kept(config).errors = yes)),
    key(
        &["slowerThan"],
        Duration(["1ms", "60m"], |config, time| kept(config).slower_than = Some(time)),
    ),
    key(&["percent"], Percent(|config, percent| kept(config).percent = percent)),
    key(&["ratePerSecond"], Kind::Ceiling(|config, ceiling| kept(config).ceiling = ceiling)),
];

/// How many traces a second there may be.
pub(super) const PER_SECOND: [&str; 2] = ["0.01", "100000"];

/// How many traces at once there may be.
pub(super) const BURST: [&str; 2] = ["1", "100000"];

/// `ratePerSecond` and `burst`, of all traces or of a rule's.
#[inline(never)]
pub(super) fn ceiling(object: &mut Object<'_>) -> Result<Option<Ceiling>, ConfigError> {
    let rate = object.given(&["ratePerSecond"])?;
    let burst = object.given(&["burst"])?;
    let Some(rate) = rate else {
        let alone = burst.map(|field| field.instead("alone", "ratePerSecond and burst"));
        return alone.map_or(Ok(None), Err);
    };
    let per_second = rate.decimal(&PER_SECOND)?;
    let burst = match burst {
        Some(field) => field.decimal(&BURST)?,
        None => return Ok(Some(Ceiling::new(per_second))),
    };
    Ok(Some(Ceiling { per_second, burst }))
}
