//! Messages of the agent protocol in a stream of bytes: a length in four bytes, and that many bytes.

/// The longest message, as in OpenSSH (`AGENT_MAX_LEN`).
pub(super) const MESSAGE_LIMIT_BYTES: usize = 256 << 10;

/// The bytes of the length.
pub(super) const LENGTH_BYTES: usize = 4;

/// Collects bytes until a message is complete.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// The part of `bytes` that was returned.
    start: usize,
}

/// A length that no message has. The bytes after it cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message to the SSH agent is empty or longer than {MESSAGE_LIMIT_BYTES} bytes")]
pub(crate) struct LengthError;

impl Frames {
    /// Adds bytes. The caller limits their number, and takes all complete messages before it adds more: so an incomplete message
    /// is all that is kept.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend(bytes);
    }

    /// The next message without its length, if it is complete.
    ///
    /// # Errors
    /// Its length is not valid.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, LengthError> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = length_of(*length).ok_or(LengthError)?;
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        self.start += LENGTH_BYTES + length;
        Ok(Some(message))
    }
}

/// The length of a message; `None` if no message has it.
pub(super) fn length_of(bytes: [u8; LENGTH_BYTES]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(bytes)).ok()?;
    (1..=MESSAGE_LIMIT_BYTES)
        .contains(&length)
        .then_some(length)
}

/// A message with its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(LENGTH_BYTES + message.len());
    super::wire::put_string(&mut framed, message);
    framed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_found_however_the_stream_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            piece in 1..30_usize,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in stream.chunks(piece) {
                frames.push(piece);
                while let Some(message) = frames.next().unwrap() {
                    found.push(message.to_vec());
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(frames.bytes.len() == frames.start);
        }
    }

    #[test]
    fn a_length_outside_of_the_limits_is_an_error_before_the_message_arrives() {
        let limit = u32::try_from(MESSAGE_LIMIT_BYTES).unwrap();
        for length in [0, limit + 1, u32::MAX] {
            let mut frames = Frames::default();
            frames.push(&length.to_be_bytes());
            assert_eq!(frames.next(), Err(LengthError));
        }
        let mut frames = Frames::default();
        frames.push(&limit.to_be_bytes());
        assert_eq!(frames.next(), Ok(None));
        frames.push(&vec![7; MESSAGE_LIMIT_BYTES]);
        assert_eq!(frames.next(), Ok(Some(&*vec![7; MESSAGE_LIMIT_BYTES])));
    }
}
