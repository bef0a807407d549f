//! Mesh configuration, wherever it stands, and what the proxies will have of it.

use crate::*;

const OFF: &str = "
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec: {tracing: [{disableSpanReporting: true}]}
";

const PLUGIN: &str = "
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: meshspan, namespace: istio-system}
spec: {url: \"oci://r.example/meshspan:1\", phase: AUTHN, failStrategy: FAIL_OPEN}
";

/// An IstioOperator with these lines below `tracing` in line 6.
fn operator(tracing: &str) -> String {
    let tracing = tracing.replace('\n', "\n        ");
    format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n    \
         defaultConfig:\n      tracing:\n        {tracing}{OFF}"
    )
}

#[test]
fn mesh_configuration_is_read_as_the_proxies_will_have_it() {
    let at = "spec.meshConfig.defaultConfig.tracing";
    for (tracing, expected) in [
        ("sampling: 60", None),
        ("sampling: \"60\"", None),
        ("max_path_tag_length: 100", None),
        ("", None),
        (
            "smapling: 60",
            Some(format!(
                "7: warning: {at}.smapling: unknown key, Istio ignores it without a word; did you mean sampling?"
            )),
        ),
        (
            "custom_tag: {}",
            Some(format!(
                "7: warning: {at}.custom_tag: unknown key, Istio ignores it without a word; did you mean customTags?"
            )),
        ),
        (
            "sampling: 140",
            Some(format!(
                "7: error: {at}.sampling: 140 is not a percentage from 0 to 100; ignored"
            )),
        ),
        (
            "sampling: lots",
            Some(format!(
                "7: error: {at}.sampling: \"lots\" is not of the type double; istiod refuses the whole mesh configuration"
            )),
        ),
        (
            "sampling: 0",
            Some(format!(
                "7: warning: {at}.sampling: 0 is not passed on to proxies and the default is in force; say it in the plugin configuration"
            )),
        ),
        (
            "sampling: 1\ncustomTags:\n  a:\n    header: {}",
            Some(format!(
                "10: error: {at}.customTags.a.header.name: missing; allowed: the name of a header; ignored"
            )),
        ),
    ] {
        let said = findings("mesh-tracing", &operator(tracing));
        assert_eq!(said, expected.into_iter().collect::<Vec<_>>(), "{tracing}");
    }
}

#[test]
fn keys_that_stand_in_the_wrong_place_are_told_where_they_belong() {
    for (lines, expected) in [
        (
            "  meshConfig:\n    tracing: {}",
            "5: warning: spec.meshConfig.tracing: unknown key, Istio ignores it without a word; did you mean defaultConfig.tracing?",
        ),
        (
            "  meshConfig:\n    enabletracing: false",
            "5: warning: spec.meshConfig.enabletracing: unknown key, Istio ignores it without a word; did you mean enableTracing?",
        ),
        (
            "  meshconfig:\n    enableTracing: false",
            "4: error: spec.meshconfig: unknown key, istioctl refuses it; did you mean meshConfig?",
        ),
        (
            "  values: {pilot: {traceSampling: 60}}",
            "4: warning: spec.values.pilot.traceSampling: for Istio's own tracing alone, proxies are not told; meshspan reads meshConfig.defaultConfig.tracing.sampling",
        ),
    ] {
        let content = format!(
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n{lines}{OFF}"
        );
        assert_eq!(findings("mesh-place", &content), [expected], "{lines}");
    }
}

#[test]
fn istios_own_tracing_has_to_be_off() {
    let allowed = "and no Telemetry here turns it off: spans come twice; allowed: a Telemetry in istio-system with disableSpanReporting: true";
    for (lines, expected) in [
        ("enableTracing: false", None),
        (
            "enableTracing: true",
            Some("1: warning: meshConfig.enableTracing: Istio's own tracing is on"),
        ),
        (
            "trustDomain: a",
            Some(
                "1: warning: meshConfig.enableTracing: not set, and Istio's own tracing is on by default",
            ),
        ),
        (
            "defaultProviders: {tracing: [zipkin]}",
            Some(
                "1: warning: meshConfig.defaultProviders.tracing: Istio's own tracing is on by a default provider",
            ),
        ),
    ] {
        let helm = format!("meshConfig: {{{lines}}}\n");
        let expected: Vec<String> =
            expected.iter().map(|line| format!("{line}, {allowed}")).collect();
        assert_eq!(findings("native", &helm), expected, "{lines}");
        assert_eq!(
            findings("native-off", &format!("{helm}{OFF}")),
            Vec::<String>::new(),
            "{lines}"
        );
        let elsewhere = format!("{helm}{}", OFF.replace("istio-system", "shop"));
        assert_eq!(findings("native-elsewhere", &elsewhere), expected, "{lines}");
        let root = format!(
            "{}{}",
            helm.replace('}', ", rootNamespace: shop}"),
            OFF.replace("istio-system", "shop")
        );
        if !lines.contains("Providers") {
            assert_eq!(findings("native-root", &root), Vec::<String>::new(), "{lines}");
        }
    }
}

#[test]
fn where_only_one_namespace_has_the_plugin_istios_own_tracing_has_to_be_off_there() {
    let mesh = "meshConfig:\n  defaultConfig: {tracing: {zipkin: {address: \"z:9411\"}}}\n";
    let shop = |text: &str| text.replace("istio-system", "shop");
    for (name, plugin, telemetry, warnings) in [
        ("both in the namespace", shop(PLUGIN), shop(OFF), 0),
        ("plugin in the namespace", shop(PLUGIN), OFF.to_owned(), 0),
        ("plugin everywhere", PLUGIN.to_owned(), shop(OFF), 1),
        ("another namespace", shop(PLUGIN), OFF.replace("istio-system", "bank"), 1),
    ] {
        let said = findings("rollout", &format!("{mesh}{plugin}{telemetry}"));
        assert_eq!(said.len(), warnings, "{name}: {said:?}");
    }
}

