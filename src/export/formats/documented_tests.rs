//! That `docs/what-leaves.md` names everything that a span tells.

use super::otlp::tests::{attributes_of, resource_attributes};
use super::{Encoder, Zipkin};
use crate::attributes::{Istio, Kubernetes, Owner, OwnerKind, Resource};
use crate::trace::sample::full;
use crate::trace::{Extent, Span, SpanKind};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/what-leaves.md");

/// A proxy of which everything is known.
fn resource() -> Resource {
    let text = || "x".to_owned();
    Resource {
        service_name: text(),
        node_id: text(),
        zone: text(),
        ip: "10.0.0.1".parse().ok(),
        kubernetes: Kubernetes {
            pod: Some(text()),
            namespace: Some(text()),
            node: Some(text()),
            cluster: Some(text()),
            owner: Some(Owner { kind: OwnerKind::Deployment, name: text() }),
        },
        istio: Some(Istio {
            canonical_service: text(),
            canonical_revision: text(),
            mesh_id: text(),
            namespace: text(),
            cluster_id: text(),
        }),
        attributes: Vec::new(),
    }
}

#[test]
fn every_tag_and_attribute_has_a_line() {
    let mut names: Vec<String> =
        resource_attributes(&resource()).into_iter().map(|(k, _)| k).collect();
    for kind in [SpanKind::Server, SpanKind::Client] {
        for method in ["GET", "BREW"] {
            let extent = if method == "GET" { Extent::Whole } else { Extent::Closed };
            let mut span = Span { kind, extent, custom_tags: Vec::new(), ..full() };
            span.request.method = method.to_owned().into();
            if let Some(link) = span.links.first_mut() {
                link.confidence = Some(1);
            }
            let zipkin: Value =
                serde_json::from_slice(&Zipkin::new(resource()).span(&span)).unwrap();
            names.extend(zipkin["tags"].as_object().unwrap().keys().cloned());
            names.extend(attributes_of(&span).into_iter().map(|(name, _)| name));
        }
    }
    assert!(names.len() > 100, "{names:?}");
    for name in names {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
}
