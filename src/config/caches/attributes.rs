//! The attributes of each type of cache, and the validation of their values.
//!
//! The names are those of `BuildKit`'s `cache/remotecache`, of 0.11 and of later versions; an older builder ignores those that it
//! does not know.

use std::collections::BTreeSet;

use url::Url;

use super::super::compression::Algorithm;
use super::super::images::contains_login;
use super::super::values::boolean;
use crate::ordered::IntoOrdered;
use crate::registry::reference::Reference;

/// A type of cache, which is a kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheType {
    /// A registry.
    Registry,
    /// The image itself. Only for an export.
    Inline,
    /// A bucket of Amazon S3, or of a compatible service.
    S3,
    /// A container of Azure Blob Storage.
    Azblob,
}

impl CacheType {
    pub(super) const ALL: [Self; 4] = [Self::Registry, Self::Inline, Self::S3, Self::Azblob];

    /// The name in `BuildKit`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Inline => "inline",
            Self::S3 => "s3",
            Self::Azblob => "azblob",
        }
    }

    /// Its attributes.
    pub(super) const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::Registry => REGISTRY,
            Self::Inline => INLINE,
            Self::S3 => S3,
            Self::Azblob => AZBLOB,
        }
    }
}

/// An attribute of a type of cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) is_required: bool,
    /// Whether it has a meaning only in `CACHE_TO`.
    pub(super) is_export_only: bool,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Any text that is not empty.
    Text,
    /// The name of a region, which becomes part of a host.
    Region,
    /// Any text, which is never shown.
    Secret,
    Boolean,
    /// A number above zero.
    Count,
    /// `min` or `max`.
    Mode,
    /// The only mode of an inline cache.
    InlineMode,
    /// The format of the cached layers.
    Compression,
    /// The level of that compression.
    Level,
    /// The address of a service, without a login and without a query.
    Address,
    /// A duration as Go writes it, such as `24h`.
    Duration,
    /// A reference, see [`Reference`].
    Reference,
}

const fn both(name: &'static str, form: Form) -> Attribute {
    Attribute {
        name,
        form,
        is_required: false,
        is_export_only: false,
    }
}

const fn required(name: &'static str, form: Form) -> Attribute {
    Attribute {
        is_required: true,
        ..both(name, form)
    }
}

const fn export(name: &'static str, form: Form) -> Attribute {
    Attribute {
        is_export_only: true,
        ..both(name, form)
    }
}

const REGISTRY: &[Attribute] = &[
    required("ref", Form::Reference),
    both("registry.insecure", Form::Boolean),
    export("mode", Form::Mode),
    export("oci-mediatypes", Form::Boolean),
    export("image-manifest", Form::Boolean),
    export("compression", Form::Compression),
    export("compression-level", Form::Level),
    export("force-compression", Form::Boolean),
    export("ignore-error", Form::Boolean),
];

const INLINE: &[Attribute] = &[export("mode", Form::InlineMode)];

const S3: &[Attribute] = &[
    required("bucket", Form::Text),
    required("region", Form::Region),
    both("prefix", Form::Text),
    both("manifests_prefix", Form::Text),
    both("blobs_prefix", Form::Text),
    both("name", Form::Text),
    both("endpoint_url", Form::Address),
    both("access_key_id", Form::Text),
    both("secret_access_key", Form::Secret),
    both("session_token", Form::Secret),
    both("use_path_style", Form::Boolean),
    both("touch_refresh", Form::Duration),
    both("upload_parallelism", Form::Count),
    both("disable_accept_encoding", Form::Boolean),
    both("retry_mode", Form::Text),
    both("retry_max_attempts", Form::Count),
    export("mode", Form::Mode),
    export("ignore-error", Form::Boolean),
];

const AZBLOB: &[Attribute] = &[
    required("account_url", Form::Address),
    both("account_name", Form::Text),
    both("container", Form::Text),
    both("prefix", Form::Text),
    both("manifests_prefix", Form::Text),
    both("blobs_prefix", Form::Text),
    both("name", Form::Text),
    both("secret_access_key", Form::Secret),
    export("mode", Form::Mode),
    export("ignore-error", Form::Boolean),
];

/// The attributes whose values are secret, of any type.
pub(super) fn secret_names() -> BTreeSet<&'static str> {
    let attributes = CacheType::ALL.into_iter().flat_map(CacheType::attributes);
    let secret = attributes.filter(|attribute| attribute.form == Form::Secret);
    secret.map(|attribute| attribute.name).into_ordered()
}

