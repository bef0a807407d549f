//! Envoy's response flags by the short names that access logs print.
//!
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#command-operators>

/// Bit `i` of the attribute `response.flags` is the `i`-th name.
const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

/// The names of all flags that are set, joined by commas; empty for none.
pub(super) fn names(flags: u64) -> String {
    let mut names = String::new();
    for (bit, name) in NAMES.iter().enumerate() {
        if flags & (1 << bit) != 0 {
            if !names.is_empty() {
                names.push(',');
            }
            names.push_str(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn flags_have_envoys_short_names() {
        for (flags, expected) in
            [(0, ""), (0x20, "UF"), (0x20 | 0x8000, "UF,URX"), (0x100_0000, "NC"), (1 << 40, "")]
        {
            assert_eq!(names(flags), expected);
        }
    }
}
