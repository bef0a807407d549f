//! Which service a request went to, and the span's name from it: never from the raw path, and
//! from what a client sends only where nothing else names the service.

use super::span_names::SpanNames;
use super::text;
use crate::address;
use crate::config::Settings;

/// How many distinct names may come from the authority, which clients choose, in each worker and
/// direction.
pub const MAX_AUTHORITY_NAMES: usize = 100;

/// How many inbound clusters are remembered; a pod has one for each of its ports.
const MAX_INBOUND_CLUSTERS: usize = 100;

/// Longest host name, RFC 1035 section 2.3.4.
const MAX_HOST: usize = 253;

/// Clusters of Istio that catch what has no service; `encap` is a waypoint's for calls to a pod.
const CATCH_ALL_CLUSTERS: [&str; 6] = [
    "encap",
    "PassthroughCluster",
    "BlackHoleCluster",
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "InboundPassthroughClusterIpv6",
];

/// A service by host and port, as Istio names operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    host: String,
    port: Option<u16>,
}

impl Service {
    /// Reads the service out of a cluster's name: `outbound|9080|v1|reviews.default.svc.cluster.local`
    /// names one, so does any name of an operator's own, but `inbound|9080||` and Istio's
    /// catch-all clusters do not.
    pub fn from_cluster(name: &str) -> Option<Self> {
        if name.is_empty() || CATCH_ALL_CLUSTERS.contains(&name) {
            return None;
        }
        let (port, host) = match name.strip_prefix("outbound_.") {
            // Between the networks of a mesh: `outbound_.9080_._.reviews.default.svc.cluster.local`.
            Some(rest) => between_networks(rest),
            None => within_network(name),
        }
        .unwrap_or(("", name));
        let port = port.parse().ok();
        (!host.is_empty()).then(|| Self { host: text::text(host.as_bytes(), MAX_HOST), port })
    }

    /// The service that an inbound cluster's metadata names, at the port of Istio's virtual host
    /// (`inbound|http|9080`) or else of the cluster (`inbound|9080||`).
    pub fn from_inbound(host: &str, virtual_host: &str, cluster: &str) -> Option<Self> {
        if host.is_empty() {
            return None;
        }
        let port = virtual_host
            .strip_prefix("inbound|http|")
            .or_else(|| cluster.split('|').nth(1))
            .and_then(|port| port.parse().ok());
        Some(Self { host: text::text(host.as_bytes(), MAX_HOST), port })
    }

    /// Reads `reviews.default.svc.cluster.local:9080`, as Istio names virtual hosts.
    pub fn from_virtual_host(name: &str) -> Option<Self> {
        let (host, port) = name.rsplit_once(':')?;
        let port = port.parse().ok()?;
        is_host(host).then(|| Self { host: host.to_owned(), port: Some(port) })
    }

    /// Reads an authority that a client sent; refuses what is not a host with an optional port.
    fn from_authority(authority: &str) -> Option<Self> {
        let authority = authority.to_ascii_lowercase();
        if let Some(service) = Self::from_virtual_host(&authority) {
            return Some(service);
        }
        is_host(&authority).then_some(Self { host: authority, port: None })
    }

    /// The span's name, as Istio names operations: `reviews.default.svc.cluster.local:9080/*`.
    pub fn span_name(&self) -> String {
        match self.port {
            Some(port) => [&self.host, ":", itoa::Buffer::new().format(port), "/*"].concat(),
            None => [&self.host, "/*"].concat(),
        }
    }

    /// The name by which the service's own spans go: `reviews.default`, or the host outside Kubernetes.
    pub fn service_name(&self) -> String {
        let mut labels = self.host.splitn(4, '.');
        match (labels.next(), labels.next(), labels.next()) {
            (Some(name), Some(namespace), Some("svc")) => format!("{name}.{namespace}"),
            _ => self.host.clone(),
        }
    }
}

