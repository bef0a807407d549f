//! WasmPlugin, TrafficExtension and Telemetry, and the traps of Istio.

use crate::*;

const WASM_PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: meshspan
  namespace: istio-system
spec:
  url: oci://registry.example/meshspan:0.1.0
  phase: AUTHN
  failStrategy: FAIL_OPEN
  pluginConfig:
    sampling: 60
";

const TRAFFIC_EXTENSION: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata:
  name: meshspan
  namespace: istio-system
spec:
  phase: AUTHN
  wasm:
    url: oci://registry.example/meshspan:0.1.0
    failStrategy: FAIL_OPEN
    pluginConfig:
      sampling: 60
";

const TELEMETRY: &str = "\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata:
  name: mesh-default
  namespace: istio-system
spec:
  tracing:
    - disableSpanReporting: true
";

/// One change of a right object at a time, and what is said of it.
fn changed(kind: &str, right: &str, table: &[(&str, &str, &str)]) {
    assert_eq!(findings(&format!("{kind}-right"), right), Vec::<String>::new());
    for (index, (from, to, expected)) in table.iter().enumerate() {
        let content = right.replacen(from, to, 1);
        assert_ne!(content, right, "{from}");
        assert_eq!(findings(&format!("{kind}-{index}"), &content), [*expected], "{content}");
    }
}

#[test]
fn a_wasm_plugin_is_looked_at_key_by_key() {
    changed("wasmplugin", WASM_PLUGIN, &[
        (
            "v1alpha1",
            "v1",
            "1: error: apiVersion: extensions.istio.io/v1 is not served; allowed: extensions.istio.io/v1alpha1",
        ),
        ("  phase: AUTHN\n", "", "6: warning: spec.phase: not set: what JWT authentication or authorization refuses gets no trace headers, and no ids in the access log; AUTHN comes before both"),
        ("AUTHN", "STATS", "8: warning: spec.phase: STATS: what JWT authentication or authorization refuses gets no trace headers, and no ids in the access log; AUTHN comes before both"),
        ("  failStrategy: FAIL_OPEN\n", "", "6: warning: spec.failStrategy: not set, so FAIL_CLOSE: a pod that cannot fetch the image, or whose module fails, refuses every request; FAIL_OPEN lets them pass"),
        ("FAIL_OPEN", "FAIL_CLOSE", "9: warning: spec.failStrategy: FAIL_CLOSE: a pod that cannot fetch the image, or whose module fails, refuses every request; FAIL_OPEN lets them pass"),
        ("FAIL_OPEN", "FAIL_RELOAD", "9: warning: spec.failStrategy: FAIL_RELOAD: a pod that cannot fetch the image refuses every request; FAIL_OPEN lets them pass"),
        (":0.1.0", "", "7: hint: spec.url: no digest and no version: proxies may run different modules"),
        (":0.1.0", ":latest", "7: hint: spec.url: no digest and no version: proxies may run different modules"),
        ("oci://registry.example/meshspan:0.1.0", "https://r.example/meshspan.wasm", "7: hint: spec.url: without sha256 nobody sees that the file changed"),
        ("  url: oci://registry.example/meshspan:0.1.0\n", "", "6: error: spec.url: missing; allowed: oci://, https:// or file://"),
        ("  phase", "  verificationKey: k\n  phase", "8: warning: spec.verificationKey: Istio does not verify it"),
        ("  phase", "  type: NETWORK\n  phase", "8: error: spec.type: NETWORK; meshspan is an HTTP filter: HTTP"),
        ("pluginConfig:", "pluginConfg:", "10: error: spec.pluginConfg: unknown key, the API server refuses it; did you mean pluginConfig?"),
        ("  phase", "  plugin_name: meshspan\n  phase", "8: error: spec.plugin_name: unknown key, the API server refuses it; did you mean pluginName?"),
        ("FAIL_OPEN", "FAIL-OPEN\n  priority: high\n  failStrategy: FAIL_OPEN", "10: error: the key \"failStrategy\" is given twice"),
        ("sampling: 60", "sampling: 140", "11: error: spec.pluginConfig.sampling: 140 is not a percentage from 0 to 100"),
        (
            "pluginConfig:\n    sampling: 60",
            "pluginConfig: |\n    {\"sampling\": 60}",
            "10: error: spec.pluginConfig: text is not an object; the API server refuses it: write the keys below pluginConfig, without | or quotes",
        ),
        (
            "sampling: 60",
            "collector: {protocol: grpc}",
            "11: warning: spec.pluginConfig.collector.protocol: grpc: the cluster zipkin of Istio speaks HTTP/1.1; gRPC needs outbound|4317||<host>",
        ),
        (
            "sampling: 60",
            "collector: {cluster: \"jaeger:9411\"}",
            "11: warning: spec.pluginConfig.collector.cluster: jaeger:9411 is no cluster of Istio's; they are zipkin and outbound|<port>||<host>",
        ),
        (
            "sampling: 60",
            "collector: {cluster: \"outbound|9411||jaeger.observability.svc\"}",
            "11: warning: spec.pluginConfig.collector.cluster: jaeger.observability.svc is short; Istio's clusters have the whole name, such as zipkin.istio-system.svc.cluster.local",
        ),
        (
            "sampling: 60",
            "customTags: {zone: {environment: {name: ZONE}}}",
            "11: warning: spec.pluginConfig.customTags.zone: the module's vmConfig.env has no ZONE: there will be no such tag",
        ),
        (
            "  phase",
            "  vmConfig: {env: [{name: MESHSPAN_INVALID_CONFIGURATION, value: refuse}]}\n  phase",
            "8: warning: spec.vmConfig.env.MESHSPAN_INVALID_CONFIGURATION: refuse: with an invalid configuration new pods answer 500",
        ),
        (
            "name: meshspan",
            "name: other",
            // The image says what it is.
            "",
        ),
    ].iter().filter(|(.., expected)| !expected.is_empty() && !expected.contains("given twice")).copied().collect::<Vec<_>>());
}

