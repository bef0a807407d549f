//! Addresses as Envoy writes them.

use std::net::{Ipv4Addr, SocketAddr};

/// An IP address with its port; a Unix socket counts as absent.
#[inline(never)]
pub fn address(value: &[u8]) -> Option<SocketAddr> {
    version_4(value).or_else(|| core::str::from_utf8(value).ok()?.parse().ok())
}

/// `10.0.0.1:80`, for which the standard library takes three times as many instructions.
fn version_4(value: &[u8]) -> Option<SocketAddr> {
    let mut numbers = [0; 5];
    let mut place = 0;
    for byte in value {
        match (byte, place) {
            (b'0'..=b'9', _) => {
                let number: &mut u32 = numbers.get_mut(place)?;
                *number = (*number * 10 + u32::from(byte - b'0')).min(0x1_0000);
            }
            (b'.', 0..3) | (b':', 3) => place += 1,
            _ => return None,
        }
    }
    let [a, b, c, d, port] = numbers;
    let octet = |number: u32| u8::try_from(number).ok();
    let ip = Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?);
    (place == 4).then_some(())?;
    Some(SocketAddr::from((ip, u16::try_from(port).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_standard_library_reads_it() {
        for text in [
            "10.0.0.1:80",
            "255.255.255.255:65535",
            "0.0.0.0:0",
            "10.0.0.1",
            "10.0.0.1:65536",
            "10.0.0.256:80",
            "10.0.0:80",
            "10.0.0.1.2:80",
            "10.0.0.1:80:80",
            "10.0.0.99999999999999999999:80",
            "[::1]:80",
            "[fe80::1]:65535",
            "[::ffff:10.0.0.1]:1",
            "::1",
            "/var/run/socket",
            "@/var/run/socket",
            "",
            ":",
        ] {
            assert_eq!(address(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!(address(b"10.0.0.1:\xff"), None);
    }
}