/// Port and host of a cluster's name of four parts.
fn within_network(name: &str) -> Option<(&str, &str)> {
    let mut parts = name.split('|');
    let (_, port, _, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some((port, host))
}

/// The same where other signs part them, of the last three.
fn between_networks(name: &str) -> Option<(&str, &str)> {
    let (port, rest) = split(name)?;
    split(rest).map(|(_, host)| (port, host))
}

fn split(name: &str) -> Option<(&str, &str)> {
    let place = name.as_bytes().windows(2).position(|two| two == b"_.")?;
    name.get(..place).zip(name.get(place + 2..))
}

/// A DNS name or an address: letters, digits, dots, dashes, underscores, `[::1]`.
fn is_host(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match inner {
        Some(address) => address::version_6(address.as_bytes()).is_some(),
        None => !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(allowed),
    }
}

/// Names found so far: of inbound clusters, to ask Envoy once only, and of authorities, so that
/// clients cannot make names without end.
#[derive(Debug, Default)]
pub struct ServiceNames {
    inbound: Vec<(String, Option<Service>)>,
    from_authority: Vec<String>,
    spans: SpanNames,
    /// How many authorities found no room.
    limited: i64,
}

/// Envoy's attributes that may name a service where the cluster does not.
pub trait Naming {
    /// `xds.virtual_host_name`.
    fn virtual_host(&self) -> Option<String>;
    /// The host of the first service in Istio's metadata of the cluster.
    fn cluster_service_host(&self) -> Option<String>;
}

impl ServiceNames {
    /// None so far, and by the template of these settings what spans are called.
    pub fn new(settings: &Settings) -> Self {
        Self { spans: SpanNames::new(settings), ..Self::default() }
    }

    /// Whether what spans are called depends on the route's name.
    pub fn ask_for_route(&self) -> bool {
        self.spans.has_route()
    }

    /// The place of the operation that a request with these lower-case headers asks for, where it matters.
    pub fn operation(&self, headers: &[(&[u8], &[u8])]) -> Option<usize> {
        self.spans.operation(headers)
    }

    /// What a span is called: by the template; else its service, or where nothing names one the method, as
    /// OpenTelemetry's conventions say.
    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name>
    pub(super) fn span_name(
        &mut self,
        service: Option<&Service>,
        method: Option<&str>,
        operation: Option<usize>,
        route: Option<&str>,
    ) -> String {
        let method = method.unwrap_or("HTTP");
        match service {
            _ if self.spans.has_template() => self.spans.name(service, method, operation, route),
            Some(service) => service.span_name(),
            None => method.to_owned(),
        }
    }

    /// The service that cluster or virtual host name; nothing where neither does.
    pub fn of_route(&mut self, cluster: Option<&str>, envoy: &impl Naming) -> Option<Service> {
        let inbound = cluster.filter(|cluster| cluster.starts_with("inbound|"));
        let is_this = |(name, _): &&(String, _)| inbound == Some(name);
        if let Some((_, service)) = self.inbound.iter().find(is_this) {
            return service.clone();
        }
        let virtual_host = || envoy.virtual_host().unwrap_or_default();
        if let Some(service) = cluster.and_then(Service::from_cluster) {
            return Some(service);
        }
        match inbound {
            Some(inbound) => {
                let host = envoy.cluster_service_host().unwrap_or_default();
                let service = Service::from_inbound(&host, &virtual_host(), inbound);
                if self.inbound.len() < MAX_INBOUND_CLUSTERS {
                    self.inbound.push((inbound.to_owned(), service.clone()));
                }
                service
            }
            None => Service::from_virtual_host(&virtual_host()),
        }
    }

    /// The service that an authority names, while there is room for it.
    pub fn of_authority(&mut self, authority: &str) -> Option<Service> {
        let service = Service::from_authority(authority)?;
        let name = service.span_name();
        if self.from_authority.contains(&name) {
            return Some(service);
        }
        if self.from_authority.len() >= MAX_AUTHORITY_NAMES {
            self.limited += 1;
            return None;
        }
        self.from_authority.push(name);
        Some(service)
    }

    /// How many names found no room, since this was asked last.
    pub fn take_limited(&mut self) -> i64 {
        core::mem::take(&mut self.limited) + self.spans.take_limited()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(service: Option<Service>) -> Option<String> {
        service.map(|service| service.span_name())
    }

    #[test]
    fn a_cluster_names_the_service() {
        for (cluster, expected) in [
            (
                "outbound|9080||reviews.default.svc.cluster.local",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            (
                "outbound|9080|v1|reviews.default.svc.cluster.local",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            (
                "outbound_.9080_.v1_.reviews.default.svc.cluster.local",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            (
                "inbound-vip|9080|http|reviews.default.svc.cluster.local",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            (
                "inbound-vip|9080|http/v1|reviews.default.svc.cluster.local",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            ("outbound|443||api.example.com", Some("api.example.com:443/*")),
            ("dockebi", Some("dockebi/*")),
            ("inbound|9080||", None),
            ("encap", None),
            ("PassthroughCluster", None),
            ("BlackHoleCluster", None),
            ("InboundPassthroughCluster", None),
            ("", None),
        ] {
            assert_eq!(name(Service::from_cluster(cluster)).as_deref(), expected, "{cluster}");
        }
    }

    #[test]
    fn an_inbound_service_is_named_by_cluster_metadata_and_virtual_host() {
        let host = "reviews.default.svc.cluster.local";
        for (virtual_host, cluster, expected) in [
            ("inbound|http|80", "inbound|9080||", "reviews.default.svc.cluster.local:80/*"),
            ("any", "inbound|9080||", "reviews.default.svc.cluster.local:9080/*"),
            ("", "", "reviews.default.svc.cluster.local/*"),
        ] {
            assert_eq!(
                name(Service::from_inbound(host, virtual_host, cluster)).as_deref(),
                Some(expected)
            );
        }
        assert_eq!(Service::from_inbound("", "inbound|http|80", ""), None);
    }

    #[test]
    fn a_virtual_host_names_a_service_only_as_host_and_port() {
        for (virtual_host, expected) in [
            (
                "reviews.default.svc.cluster.local:9080",
                Some("reviews.default.svc.cluster.local:9080/*"),
            ),
            ("allow_any", None),
            ("inbound|http|9080", None),
            ("a:b:80", None),
            ("", None),
        ] {
            assert_eq!(
                name(Service::from_virtual_host(virtual_host)).as_deref(),
                expected,
                "{virtual_host}"
            );
        }
    }

    #[test]
    fn services_of_kubernetes_go_by_name_and_namespace() {
        for (cluster, expected) in [
            ("outbound|80||reviews.default.svc.cluster.local", "reviews.default"),
            ("outbound|443||api.example.com", "api.example.com"),
            ("dockebi", "dockebi"),
        ] {
            assert_eq!(Service::from_cluster(cluster).unwrap().service_name(), expected);
        }
    }

    #[test]
    fn authorities_give_a_bounded_number_of_names() {
        let mut names = ServiceNames::default();
        for n in 0..MAX_AUTHORITY_NAMES {
            assert!(names.of_authority(&format!("h{n}")).is_some());
        }
        assert_eq!(names.of_authority("one-more"), None);
        assert_eq!(name(names.of_authority("H1")).as_deref(), Some("h1/*"));
    }

    #[test]
    fn beyond_so_many_inbound_clusters_envoy_is_asked_each_time() {
        struct Asked(std::cell::Cell<usize>);
        impl Naming for Asked {
            fn virtual_host(&self) -> Option<String> {
                None
            }
            fn cluster_service_host(&self) -> Option<String> {
                self.0.set(self.0.get() + 1);
                Some("h".to_owned())
            }
        }
        let (mut names, envoy) = (ServiceNames::default(), Asked(std::cell::Cell::new(0)));
        for _ in 0..3 {
            for port in 0..MAX_INBOUND_CLUSTERS + 5 {
                let service = names.of_route(Some(&format!("inbound|{port}||")), &envoy);
                assert_eq!(name(service), Some(format!("h:{port}/*")));
            }
        }
        assert_eq!(names.inbound.len(), MAX_INBOUND_CLUSTERS);
        assert_eq!(envoy.0.get(), MAX_INBOUND_CLUSTERS + 3 * 5);
    }

    #[test]
    fn an_authority_that_is_no_host_names_nothing() {
        let mut names = ServiceNames::default();
        for authority in ["", "a b", "a/b", "user@h", "a\u{fffd}", "[::1", "[zz]", "a:b"] {
            assert_eq!(names.of_authority(authority), None, "{authority}");
        }
        assert_eq!(name(names.of_authority("[::1]:80")).as_deref(), Some("[::1]:80/*"));
        assert_eq!(name(names.of_authority("10.0.0.1:80")).as_deref(), Some("10.0.0.1:80/*"));
    }
}