/// The value as `BuildKit` reads it.
///
/// # Errors
/// The problem, which follows the shown value, and the advice.
pub(super) fn checked(form: Form, value: &str) -> Result<String, (String, String)> {
    let wrong = |problem: &str, advice: &str| Err((problem.to_owned(), advice.to_owned()));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match form {
        Form::Text if value.chars().any(char::is_control) => wrong(
            "contains a control character",
            "write it without line breaks and tabs",
        ),
        Form::Text | Form::Secret => Ok(value.to_owned()),
        Form::Region if is_region(value) => Ok(value.to_owned()),
        Form::Region => wrong("is not a region", "write its name, such as `eu-west-1`"),
        Form::Boolean => match boolean(value) {
            Some(value) => Ok(value.to_string()),
            None => wrong("is neither true nor false", "write `true` or `false`"),
        },
        Form::Count if is_number(value) && value.parse::<u16>().is_ok_and(|count| count > 0) => {
            Ok(value.to_owned())
        }
        Form::Count => wrong("is not a count", "write a number from 1 to 65535"),
        Form::Mode if matches!(value, "min" | "max") => Ok(value.to_owned()),
        Form::Mode => wrong(
            "is not a mode",
            "write `min` for the steps of the image, or `max` for all steps",
        ),
        Form::InlineMode if value == "min" => Ok(value.to_owned()),
        Form::InlineMode => wrong(
            "is not a mode of an inline cache, which holds only the steps of the image",
            "remove it, or write `type=registry,ref=REFERENCE,mode=max`",
        ),
        Form::Compression if Algorithm::named(value).is_some() => Ok(value.to_owned()),
        Form::Compression => wrong(
            "is not a compression of layers",
            "write `gzip`, `zstd`, `estargz` or `uncompressed`",
        ),
        Form::Level if is_number(value) && value.parse::<u8>().is_ok_and(|level| level <= 22) => {
            Ok(value.to_owned())
        }
        Form::Level => wrong(
            "is not a level",
            "write a number from 0 to 9, or for `zstd` to 22",
        ),
        Form::Address => address(value),
        Form::Duration if is_duration(value) => Ok(value.to_owned()),
        Form::Duration => wrong(
            "is not a duration",
            "write a number and a unit, such as `24h`",
        ),
        Form::Reference => match Reference::parse(value) {
            Ok(reference) => Ok(reference.to_string()),
            // The error would show it.
            Err(_) if contains_login(value) => wrong(
                "contains a login",
                "write the name without it; the pipe's logins apply to caches",
            ),
            Err(error) => Err((error.to_string(), format!("write {}", error.advice()))),
        },
    }
}

fn address(value: &str) -> Result<String, (String, String)> {
    let advice = "write an address such as `https://storage.example.com`, without a login and without a query";
    let url = Url::parse(value).ok().filter(|url| {
        let has_login = !url.username().is_empty() || url.password().is_some();
        let has_more = url.query().is_some() || url.fragment().is_some();
        matches!(url.scheme(), "http" | "https") && url.has_host() && !has_login && !has_more
    });
    match url {
        // As it was written: a final `/`, which parsing adds, would become part of the names of blobs.
        Some(_) => Ok(value.to_owned()),
        None => Err((
            "is not the address of a service".to_owned(),
            advice.to_owned(),
        )),
    }
}

/// Whether the text can be the label of a host, as regions of AWS and of compatible services are.
fn is_region(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.starts_with('-') && text.bytes().all(is_valid)
}

/// Whether the text is a duration for Go's `time.ParseDuration`, without a sign.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let number_end =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.');
        let Some((number, after)) = number_end.and_then(|end| rest.split_at_checked(end)) else {
            return false;
        };
        let unit_end = after.find(|character: char| character.is_ascii_digit());
        let (unit, after) = after.split_at(unit_end.unwrap_or(after.len()));
        let digits = number.replacen('.', "", 1);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !UNITS.contains(&unit) {
            return false;
        }
        rest = after;
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for text in ["24h", "1h30m", "1.5s", "500ms", "10µs", ".5h"] {
            assert!(is_duration(text), "{text}");
        }
        for text in [
            "", "24", "h", "1d", "1h-", "1 h", ".h", "1.2.3s", "-1h", "ä",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn an_address_has_no_login_and_stays_as_written() {
        for text in [
            "http://127.0.0.1:5000",
            "https://acme.blob.core.windows.net",
        ] {
            assert_eq!(checked(Form::Address, text).unwrap(), text);
        }
        for text in [
            "x",
            "ftp://a.example",
            "https://me:word@a.example",
            "https://a.example/?sig=x",
            "https://a.example#x",
        ] {
            assert!(checked(Form::Address, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reference_gets_its_full_form_and_a_boolean_that_of_go() {
        assert_eq!(
            checked(Form::Reference, "acme/app").unwrap(),
            "docker.io/acme/app:latest"
        );
        assert_eq!(checked(Form::Boolean, "Yes").unwrap(), "true");
    }
}
