//! Envoy's response flags by the short names that access logs print.
//!
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#command-operators>

/// Bit `i` of the attribute `response.flags` is the `i`-th name.
const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

/// The bit of `URX`, too many retries or connection attempts.
const RETRY_LIMIT: usize = 15;

/// The names of all flags that are set, joined by commas; empty for none.
///
/// Envoy prints them in the order in which it set them, which a mask does not tell. The one case
/// in which several are usual is the last of too many tries, and there `URX` comes first.
pub(super) fn names(flags: u64) -> String {
    let mut names = String::new();
    if flags == 0 {
        return names;
    }
    let order = core::iter::once(RETRY_LIMIT)
        .chain((0..NAMES.len()).filter(|bit| *bit != RETRY_LIMIT))
        .filter(|bit| flags & (1 << bit) != 0);
    for name in order.filter_map(|bit| NAMES.get(bit)) {
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn flags_have_envoys_short_names_and_the_retry_limit_comes_first() {
        for (flags, expected) in [
            (0, ""),
            (0x20, "UF"),
            (0x20 | 0x8000, "URX,UF"),
            (0x4 | 0x4000, "UT,DC"),
            (0x100_0000, "NC"),
            (1 << 40, ""),
        ] {
            assert_eq!(names(flags), expected);
        }
    }
}
