//! What is in force where a plugin runs, and where each value comes from.

use std::fmt::Display;
use std::time::Duration;

use meshspan::config::{
    AccessLog, At, CUSTOM_TAGS_KEYS, Ceiling, ClientAddress, Compression, CorrelationMode,
    CustomTag, Format, Keep, MAX_TAG_LENGTH_KEYS, MeshConfig, Overflow, Placeholder, Protocol,
    Query, RemoteSampling, Rule, SAMPLING_KEYS, Sampling, Settings, TagMode, TagOn, TagSource,
    Template, UntrustedContext, UntrustedSampling, name_of, settings,
};

use crate::mesh::Mesh;
use crate::plugin::Plugin;
use crate::report::{Effective, Place, shown};
use crate::tree::Member;

/// What is in force, unless the module refuses the configuration.
pub fn of(plugin: &Plugin, mesh: Option<&Mesh>) -> Option<Effective> {
    let config = plugin.given.config.clone()?;
    let mesh_config = mesh.map_or_else(MeshConfig::default, |mesh| mesh.config.clone());
    let settings = settings(config, mesh_config);
    let origin = Origin { plugin, mesh };
    let mut values = Vec::new();
    let mut add = |key: &str, value: String, from: String| values.push([shown(key), value, from]);
    let service = settings.service_name.as_deref().map_or("Envoy's node.cluster".into(), shown);
    add("serviceName", service, origin.of(&[&["serviceName"]], ""));
    for (path, value) in sampling(&settings.sampling) {
        add(path, value, origin.sampling(path));
    }
    for one in &settings.custom_tags {
        let from = origin.tag(&one.name);
        add(&format!("customTags.{}", one.name), tag(one), from);
    }
    let length = origin.of(&[MAX_TAG_LENGTH_KEYS], "");
    add("maxTagLength", settings.max_tag_length.to_string(), length);
    if settings.max_path_length != settings.max_tag_length {
        let from = origin.of(&[MAX_TAG_LENGTH_KEYS], "maxPathTagLength");
        add("maxTagLength of a path", settings.max_path_length.to_string(), from);
    }
    for (path, value) in rest(&settings) {
        let names: Vec<[&'static str; 1]> = path.split('.').map(|key| [key]).collect();
        let names: Vec<&[&str]> = names.iter().map(|name| &name[..]).collect();
        add(path, value, origin.of(&names, ""));
    }
    let place = Place { file: plugin.file.clone(), line: plugin.line };
    Some(Effective { title: plugin.title.clone(), place, values })
}

fn sampling(sampling: &Sampling) -> Vec<(&'static str, String)> {
    let rule = |rule: &Rule| {
        let percent = rule.percent.map(|it| format!(" {} %", it.percent())).unwrap_or_default();
        let ceiling = rule.ceiling.map(|it| format!(" {} a second", it.per_second));
        format!("{}{percent}{}", rule.name, ceiling.unwrap_or_default())
    };
    let ceiling = |part: fn(Ceiling) -> f64| list(sampling.ceiling.iter().map(|it| part(*it)));
    let mut values = vec![
        ("sampling.percent", format!("{} %", sampling.percent.percent())),
        ("sampling.rules", list(sampling.rules.iter().map(rule))),
        ("sampling.dropProbes", sampling.drop_probes.to_string()),
        ("sampling.ratePerSecond", ceiling(|it| it.per_second)),
        ("sampling.burst", ceiling(|it| it.burst)),
        // A value may be a secret.
        ("sampling.force", list(sampling.force.iter().map(|it| shown(&it.header)))),
        ("sampling.keep", list(sampling.keep.iter().flat_map(keep))),
    ];
    let Some(remote) = &sampling.remote else {
        values.push(("sampling.remote", "none".to_owned()));
        return values;
    };
    let RemoteSampling { cluster, path, authority, headers, interval } = remote;
    let headers = list(headers.iter().map(|(name, _)| name));
    values.extend([
        ("sampling.remote.cluster", cluster.clone()),
        ("sampling.remote.path", path.clone()),
        ("sampling.remote.authority", authority.clone()),
        ("sampling.remote.headers", headers),
        ("sampling.remote.interval", duration(*interval)),
    ]);
    values
}

fn keep(keep: &Keep) -> Vec<String> {
    let errors = keep.errors.then(|| "errors".to_owned());
    let slower = keep.slower_than.map(|limit| format!("slower than {}", duration(limit)));
    let share = format!("{} %", keep.percent.percent());
    let ceiling = format!("{} a second", keep.ceiling.per_second);
    errors.into_iter().chain(slower).chain([share, ceiling]).collect()
}

/// The keys that the mesh has no word on.
fn rest(settings: &Settings) -> Vec<(&'static str, String)> {
    let Settings { collector, queue, batch, export, correlation, .. } = settings;
    let format = |format| name_of(&Format::NAMED, format);
    // Values of headers are left out: they are often credentials.
    let headers = list(collector.headers.iter().map(|(name, _)| name));
    let Settings { privacy, trust, .. } = settings;
    let sampled = |sampled| name_of(&UntrustedSampling::NAMED, &sampled).to_owned();
    let masked = [("email", privacy.mask_emails), ("card", privacy.mask_cards)];
    let masked = masked.iter().filter(|(_, is_masked)| *is_masked).map(|(name, _)| name);
    vec![
        ("trust.context", name_of(&UntrustedContext::NAMED, &trust.context).to_owned()),
        ("trust.sampled", trust.sampled.map_or("limit at gateways, else keep".to_owned(), sampled)),
        ("trust.from", list(trust.from.iter().map(|peer| shown(peer)))),
        ("trust.ratePerSecond", trust.ceiling.per_second.to_string()),
        ("trust.burst", trust.ceiling.burst.to_string()),
        // A secret, which is not shown.
        ("hashKey", if settings.hash_key.is_some() { "given" } else { "none" }.to_owned()),
        (
            "resource",
            list(
                settings
                    .resource
                    .iter()
                    .map(|(name, value)| format!("{}={}", shown(name), shown(value))),
            ),
        ),
        ("query", query(&privacy.query)),
        ("pathRedact", list(privacy.path_redact.iter())),
        ("maskPatterns", list(masked)),
        ("clientAddress", name_of(&ClientAddress::NAMED, &privacy.client_address).to_owned()),
        ("accessLog", name_of(&AccessLog::NAMED, &settings.access_log).to_owned()),
        ("response.traceresponse", settings.response.traceresponse.to_string()),
        ("response.header", settings.response.header.clone().unwrap_or_else(|| "none".to_owned())),
        ("response.at", name_of(&At::NAMED, &settings.response.at).to_owned()),
        ("events", settings.events.to_string()),
        ("streams.visibleAfter", settings.visible_after.map_or("off".to_owned(), duration)),
        ("spanName.template", template(&settings.span_name)),
        ("operations", list(settings.operations.iter())),
        ("propagation.extract", list(settings.extract.iter().map(format))),
        ("propagation.inject", list(settings.inject.iter().map(format))),
        ("collector.protocol", name_of(&Protocol::NAMED, &collector.protocol).to_owned()),
        ("collector.compression", name_of(&Compression::NAMED, &collector.compression).to_owned()),
        ("collector.cluster", collector.cluster.clone()),
        ("collector.path", collector.path.clone()),
        ("collector.authority", collector.authority.clone()),
        ("collector.headers", headers),
        ("collector.timeout", duration(collector.timeout)),
        ("queue.maxSpans", queue.max_spans.to_string()),
        ("queue.maxBytes", queue.max_bytes.to_string()),
        ("queue.overflow", name_of(&Overflow::NAMED, &queue.overflow).to_owned()),
        ("batch.maxSpans", batch.max_spans.to_string()),
        ("batch.interval", duration(batch.interval)),
        ("export.maxInFlight", export.max_in_flight.to_string()),
        ("correlation.mode", name_of(&CorrelationMode::NAMED, &correlation.mode).to_owned()),
        ("correlation.headers", list(correlation.headers.iter())),
        ("correlation.parentThreshold", correlation.parent_threshold.to_string()),
        ("correlation.linkThreshold", correlation.link_threshold.to_string()),
        ("correlation.maxInFlight", correlation.max_in_flight.to_string()),
        ("correlation.maxAge", duration(correlation.max_age)),
    ]
}

struct Origin<'a> {
    plugin: &'a Plugin,
    mesh: Option<&'a Mesh>,
}

