//! Whose word on traces counts, and what becomes of everybody else's.

use crate::address;
use std::net::IpAddr;

use super::keys::Kind::{Ceiling, List};
use super::keys::{Key, key};
use super::named::one_of;
use super::sampling;

/// The longest identity, in bytes.
pub(super) const MAX_PEER: usize = 256;

const PEER: &str = "an address, a network such as 10.0.0.0/8, or an identity such as spiffe://cluster.local/ns/web/*";

/// How every identity begins.
pub(crate) const SPIFFE: &str = "spiffe://";

/// Whose word on traces counts, and what becomes of everybody else's.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// What becomes of a context that somebody else sends.
    pub context: UntrustedContext,
    /// What becomes of what they say of sampling; without a word on it that depends on the proxy.
    pub sampled: Option<UntrustedSampling>,
    /// Who is trusted, at most 64: networks, and identities in certificates, SPIFFE IDs such as
    /// `spiffe://cluster.local/ns/prod/sa/web`, or `spiffe://cluster.local/ns/prod/*` for all below.
    pub from: Vec<String>,
    /// The networks among them.
    pub networks: Vec<Network>,
    /// How many of their traces are sampled for their asking, with [`UntrustedSampling::Limit`].
    pub ceiling: sampling::Ceiling,
}

/// What becomes of a context that is not trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UntrustedContext {
    /// `continue`: its trace goes on.
    #[default]
    Continue,
    /// `link`: a new trace begins, and its span links to the one that came in.
    Link,
    /// `ignore`: a new trace begins.
    Ignore,
}

/// What becomes of a sampling decision that is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntrustedSampling {
    /// `keep`: it counts.
    Keep,
    /// `limit`: so many a second may ask to be sampled, and the others have not asked. A debug flag
    /// asks for no more than that, and a header that forces it for nothing.
    Limit,
    /// `ignore`: nobody has said anything.
    Ignore,
}

/// Addresses that begin alike: `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`. Those of version 4 stand as in
/// `::ffff:10.0.0.0/104`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// One of them.
    pub address: u128,
    /// The bits that they have in common.
    pub mask: u128,
}

impl UntrustedContext {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("continue", Self::Continue), ("link", Self::Link), ("ignore", Self::Ignore)];
}

impl UntrustedSampling {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("keep", Self::Keep), ("limit", Self::Limit), ("ignore", Self::Ignore)];
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            context: UntrustedContext::default(),
            sampled: None,
            from: vec!["spiffe://*".to_owned()],
            networks: Vec::new(),
            ceiling: sampling::Ceiling { per_second: 100.0, burst: 50.0 },
        }
    }
}

impl Network {
    /// Reads one as above: not `10.0.0.0/33` or `example.com`.
    #[inline(never)]
    fn parse(text: &str) -> Option<Self> {
        let end = text.bytes().position(|byte| byte == b'/').unwrap_or(text.len());
        let address = address::ip(text.as_bytes().get(..end)?)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match text.as_bytes().get(end + 1..) {
            Some(digits) => length(digits).filter(|length| *length <= most)?,
            None => most,
        };
        let mask = u128::MAX.checked_shl(most - length).unwrap_or_default();
        Some(Self { address: bits(address), mask })
    }

    /// Whether an address is one of them.
    pub fn has(&self, address: IpAddr) -> bool {
        (self.address ^ bits(address)) & self.mask == 0
    }
}

/// Whether a text is an identity: `spiffe://cluster.local/ns/prod/*`, not `spiffe://cluster.local/ns/p*`
/// or `spiffe://*/ns/prod`.
fn is_identity(text: &str) -> bool {
    let (above, last) = match text.as_bytes() {
        [above @ .., b'/', b'*'] => (above, b'/'),
        [above @ .., last] => (above, *last),
        [] => return false,
    };
    let is_right = |byte: &u8| byte.is_ascii_graphic() && *byte != b'*';
    text.len() > SPIFFE.len()
        && text.len() <= MAX_PEER
        && text.starts_with(SPIFFE)
        && is_right(&last)
        && above.iter().all(is_right)
}

/// A number of at most three digits, of which the first is not zero unless it is the only one.
fn length(digits: &[u8]) -> Option<u32> {
    match digits {
        [b'0', _, ..] | [] | [_, _, _, _, ..] => None,
        _ => digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(*digit - b'0'))
        }),
    }
}

/// An address as one of version 6.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// What the plugin configuration says of it.
pub(super) static KEYS: [Key; 4] = [
    key(&["context"], one_of!(UntrustedContext, trust.context)),
    key(&["sampled"], one_of!(UntrustedSampling, trust.sampled)),
    key(
        &["from"],
        List(is_peer, PEER, |config, peers| {
            for peer in &peers {
                if let Some(network) = Network::parse(peer) {
                    config.trust.networks.push(network);
                }
            }
            config.trust.from = peers;
        }),
    ),
    key(&["ratePerSecond"], Ceiling(|config, ceiling| config.trust.ceiling = ceiling)),
];

fn is_peer(text: &str) -> bool {
    Network::parse(text).is_some() || is_identity(text)
}
