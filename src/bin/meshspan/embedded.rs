//! YAML in a text of YAML: a mesh configuration in a ConfigMap, a plugin configuration in an Envoy's.

use crate::report::{Level, Place, Report};
use crate::tree::{Content, Node};
use crate::yaml;

/// The tree of a text that stands as a value in a file, with the lines of the file.
pub fn read(node: &Node, file: &str, path: &str, report: &mut Report) -> Option<Node> {
    let above = node.line.saturating_sub(1);
    let (documents, flaws) = yaml::documents(node.as_text()?);
    for flaw in flaws {
        let place = Place { file: file.to_owned(), line: flaw.line + above };
        report.add(place, Level::Error, path, flaw.message);
    }
    let first = documents.into_iter().next();
    let document = first.filter(|document| !document.is_null());
    Some(document.unwrap_or(Node { line: 1, content: Content::Map(Vec::new()) }).moved(above))
}
