//! `meshspan check`: what is wrong with a configuration, before a proxy gets it.
//!
//! A file becomes trees that know their lines (yaml, scalar, tree, embedded); each document is read as what it is
//! (documents, then mesh, plugin, scope, telemetry, envoy), its keys against Istio's types (istio_types) and
//! the plugin configuration by the module's own reader (configuration); what all of them say together
//! is judged last and told (documents, effective, report).

mod configuration;
mod documents;
mod effective;
mod embedded;
mod envoy;
mod istio_types;
mod mesh;
mod plugin;
mod report;
mod scalar;
mod scope;
mod telemetry;
mod tree;
mod yaml;

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use documents::Picture;
use report::{Level, Place, Report};

/// The most bytes of one file.
const MAX_BYTES: u64 = 8 << 20;

/// The tool beside the tracing filter: it checks configurations and prints their JSON Schema.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks WasmPlugin, TrafficExtension, Telemetry, IstioOperator, Helm values for istiod, Envoy
    /// and plugin configurations, each by itself and all together, and prints what is in force.
    #[command(after_help = EXAMPLES)]
    Check {
        /// YAML or JSON, several documents in a file or not; - is the standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
        /// Fail for warnings too.
        #[arg(long)]
        strict: bool,
        /// How to print.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Prints the JSON Schema of the plugin configuration, for editors.
    Schema,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  meshspan check istio/*.yaml istio/base/*.yaml
  kubectl kustomize istio | meshspan check --strict -
  kubectl get wasmplugins,telemetries -A -o yaml | meshspan check -
  meshspan check --format json values.yaml wasmplugin.yaml

Exit status: 0 if nothing is wrong or there are warnings only, 1 for errors (with --strict for
warnings too), 2 for a command line that is wrong.";

fn main() -> ExitCode {
    let written = match Arguments::parse().command {
        Command::Schema => {
            writeln!(io::stdout(), "{:#}", meshspan::config::schema()).map(|()| ExitCode::SUCCESS)
        }
        Command::Check { files, strict, format } => check(&files, strict, format),
    };
    match written {
        Ok(code) => code,
        // Whoever read the output has enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "meshspan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(files: &[String], strict: bool, format: Format) -> io::Result<ExitCode> {
    let mut picture = Picture::default();
    for file in files {
        let name = if file == "-" { "<stdin>" } else { file };
        match read(file) {
            Ok(text) => picture.add_file(name, &text),
            Err(message) => {
                let place = Place { file: name.to_owned(), line: 0 };
                picture.report.add(place, Level::Error, "", message);
            }
        }
    }
    let report = picture.finish();
    let mut out = anstream::stdout();
    match format {
        Format::Text => report.write_text(&mut out)?,
        Format::Json => report.write_json(&mut out)?,
    }
    out.flush()?;
    Ok(exit_code(&report, strict))
}

fn exit_code(report: &Report, strict: bool) -> ExitCode {
    let failed = report.count(Level::Error) > 0 || strict && report.count(Level::Warning) > 0;
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The text of a file, or why there is none.
fn read(file: &str) -> Result<String, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let source: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(file).map_err(cannot)?),
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there are too many.
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("more than {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("not UTF-8 in line {line}")
    })
}
