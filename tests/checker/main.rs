//! The program that people run, on files as they write them: what it says, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests, all of it")]

mod hostile;
mod istio;
mod mesh;
mod plugin;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder of its own for each test, gone when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("checker-{name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    /// What the program does with these arguments in this folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_meshspan"))
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input closes it.
        let _ = program.stdin.take().unwrap().write_all(input);
        program.wait_with_output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is said of one file, without what is in force and the count: `3: error: ...`.
pub fn findings(name: &str, content: &str) -> Vec<String> {
    let folder = Folder::new(name);
    folder.write("f.yaml", content);
    let output = folder.run(&["check", "f.yaml"]);
    assert_eq!(text(&output.stderr), "");
    let lines: Vec<String> = text(&output.stdout)
        .lines()
        .filter(|line| [": error: ", ": warning: ", ": hint: "].iter().any(|at| line.contains(at)))
        .map(|line| line.trim_start_matches("f.yaml:").to_owned())
        .collect();
    let failed = lines.iter().any(|line| line.contains(": error: "));
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{lines:?}");
    lines
}

/// That of each file this is said, line by line.
pub fn check(table: &[(&str, &str, &[&str])]) {
    for (name, content, expected) in table {
        let slug: String =
            name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        assert_eq!(findings(&slug, content), *expected, "{name}:\n{content}");
    }
}