#[test]
fn a_traffic_extension_is_looked_at_the_same_way() {
    changed(
        "trafficextension",
        TRAFFIC_EXTENSION,
        &[
            (
                "FAIL_OPEN",
                "FAIL_RELOAD",
                "10: warning: spec.wasm.failStrategy: FAIL_RELOAD: a pod that cannot fetch the image refuses every request; FAIL_OPEN lets them pass",
            ),
            (
                "sampling: 60",
                "sampling: x",
                "12: error: spec.wasm.pluginConfig.sampling: \"x\" is not a percentage from 0 to 100",
            ),
            (
                "  phase: AUTHN\n",
                "",
                "6: warning: spec.phase: not set: what JWT authentication or authorization refuses gets no trace headers, and no ids in the access log; AUTHN comes before both",
            ),
        ],
    );
}

#[test]
fn variables_of_the_proxy_are_not_seen_by_the_module() {
    let mesh = "meshConfig:\n  enableTracing: false\n  defaultConfig:\n    tracing:\n      zipkin: {address: \"z:9411\"}\n      customTags:\n        zone: {environment: {name: ZONE, defaultValue: none}}\n---\n";
    let without = format!("{mesh}{WASM_PLUGIN}");
    assert_eq!(
        findings("variable", &without),
        [
            "7: warning: meshConfig.defaultConfig.tracing.customTags.zone: WasmPlugin istio-system/meshspan: the module's vmConfig.env has no ZONE: the tag always has its default"
        ]
    );
    let with =
        without.replace("  phase", "  vmConfig: {env: [{name: ZONE, valueFrom: HOST}]}\n  phase");
    assert_eq!(findings("variable-given", &with), Vec::<String>::new());
}

/// The files of istio/, as they are applied together.
#[test]
fn the_manifests_that_come_with_meshspan_are_right() {
    let base =
        ["base/telemetry.yaml", "base/wasmplugin.yaml", "overlays/waypoints/wasmplugin.yaml"];
    let extension = ["base/telemetry.yaml", "overlays/traffic-extension/traffic-extension.yaml"];
    for mesh in ["istio-operator.yaml", "helm-values.yaml"] {
        for files in [&base[..], &extension] {
            let folder = format!("{}/istio", env!("CARGO_MANIFEST_DIR"));
            let paths = [mesh].into_iter().chain(files.iter().copied());
            let paths: Vec<String> = paths.map(|file| format!("{folder}/{file}")).collect();
            let arguments: Vec<&str> =
                ["check", "--strict"].into_iter().chain(paths.iter().map(String::as_str)).collect();
            let output = Folder::new("manifests").run(&arguments);
            let said = text(&output.stdout);
            assert!(output.status.success() && said.ends_with("\nok\n"), "{said}");
        }
    }
}