impl Origin<'_> {
    /// Where the value under these keys comes from, each in any of its spellings; `mesh` is what the
    /// mesh calls it.
    fn of(&self, keys: &[&[&str]], mesh: &str) -> String {
        if let Some(member) = self.given(keys) {
            return self.place(&self.plugin.file, member.line);
        }
        self.by_mesh(&[mesh]).unwrap_or_else(|| "default".to_owned())
    }

    /// Where a part of `sampling` comes from, of which the percentage may stand alone.
    fn sampling(&self, path: &str) -> String {
        let keys: Vec<[&str; 1]> = path.split('.').skip(1).map(|key| [key]).collect();
        let is_percent = keys == [["percent"]];
        let mesh = if is_percent { "sampling" } else { "" };
        match self.given(&[SAMPLING_KEYS]) {
            Some(member) if is_percent && member.value.members().is_empty() => {
                self.of(&[SAMPLING_KEYS], mesh)
            }
            _ => {
                let keys = keys.iter().map(|key| &key[..]);
                self.of(&[SAMPLING_KEYS].into_iter().chain(keys).collect::<Vec<_>>(), mesh)
            }
        }
    }

    fn tag(&self, name: &str) -> String {
        if let Some(member) = self.given(&[CUSTOM_TAGS_KEYS, &[name]]) {
            return self.place(&self.plugin.file, member.line);
        }
        self.by_mesh(&["customTags", name]).unwrap_or_else(|| "mesh".to_owned())
    }

    fn given(&self, keys: &[&[&str]]) -> Option<&Member> {
        let mut node = &self.plugin.given.node;
        let mut found = None;
        for names in keys {
            let member = names.iter().find_map(|name| node.member(name))?;
            node = &member.value;
            found = Some(member);
        }
        found
    }

    fn by_mesh(&self, keys: &[&str]) -> Option<String> {
        let mesh = self.mesh?;
        let tracing = mesh.node.at(&["defaultConfig", "tracing"])?;
        let member = tracing.value.at(keys)?;
        Some(format!("mesh, {}", self.place(&mesh.file, member.line)))
    }

    fn place(&self, file: &str, line: usize) -> String {
        Place { file: file.to_owned(), line }.to_string()
    }
}

