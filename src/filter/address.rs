//! Ranges of IPv4 addresses.

use core::net::Ipv4Addr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressRange {
    first: u32,
    mask: u32,
}

impl AddressRange {
    /// Reads `10.0.0.0/8`, or a single address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => (address, bits.parse().ok()?),
            Some(_) => return None,
            None => (text, Ipv4Addr::BITS),
        };
        let address: u32 = address.parse::<Ipv4Addr>().ok()?.into();
        let outside = Ipv4Addr::BITS.checked_sub(bits)?;
        let mask = u32::MAX.checked_shl(outside).unwrap_or_default();
        Some(Self { first: address & mask, mask })
    }

    pub(super) fn holds(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask == self.first
    }
}
