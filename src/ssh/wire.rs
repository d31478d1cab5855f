//! The data types of the SSH protocol (RFC 4251, section 5), in keys and in messages of the agent.

/// Reads values from the front of a buffer. Every method returns `None` if the rest is too short, and never panics.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The part that was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    /// A `string`: a length in bytes, and that many bytes.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// A positive `mpint`, without leading zeros. A negative one is `None`.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        (!is_negative).then(|| without_zeros(bytes))
    }
}

/// A big-endian number without leading zeros.
pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| byte != 0);
    bytes
        .get(start.unwrap_or(bytes.len())..)
        .unwrap_or_default()
}

/// Appends a `string`.
pub(super) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing here is larger than a message of the agent.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend(length.to_be_bytes());
    to.extend(bytes);
}

/// Appends a positive big-endian number as an `mpint`: without leading zeros, except one before a set highest bit.
pub(super) fn put_integer(to: &mut Vec<u8>, number: &[u8]) {
    let mut bytes = without_zeros(number).to_vec();
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    put_string(to, &bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_have_the_form_of_the_standard() {
        // The examples of RFC 4251, section 5.
        for (number, encoded) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
        ] {
            let mut bytes = Vec::new();
            put_integer(&mut bytes, number);
            assert_eq!(bytes, encoded);
            assert_eq!(Reader::new(encoded).integer(), Some(without_zeros(number)));
        }
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0x80]).integer(), None);
    }

    #[test]
    fn a_value_that_is_cut_off_is_not_read() {
        assert_eq!(Reader::new(&[0, 0, 0]).number(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), None);
        assert_eq!(Reader::new(&[0xff; 8]).string(), None);
        assert_eq!(Reader::new(&[1]).take(2), None);
    }

    proptest! {
        #[test]
        fn written_values_are_read_back(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let mut bytes = Vec::new();
            for text in &texts {
                put_string(&mut bytes, text);
                put_integer(&mut bytes, text);
            }
            let mut reader = Reader::new(&bytes);
            for text in &texts {
                prop_assert_eq!(reader.string(), Some(&**text));
                prop_assert_eq!(reader.integer(), Some(without_zeros(text)));
            }
            prop_assert!(reader.is_at_end());
        }
    }
}
