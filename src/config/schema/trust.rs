//! `trust`: whose word on traces counts.

use serde_json::{Value, json};

use super::sampling::{no_burst_alone, number};
use super::{described, list, names, object, visible, with, with_default};
use crate::config::sampling::{BURST, PER_SECOND};
use crate::config::trust::{MAX_PEER, SPIFFE};
use crate::config::{UntrustedContext, UntrustedSampling};

/// Whose word counts, and what becomes of everybody else's.
pub(super) fn trust() -> Value {
    let from = list(peer());
    no_burst_alone(object(json!({
        "context": with_default(json!({"enum": names(&UntrustedContext::NAMED)}), "continue"),
        "sampled": described(
            "At gateways limit, and elsewhere keep, where nothing is said.",
            json!({"enum": names(&UntrustedSampling::NAMED)}),
        ),
        "from": described("Who is trusted.", with(from, "default", json!([format!("{SPIFFE}*")]))),
        "ratePerSecond": with_default(number(PER_SECOND), 100),
        "burst": with_default(number(BURST), 50),
    })))
}

/// An address, a network or an identity. What is an address of version 6 is left to the reader.
fn peer() -> Value {
    let byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    let version_4 = format!("({byte}\\.){{3}}{byte}(/(3[0-2]|[12]?[0-9]))?");
    let version_6 = "[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?";
    let identity = "spiffe://(\\*|[!-)+-~]+|[!-)+-~]*/\\*)";
    visible(1, MAX_PEER, &format!("^({version_4}|{version_6}|{identity})$"))
}
