//! Where a peer comes from.

use std::fmt;
use std::str::FromStr;

/// Where a peer comes from: only good to be compared, and shown to nobody. Aligned to one byte, so that a
/// peer has room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address([u8; 16]);

impl Address {
    /// The place with this number.
    pub fn new(number: u128) -> Address {
        Address(number.to_be_bytes())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, &'static str> {
        let number = u128::from_str_radix(text, 16);
        number.map(Address::new).map_err(|_| "not an address")
    }
}
