//! Where in Kubernetes a proxy runs, as Istio's node metadata tells it.

/// The pod and what it belongs to; nothing of it is known outside Istio.
/// <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// `k8s.pod.name`.
    pub pod: Option<String>,
    /// `k8s.namespace.name`.
    pub namespace: Option<String>,
    /// `k8s.node.name`.
    pub node: Option<String>,
    /// `k8s.cluster.name`.
    pub cluster: Option<String>,
    /// What made the pod.
    pub owner: Option<Owner>,
}

/// A workload that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
}

/// The kinds of workload that OpenTelemetry knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    /// A deployment.
    Deployment,
    /// A stateful set.
    StatefulSet,
    /// A daemon set.
    DaemonSet,
    /// A replica set of no deployment.
    ReplicaSet,
    /// A job of no cron job.
    Job,
    /// A cron job.
    CronJob,
}

impl OwnerKind {
    /// The attribute that has its name.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Deployment => "k8s.deployment.name",
            Self::StatefulSet => "k8s.statefulset.name",
            Self::DaemonSet => "k8s.daemonset.name",
            Self::ReplicaSet => "k8s.replicaset.name",
            Self::Job => "k8s.job.name",
            Self::CronJob => "k8s.cronjob.name",
        }
    }

    fn from_resource(plural: &str) -> Option<Self> {
        Some(match plural {
            "deployments" => Self::Deployment,
            "statefulsets" => Self::StatefulSet,
            "daemonsets" => Self::DaemonSet,
            "replicasets" => Self::ReplicaSet,
            "jobs" => Self::Job,
            "cronjobs" => Self::CronJob,
            _ => return None,
        })
    }
}

impl Kubernetes {
    /// Reads node metadata by its names.
    pub fn read(metadata: impl Fn(&str) -> Option<String>) -> Self {
        let metadata = |name| metadata(name).filter(|value| !value.is_empty());
        Self {
            pod: metadata("NAME"),
            namespace: metadata("NAMESPACE"),
            node: metadata("NODE_NAME"),
            cluster: metadata("CLUSTER_ID"),
            owner: match metadata("OWNER") {
                Some(uri) => Owner::from_uri(&uri),
                None => metadata("WORKLOAD_NAME").map(Owner::deployment),
            },
        }
    }
}

impl Owner {
    /// Reads `kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1`; refuses what is
    /// of no known kind.
    fn from_uri(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix("kubernetes://")?.rsplit('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let kind = OwnerKind::from_resource(parts.next()?)?;
        Some(Self { kind, name: name.to_owned() })
    }

    /// A workload of which no more than the name is told is a deployment, as nearly all are.
    fn deployment(name: String) -> Self {
        Self { kind: OwnerKind::Deployment, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_the_uris_else_a_deployment_of_the_workloads_name() {
        let uri = |path: &str| format!("kubernetes://apis/apps/v1/namespaces/default/{path}");
        for (owner, workload, expected) in [
            (uri("deployments/reviews-v1"), "w", Some(("k8s.deployment.name", "reviews-v1"))),
            (uri("statefulsets/db"), "w", Some(("k8s.statefulset.name", "db"))),
            (uri("daemonsets/agent"), "w", Some(("k8s.daemonset.name", "agent"))),
            (uri("replicasets/r"), "w", Some(("k8s.replicaset.name", "r"))),
            (uri("jobs/j"), "w", Some(("k8s.job.name", "j"))),
            (uri("cronjobs/c"), "w", Some(("k8s.cronjob.name", "c"))),
            (uri("rollouts/r"), "w", None),
            (uri("deployments/"), "w", None),
            ("deployments/x".to_owned(), "w", None),
            (String::new(), "w", Some(("k8s.deployment.name", "w"))),
            (String::new(), "", None),
        ] {
            let read = Kubernetes::read(|name| match name {
                "OWNER" => Some(owner.clone()),
                "WORKLOAD_NAME" => Some(workload.to_owned()),
                _ => None,
            });
            let found = read.owner.as_ref().map(|it| (it.kind.attribute(), it.name.as_str()));
            assert_eq!(found, expected, "{owner}");
        }
    }

    #[test]
    fn what_istio_does_not_tell_is_absent() {
        let told = [("NAME", "pod-1"), ("NAMESPACE", "demo"), ("NODE_NAME", "")];
        let read = Kubernetes::read(|name| {
            told.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        let expected = Kubernetes {
            pod: Some("pod-1".to_owned()),
            namespace: Some("demo".to_owned()),
            ..Kubernetes::default()
        };
        assert_eq!(read, expected);
    }
}