fn tag(tag: &CustomTag) -> String {
    let key = tag.key.replace('\0', ".");
    let mut text = match tag.source {
        TagSource::Literal => format!("\"{}\"", shown(&key)),
        TagSource::Environment => format!("environment {}", shown(&key)),
        TagSource::Header => format!("header {}", shown(&key)),
        TagSource::Cookie => format!("cookie {}", shown(&key)),
        TagSource::QueryParameter => format!("query parameter {}", shown(&key)),
        TagSource::PathSegment => format!("path segment {}", shown(&key)),
        TagSource::Baggage => format!("baggage {}", shown(&key)),
        TagSource::RequestTrailer => format!("request trailer {}", shown(&key)),
        _ => format!("attribute {}", shown(&key)),
    };
    if let Some(default) = &tag.default {
        text += &format!(", else \"{}\"", shown(default));
    }
    if tag.mode != TagMode::Plain {
        text += &format!(", {}", name_of(&TagMode::NAMED, &tag.mode));
    }
    if tag.on != TagOn::Both {
        text += &format!(", {}", name_of(&TagOn::NAMED, &tag.on));
    }
    if let Some(length) = tag.max_length {
        text += &format!(", at most {length} bytes");
    }
    text
}

fn template(template: &Template) -> String {
    let placeholder = |it: &Placeholder| format!("{{{}}}", name_of(&Placeholder::NAMED, it));
    let part = |(text, it): &(String, Option<Placeholder>)| {
        text.clone() + &it.as_ref().map_or(String::new(), placeholder)
    };
    let text: String = template.iter().map(part).collect();
    if text.is_empty() { "none".to_owned() } else { shown(&text) }
}

fn query(query: &Query) -> String {
    match query {
        Query::Drop => "drop".to_owned(),
        Query::Keep(keys) if keys.is_empty() => "redact".to_owned(),
        Query::Keep(keys) => format!("keep {}", list(keys.iter())),
    }
}

fn list(items: impl Iterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{}ms", seconds * 1000.0),
        seconds => format!("{seconds}s"),
    }
}
