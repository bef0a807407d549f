//! What is said of the files, as lines for people or as JSON for machines.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

/// The most findings that are told.
const MAX_FINDINGS: usize = 1000;

/// Foreign text as a message may repeat it.
pub fn shown(text: &str) -> String {
    meshspan::config::echo(text)
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something refuses it: the module, istiod or the API server.
    Error,
    /// It is taken, and does not do what it seems to.
    Warning,
    /// It works, and could be better.
    Hint,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Self::Error => AnsiColor::Red,
            Self::Warning => AnsiColor::Yellow,
            Self::Hint => AnsiColor::Cyan,
        };
        color.on_default().bold()
    }
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One thing that is wrong or could be better.
#[derive(Debug)]
pub struct Finding {
    place: Place,
    level: Level,
    path: String,
    message: String,
}

/// What is in force where one plugin runs.
pub struct Effective {
    pub title: String,
    pub place: Place,
    /// Key, value, and where the value comes from.
    pub values: Vec<[String; 3]>,
}

/// Everything that is said.
#[derive(Default)]
pub struct Report {
    findings: Vec<Finding>,
    pub effective: Vec<Effective>,
}

impl Report {
    /// Adds a finding about the key at `path`, or about the whole where that is empty.
    pub fn add(&mut self, place: Place, level: Level, path: &str, message: impl Into<String>) {
        let (level, path, message) = match self.findings.len() {
            0..MAX_FINDINGS => (level, path.to_owned(), message.into()),
            MAX_FINDINGS => (Level::Error, String::new(), "there is more, not told".to_owned()),
            _ => return,
        };
        self.findings.push(Finding { place, level, path, message });
    }

    /// Whether no more findings are told.
    pub fn is_full(&self) -> bool {
        self.findings.len() > MAX_FINDINGS
    }

    /// Puts the findings in the order of files and lines.
    pub fn sort(&mut self, files: &[String]) {
        let rank = |file: &str| files.iter().position(|name| name == file);
        self.findings.sort_by_key(|finding| (rank(&finding.place.file), finding.place.line));
    }

    /// How many findings are this bad.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// Writes lines for people, with colours where the terminal has them.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for Finding { place, level, path, message } in &self.findings {
            let (style, name) = (level.style(), level.name());
            write!(out, "{place}: {style}{name}{style:#}: ")?;
            if !path.is_empty() {
                write!(out, "{path}: ")?;
            }
            writeln!(out, "{message}")?;
        }
        for effective in &self.effective {
            let bold = Style::new().bold();
            writeln!(out, "{}: {bold}{}{bold:#}, in force:", effective.place, effective.title)?;
            let width = |column: usize| {
                let cell =
                    |row: &[String; 3]| row.get(column).map_or(0, |cell| cell.chars().count());
                effective.values.iter().map(cell).max().unwrap_or(0).min(48)
            };
            for [key, value, origin] in &effective.values {
                let (keys, values) = (width(0), width(1));
                writeln!(out, "  {key:keys$}  {value:values$}  {origin}")?;
            }
        }
        writeln!(out, "{}", self.summary())
    }

    /// Writes one JSON object.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "file": finding.place.file,
                "line": finding.place.line,
                "level": finding.level.name(),
                "path": finding.path,
                "message": finding.message,
            })
        });
        let effective = self.effective.iter().map(|effective| {
            let values = effective
                .values
                .iter()
                .map(|[key, value, origin]| json!({"key": key, "value": value, "from": origin}));
            json!({
                "file": effective.place.file,
                "line": effective.place.line,
                "title": effective.title,
                "values": values.collect::<Value>(),
            })
        });
        let report = json!({
            "findings": findings.collect::<Value>(),
            "effective": effective.collect::<Value>(),
        });
        writeln!(out, "{report:#}")
    }

    fn summary(&self) -> String {
        let counts: Vec<String> = [Level::Error, Level::Warning, Level::Hint]
            .into_iter()
            .filter_map(|level| match self.count(level) {
                0 => None,
                1 => Some(format!("1 {}", level.name())),
                many => Some(format!("{many} {}s", level.name())),
            })
            .collect();
        match counts.is_empty() {
            true => "ok".to_owned(),
            false => counts.join(", "),
        }
    }
}