#[test]
fn the_cluster_zipkin_needs_an_address_in_the_mesh() {
    let address = "enableTracing: false, defaultConfig: {tracing: {zipkin: {address: \"z:9411\"}}}";
    for (values, found) in [
        (format!("meshConfig: {{{address}}}\n"), 0),
        ("meshConfig: {enableTracing: false}\n".to_owned(), 1),
        ("meshConfig: {enableTracing: false}\nglobal: {proxy: {tracer: zipkin}}\n".to_owned(), 0),
    ] {
        let said = findings("address", &format!("{values}{PLUGIN}"));
        assert_eq!(said.len(), found, "{said:?}");
        assert!(
            said.iter().all(|line| {
                line.ends_with(
            "warning: spec.pluginConfig.collector.cluster: zipkin: the mesh configuration has no \
             defaultConfig.tracing.zipkin.address, so no proxy has this cluster"
        )
            }),
            "{said:?}"
        );
    }
}

#[test]
fn istiods_config_map_is_read_with_its_own_lines() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |-\n    enableTracing: false\n    defaultConfig:\n      tracing:\n        smapling: 60\n";
    assert_eq!(
        findings("configmap", map),
        [
            "9: warning: data.mesh.defaultConfig.tracing.smapling: unknown key, Istio ignores it without a word; did you mean sampling?"
        ]
    );
}

#[test]
fn what_is_in_force_is_the_plugin_over_the_mesh_over_the_default() {
    let folder = Folder::new("effective");
    folder.write("mesh.yaml", operator("sampling: 60\nmaxPathTagLength: 100\nzipkin: {address: \"z:9411\"}\ncustomTags:\n  account:\n    header: {name: x-account-id}\n  stage:\n    literal: {value: mesh}"));
    folder.write("plugin.yaml", format!("{}\n  pluginConfig:\n    random_sampling_percentage: 25\n    customTags:\n      stage: {{literal: {{value: prod}}}}\n    queue:\n      maxSpans: 100\n", PLUGIN.trim_start().replace("spec: {url", "spec:\n  url").replace(", phase", "\n  phase").replace(", failStrategy", "\n  failStrategy").replace("FAIL_OPEN}", "FAIL_OPEN").trim_end()));
    let output = folder.run(&["check", "--strict", "mesh.yaml", "plugin.yaml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = shown.lines().map(words).collect();
    assert_eq!(
        lines,
        [
            "plugin.yaml:2: WasmPlugin istio-system/meshspan, in force:",
            "serviceName Envoy's node.cluster default",
            "sampling.percent 25 % plugin.yaml:10",
            "sampling.rules none default",
            "sampling.dropProbes true default",
            "sampling.ratePerSecond none default",
            "sampling.burst none default",
            "sampling.force none default",
            "sampling.keep none default",
            "sampling.remote none default",
            "customTags.account header x-account-id mesh, mesh.yaml:11",
            "customTags.stage \"prod\" plugin.yaml:12",
            "maxTagLength 256 default",
            "maxTagLength of a path 100 mesh, mesh.yaml:8",
            "trust.context continue default",
            "trust.sampled limit at gateways, else keep default",
            "trust.from spiffe://* default",
            "trust.ratePerSecond 100 default",
            "trust.burst 50 default",
            "hashKey none default",
            "resource none default",
            "query redact default",
            "pathRedact none default",
            "maskPatterns email, card default",
            "clientAddress full default",
            "accessLog none default",
            "response.traceresponse false default",
            "response.header none default",
            "response.at edge default",
            "events false default",
            "streams.visibleAfter 60s default",
            "spanName.template none default",
            "operations none default",
            "propagation.extract tracecontext, b3, b3multi, jaeger default",
            "propagation.inject tracecontext, b3multi default",
            "collector.protocol zipkin default",
            "collector.compression none default",
            "collector.cluster zipkin default",
            "collector.path /api/v2/spans default",
            "collector.authority zipkin default",
            "collector.headers none default",
            "collector.timeout 5s default",
            "queue.maxSpans 100 plugin.yaml:14",
            "queue.maxBytes 4194304 default",
            "queue.overflow drop-newest default",
            "batch.maxSpans 100 default",
            "batch.interval 1s default",
            "export.maxInFlight 4 default",
            "correlation.mode exact default",
            "correlation.headers none default",
            "correlation.parentThreshold 0.98 default",
            "correlation.linkThreshold 0.9 default",
            "correlation.maxInFlight 1024 default",
            "correlation.maxAge 60s default",
            "ok",
        ]
    );
}

#[test]
fn a_server_to_ask_is_shown_with_where_each_value_comes_from() {
    let folder = Folder::new("remote");
    folder.write(
        "config.yaml",
        "sampling:\n  remote:\n    cluster: jaeger\n    headers: {x-key: secret}\n    interval: 90s\n",
    );
    let output = folder.run(&["check", "config.yaml"]);
    let shown = text(&output.stdout);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = shown.lines().map(words).collect();
    let remote: Vec<&String> = lines.iter().filter(|line| line.contains(".remote")).collect();
    assert_eq!(
        remote,
        [
            "sampling.remote.cluster jaeger config.yaml:3",
            "sampling.remote.path /api/sampling default",
            "sampling.remote.authority jaeger default",
            "sampling.remote.headers x-key config.yaml:4",
            "sampling.remote.interval 90s config.yaml:5",
        ]
    );
}