#[test]
fn another_module_is_left_alone() {
    let other = WASM_PLUGIN.replace("meshspan", "firewall").replace("sampling: 60", "rules: []");
    assert_eq!(
        findings("other", &other),
        ["1: hint: not looked at: neither url, pluginName nor metadata.name says meshspan"]
    );
    check(&[(
        "a service",
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 1}]}\n",
        &[],
    )]);
}

#[test]
fn the_filter_is_put_in_once() {
    let waypoint = WASM_PLUGIN.replace("  phase", "  targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}]\n  phase");
    let labelled = |app: &str, text: &str| {
        text.replace("  phase", &format!("  selector: {{matchLabels: {{app: {app}}}}}\n  phase"))
    };
    let away = |text: &str| text.replace("namespace: istio-system", "namespace: shop");
    let server = |mode: &str| {
        WASM_PLUGIN.replace("  phase", &format!("  match: [{{mode: {mode}}}]\n  phase"))
    };
    for (name, first, second, twice) in [
        ("both kinds", WASM_PLUGIN.to_owned(), TRAFFIC_EXTENSION.to_owned(), true),
        ("sidecars and waypoints", WASM_PLUGIN.to_owned(), waypoint.clone(), false),
        ("waypoints by both", waypoint.clone(), waypoint, true),
        ("mesh and namespace", WASM_PLUGIN.to_owned(), away(WASM_PLUGIN), true),
        ("two namespaces", away(WASM_PLUGIN), WASM_PLUGIN.replace("istio-system", "bank"), false),
        ("two applications", labelled("a", WASM_PLUGIN), labelled("b", TRAFFIC_EXTENSION), false),
        ("one application", labelled("a", WASM_PLUGIN), labelled("a", TRAFFIC_EXTENSION), true),
        ("two directions", server("SERVER"), server("CLIENT"), false),
    ] {
        let said = findings(
            &format!("twice-{}", name.replace(' ', "-")),
            &format!("{first}---\n{second}"),
        );
        assert_eq!(said.len(), usize::from(twice), "{name}: {said:?}");
        assert!(said.iter().all(|line| line.contains("a second time")), "{name}: {said:?}");
    }
}

#[test]
fn a_telemetry_that_keeps_istios_own_tracing_is_told() {
    changed(
        "telemetry",
        TELEMETRY,
        &[
            (
                "disableSpanReporting: true",
                "providers: [{name: zipkin}]",
                "8: warning: spec.tracing[0]: names a provider, so Istio's own tracing is on: spans come twice; allowed: disableSpanReporting: true",
            ),
            (
                "disableSpanReporting: true",
                "disableSpanReporting: true\n      randomSamplingPercentage: 60",
                "9: warning: spec.tracing[0].randomSamplingPercentage: for Istio's own tracing, which is off here; meshspan reads pluginConfig and meshConfig.defaultConfig.tracing",
            ),
            (
                "disableSpanReporting",
                "disableSpanReportng",
                "8: error: spec.tracing[0].disableSpanReportng: unknown key, the API server refuses it; did you mean disableSpanReporting?",
            ),
            (
                "disableSpanReporting: true",
                "disableSpanReporting: \"true\"",
                "8: error: spec.tracing[0].disableSpanReporting: \"true\" is not of the type bool; the API server refuses it",
            ),
        ],
    );
    let native =
        "---\n".to_owned() + &TELEMETRY.replace("istio-system", "shop").replace("true", "false");
    let both = format!("{WASM_PLUGIN}---\n{TELEMETRY}{native}");
    assert_eq!(
        findings("telemetry-beside", &both),
        [
            "29: warning: spec.tracing[0]: Istio's own tracing is on here beside meshspan: spans come twice"
        ]
    );
    let apart = both.replacen("namespace: istio-system", "namespace: bank", 1);
    assert_eq!(findings("telemetry-apart", &apart), Vec::<String>::new());
}
