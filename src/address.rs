//! Addresses as text. The standard library's reading and writing of them would be 4,000 bytes more of the
//! module, and takes several times as many instructions.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads an address and its port: `10.0.0.1:80`, `[::1]:80`, as Envoy writes them; not `/var/run/socket`.
#[inline(never)]
pub fn socket(text: &[u8]) -> Option<SocketAddr> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let port = decimal(text.get(colon + 1..)?)?;
    let ip = match text.get(..colon)? {
        [b'[', inner @ .., b']'] => version_6(inner.split(|byte| *byte == b'%').next()?)?.into(),
        host => version_4(host)?.into(),
    };
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

/// Reads an address alone: `10.0.0.1`, `::1`; not `010.0.0.1` or `[::1]`.
#[inline(never)]
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    version_4(text).map(IpAddr::V4).or_else(|| version_6(text).map(IpAddr::V6))
}

fn version_4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut dots): (u32, _) = (0, 0);
    // Of the octet that is being read.
    let (mut number, mut has_digit) = (0, false);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        // Elsewhere a zero at the beginning means an octal number.
        if digit <= 9 && !(has_digit && number == 0) {
            (number, has_digit) = (number * 10 + u32::from(digit), true);
            if number > 255 {
                return None;
            }
        } else if *byte == b'.' && has_digit {
            (bits, dots) = (bits << 8 | number, dots + 1);
            (number, has_digit) = (0, false);
        } else {
            return None;
        }
    }
    (dots == 3 && has_digit).then_some(Ipv4Addr::from_bits(bits << 8 | number))
}

/// <https://www.rfc-editor.org/rfc/rfc4291#section-2.2>
#[inline(never)]
pub fn version_6(mut text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0; 8];
    // How many there are, and before which the zeros are left away.
    let (mut count, mut gap) = (0, None);
    if let Some(rest) = text.strip_prefix(b"::") {
        (text, gap) = (rest, Some(0));
    }
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == b':');
        let group = text.get(..end.unwrap_or(text.len()))?;
        match version_4(group) {
            Some(last) if end.is_none() => {
                let [a, b, c, d] = last.octets();
                *groups.get_mut(count)? = u16::from_be_bytes([a, b]);
                *groups.get_mut(count + 1)? = u16::from_be_bytes([c, d]);
                count += 2;
            }
            _ => {
                *groups.get_mut(count)? = hexadecimal(group)?;
                count += 1;
            }
        }
        text = match end {
            None => &[],
            Some(end) => match text.get(end + 1..)? {
                [] => return None,
                [b':', ..] if gap.is_some() => return None,
                [b':', rest @ ..] => {
                    gap = Some(count);
                    rest
                }
                rest => rest,
            },
        };
    }
    let missing = groups.len() - count;
    if gap.is_some() == (missing == 0) {
        return None;
    }
    let mut all = [0; 8];
    for (place, group) in groups.iter().enumerate().take(count) {
        let is_behind = gap.is_some_and(|gap| place >= gap);
        *all.get_mut(if is_behind { place + missing } else { place })? = *group;
    }
    Some(all.into())
}

fn decimal(digits: &[u8]) -> Option<u32> {
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = (number * 10 + u32::from(digit)).min(0x1_0000);
    }
    (!digits.is_empty()).then_some(number)
}

fn hexadecimal(digits: &[u8]) -> Option<u16> {
    let mut number = 0;
    for digit in digits {
        number = number << 4 | char::from(*digit).to_digit(16)? as u16;
    }
    matches!(digits.len(), 1..=4).then_some(number)
}

/// The address as everywhere, <https://www.rfc-editor.org/rfc/rfc5952>.
#[inline(never)]
pub fn text(ip: IpAddr) -> String {
    let mut text = Vec::with_capacity(39);
    match ip {
        IpAddr::V4(ip) => push_version_4(&mut text, ip),
        IpAddr::V6(ip) => push_version_6(&mut text, ip),
    }
    String::from_utf8(text).unwrap_or_default()
}

fn push_version_4(text: &mut Vec<u8>, ip: Ipv4Addr) {
    for octet in ip.octets() {
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
        text.push(b'.');
    }
    text.pop();
}

fn push_version_6(text: &mut Vec<u8>, ip: Ipv6Addr) {
    if let Some(ip) = ip.to_ipv4_mapped() {
        text.extend_from_slice(b"::ffff:");
        return push_version_4(text, ip);
    }
    // The first of the longest runs of zeros, which two colons stand for if they are more than one.
    let (mut run, mut longest, mut end) = (0, 1, 0);
    for (place, group) in ip.segments().into_iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > longest {
            (longest, end) = (run, place + 1);
        }
    }
    for (place, group) in ip.segments().into_iter().enumerate() {
        if place + longest < end || place >= end {
            if place > 0 && place != end {
                text.push(b':');
            }
            push_group(text, group);
        } else if place + 1 == end {
            text.extend_from_slice(b"::");
        }
    }
}

/// A number in hexadecimal digits without zeros before it.
#[inline(never)]
fn push_group(text: &mut Vec<u8>, group: u16) {
    let mut is_begun = false;
    for shift in [12, 8, 4, 0] {
        let digit = (group >> shift & 15) as u8;
        is_begun |= digit > 0 || shift == 0;
        if is_begun {
            text.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::{RngCore, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn an_address_is_read_and_written_as_the_standard_library_does_it() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let signs = b"00011.9.:::::fF[]8%a";
        let mut texts: Vec<Vec<u8>> = (0..300_000)
            .map(|_| {
                let length = random.next_u64() % 20;
                let sign = |bits: u64| signs[bits as usize % signs.len()];
                (0..length).map(|_| sign(random.next_u64())).collect()
            })
            .collect();
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
            "010.0.0.1:80",
            "10.0.0.99999999999999999999:80",
            "10.0.0.1:000000080",
            "[::1]:80",
            "[fe80::1]:65535",
            "[::ffff:10.0.0.1]:1",
            "[::1]",
            "::1",
            "::",
            "1::",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4::5:6:7:8",
            "1::2::3",
            ":::",
            "1:",
            ":1",
            "12345::",
            "::g",
            "::10.0.0.1",
            "1:2:3:4:5:6:10.0.0.1",
            "1:2:3:4:5:6:7:10.0.0.1",
            "::10.0.0.1:1",
            "/var/run/socket",
            "@/var/run/socket",
            "",
            ":",
            "+1.0.0.1",
            "::+1",
        ] {
            texts.push(text.into());
        }
        for bytes in texts {
            let text = str::from_utf8(&bytes).unwrap();
            assert_eq!(ip(&bytes), text.parse().ok(), "{text}");
            if !text.contains('%') {
                assert_eq!(socket(&bytes), text.parse().ok(), "{text}");
            }
        }
        for n in 0..100_000_u32 {
            let groups: [u16; 8] = core::array::from_fn(|_| {
                let bits = random.next_u64();
                if bits & 3 == 0 { (bits >> 8 & 0xffff >> (bits >> 4 & 12)) as u16 } else { 0 }
            });
            for ip in [IpAddr::V4((n * 42_949).into()), IpAddr::V6(groups.into())] {
                assert_eq!(text(ip), ip.to_string());
            }
        }
        assert_eq!(text("::ffff:10.0.0.1".parse().unwrap()), "::ffff:10.0.0.1");
        assert_eq!(socket(b"[fe80::1%5]:80"), "[fe80::1]:80".parse().ok());
        assert_eq!((ip(b"\xff"), socket(b"10.0.0.1:\xff")), (None, None));
    }
}
