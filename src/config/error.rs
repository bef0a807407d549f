//! Why a configuration is wrong, on one line.

use std::fmt;

/// What is wrong with a configuration: the path of the key, what was found, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    found: String,
    allowed: Allowed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// `140 is not a percentage from 0 to 100`
    Kind(String),
    /// `unknown key; allowed: sampling, queue`
    Values(String),
    /// The finding says it all.
    Unsaid,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.found)?;
        match &self.allowed {
            Allowed::Kind(kind) => write!(f, " is not {kind}"),
            Allowed::Values(values) => write!(f, "; allowed: {values}"),
            Allowed::Unsaid => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
