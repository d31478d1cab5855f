//! The parts of protobuf's JSON form that serde does not provide.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whether protobuf's JSON form omits a value.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An enum's values and their names in the `.proto` file.
pub(super) trait Names {
    const NAMES: &'static [(i32, &'static str)];
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn to_name<T: Names, S: Serializer>(
    value: &i32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match T::NAMES.iter().find(|(number, _)| number == value) {
        Some((_, name)) => serializer.serialize_str(name),
        None => serializer.serialize_i32(*value), // protobuf's rule for values without a name
    }
}

pub(super) fn from_name<'de, T: Names, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<'a> {
        Number(i32),
        Name(Cow<'a, str>),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Name(name) => T::NAMES
            .iter()
            .find_map(|(number, candidate)| (*candidate == name).then_some(*number))
            .ok_or_else(|| D::Error::custom(format_args!("unknown enum value `{name}`"))),
    }
}

/// Numbers: 32-bit numbers are written as numbers, 64-bit numbers as strings; both are accepted in either form.
pub(super) mod number {
    use super::{Cow, Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    pub(in crate::messages) fn from_either<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: TryFrom<i64>,
        D: Deserializer<'de>,
    {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Number(i64),
            Text(Cow<'a, str>),
        }
        let number = match Either::deserialize(deserializer)? {
            Either::Number(number) => number,
            Either::Text(text) => text.parse().map_err(D::Error::custom)?,
        };
        T::try_from(number).map_err(|_| D::Error::custom("number out of range"))
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(in crate::messages) fn to_text<S: Serializer>(
        value: &i64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// `bytes`: written as standard base64 with padding, accepted in the URL-safe alphabet too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        STANDARD
            .decode(&*text)
            .or_else(|_| URL_SAFE.decode(&*text))
            .map(Self)
            .map_err(D::Error::custom)
    }
}

pub(super) mod bytes {
    use super::{Base64, Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::messages) fn serialize<S: Serializer>(
        value: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Base64(value.to_vec()).serialize(serializer)
    }

    pub(in crate::messages) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Base64::deserialize(deserializer).map(|Base64(value)| value)
    }
}

pub(super) mod bytes_list {
    use super::{Base64, Deserialize, Deserializer, Serializer};

    pub(in crate::messages) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|value| Base64(value.clone())))
    }

    pub(in crate::messages) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Vec::<Base64>::deserialize(deserializer)?
            .into_iter()
            .map(|Base64(value)| value)
            .collect())
    }
}

/// `google.protobuf.Timestamp`; in JSON an RFC 3339 text.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Additional nanoseconds, never negative.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        // Below 1,000,000,000, so it fits.
        Self {
            seconds: time.unix_timestamp(),
            nanos: i32::try_from(time.nanosecond()).unwrap_or_default(),
        }
    }
}

impl TryFrom<Timestamp> for OffsetDateTime {
    type Error = time::error::ComponentRange;

    fn try_from(timestamp: Timestamp) -> Result<Self, Self::Error> {
        let nanos = u32::try_from(timestamp.nanos).unwrap_or(u32::MAX); // rejected below
        Self::from_unix_timestamp(timestamp.seconds)?.replace_nanosecond(nanos)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::try_from(*self).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&time.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self::from)
            .map_err(D::Error::custom)
    }
}
