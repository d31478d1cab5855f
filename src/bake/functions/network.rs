//! Blocks of addresses, such as `10.0.0.0/8`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::call::{Call, Outcome, Parameter, Standard, failure, quote, wrong};
use crate::hcl::scope::CallError;

const TEXT: Parameter = Parameter::STRING;
const NUMBER: Parameter = Parameter::NUMBER;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("cidrhost", &[TEXT, NUMBER], |call| {
        let block = block(call)?;
        let number = call.integer(1)?;
        let host = block
            .host(number)
            .ok_or_else(|| wrong(1, format!("the block is too small for a host {number}")))?;
        call.string(block.show(host))
    }),
    Standard::new("cidrnetmask", &[TEXT], |call| {
        let block = block(call)?;
        call.string(block.show(block.mask()))
    }),
    Standard::new("cidrsubnet", &[TEXT, NUMBER, NUMBER], |call| {
        let block = block(call)?;
        let prefix = block.longer(call, 1, 0)?;
        let number = u128::try_from(call.integer(2)?).ok();
        let number = number.filter(|number| *number < 1_u128 << (prefix - block.prefix));
        let number = number.ok_or_else(|| wrong(2, "the block has no subnet with this number"))?;
        let start = shift(number, block.size - prefix);
        let address = block.address | start;
        call.string(
            Block {
                address,
                prefix,
                ..block
            }
            .to_string(),
        )
    }),
    Standard::new("cidrsubnets", &[TEXT], subnets).rest(NUMBER),
];

/// A block of addresses. The bits after the prefix are zero.
#[derive(Clone, Copy)]
struct Block {
    address: u128,
    prefix: u32,
    /// The bits of an address: 32 or 128.
    size: u32,
}

fn block(call: &Call<'_>) -> Result<Block, CallError> {
    let text = call.text(0)?;
    Block::parse(text).ok_or_else(|| {
        wrong(
            0,
            format!(
                "{} is not a block of addresses such as 10.0.0.0/8",
                quote(text)
            ),
        )
    })
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let prefix = prefix.parse().ok()?;
        let (address, size) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let block = Self {
            address,
            prefix,
            size,
        };
        (prefix <= size).then(|| Self {
            address: address & block.mask(),
            ..block
        })
    }

    /// The last address of the size.
    fn end(&self) -> u128 {
        u128::MAX >> (128 - self.size)
    }

    fn mask(&self) -> u128 {
        self.end() & shift(u128::MAX, self.size - self.prefix)
    }

    /// The address of a host. A negative number counts from the end.
    fn host(&self, number: i64) -> Option<u128> {
        let last = self.end() & !self.mask();
        let size = u128::from(number.unsigned_abs());
        let number = if number < 0 {
            last.checked_sub(size - 1)?
        } else {
            Some(size).filter(|size| *size <= last)?
        };
        Some(self.address | number)
    }

    /// The prefix that an argument makes longer.
    fn longer(&self, call: &Call<'_>, index: usize, least: u32) -> Result<u32, CallError> {
        let bits = u32::try_from(call.integer(index)?).ok();
        let bits = bits
            .filter(|bits| (least..=32).contains(bits))
            .ok_or_else(|| wrong(index, format!("the prefix can grow by {least} to 32 bits")))?;
        let prefix = Some(self.prefix + bits).filter(|prefix| *prefix <= self.size);
        prefix.ok_or_else(|| wrong(index, "the address has not so many bits"))
    }

    fn show(&self, address: u128) -> String {
        match u32::try_from(address) {
            Ok(address) if self.size == 32 => Ipv4Addr::from(address).to_string(),
            _ => {
                let address = Ipv6Addr::from(address);
                match address.to_ipv4_mapped() {
                    Some(address) => address.to_string(),
                    None => address.to_string(),
                }
            }
        }
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.show(self.address), self.prefix)
    }
}

/// `value << bits`, where all bits can go.
fn shift(value: u128, bits: u32) -> u128 {
    value.checked_shl(bits).unwrap_or(0)
}

/// Subnets one after the other, each with so many more bits of the prefix.
fn subnets(call: &Call<'_>) -> Outcome {
    let block = block(call)?;
    let last = block.address | (block.end() & !block.mask());
    let mut free = Some(block.address);
    let mut texts = Vec::new();
    for index in 1..call.arguments.len() {
        let prefix = block.longer(call, index, 1)?;
        let rest = shift(1, block.size - prefix).wrapping_sub(1);
        // A subnet begins at a multiple of its size.
        let start = free
            .and_then(|free| free.checked_add(rest))
            .map(|start| start & !rest)
            .filter(|start| *start <= last && block.size - prefix < 128);
        let start = start.ok_or_else(|| {
            failure(format!(
                "no space is left for a subnet with a prefix of {prefix} bits"
            ))
        })?;
        free = start.checked_add(rest).and_then(|end| end.checked_add(1));
        texts.push(
            Block {
                address: start,
                prefix,
                ..block
            }
            .to_string(),
        );
    }
    call.strings(texts)
}
