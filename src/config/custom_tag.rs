//! Tags that operators add to every span, in the shape of Istio's mesh configuration.

/// One tag of every span: its name, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomTag {
    /// The tag's name, 1 to 128 bytes.
    pub name: String,
    /// Where the value comes from.
    pub source: TagSource,
}

/// Where a custom tag's value comes from; without value and default there is no tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// The same text on every span.
    Literal(String),
    /// A request header.
    Header {
        /// The header's name, lower-cased, a token of RFC 9110 or one of four pseudo headers.
        name: String,
        /// What the tag says when the request has no such header.
        default: Option<String>,
    },
    /// A variable of the environment that the VM was given.
    Environment {
        /// The variable's name.
        name: String,
        /// What the tag says when there is no such variable.
        default: Option<String>,
    },
}
