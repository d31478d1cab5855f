//! Recognizes Amazon's registries by their hosts.
//!
//! The host of a private registry contains the account and the region, which is enough to reach its API. The whole host must
//! match: a host that is only similar gets no signature and no token.

/// A registry of Amazon's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EcrHost {
    /// An account's own registry in one region.
    Private {
        /// Twelve digits.
        account: String,
        /// Such as `eu-central-1`.
        region: String,
        /// The host is a FIPS endpoint, which meets the US government's rules for cryptography.
        fips: bool,
    },
    /// The public gallery, which all accounts share.
    Public,
}

/// The one region in which the public gallery has its API.
const PUBLIC_REGION: &str = "us-east-1";

impl EcrHost {
    /// Parses the host of a reference; `None` for any other registry.
    #[must_use]
    pub(crate) fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        if host == "public.ecr.aws" {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        if !is_account(account) {
            return None;
        }
        let services = [
            ("dkr.ecr.", false),
            ("dkr.ecr-fips.", true),
            ("dkr-ecr.", false),
            ("dkr-ecr-fips.", true),
        ];
        let (service, region, fips) = services
            .iter()
            .find_map(|&(service, fips)| Some((service, rest.strip_prefix(service)?, fips)))?;
        // The names with a dash are dual-stack endpoints, which have their own suffixes.
        let endings: &[&str] = if service.starts_with("dkr-ecr") {
            &[".on.aws", ".on.amazonwebservices.com.cn"]
        } else {
            &[".amazonaws.com", ".amazonaws.com.cn"]
        };
        let region = endings
            .iter()
            .find_map(|ending| region.strip_suffix(ending))?;
        is_region(region).then(|| Self::Private {
            account: account.to_owned(),
            region: region.to_owned(),
            fips,
        })
    }

    /// The region that requests are signed for.
    #[must_use]
    pub(crate) fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } => region,
            Self::Public => PUBLIC_REGION,
        }
    }

    /// The service that requests are signed for.
    pub(super) fn service(&self) -> &'static str {
        match self {
            Self::Private { .. } => "ecr",
            Self::Public => "ecr-public",
        }
    }

    /// The prefix of actions in the header `X-Amz-Target`.
    pub(super) fn target(&self) -> &'static str {
        match self {
            Self::Private { .. } => "AmazonEC2ContainerRegistry_V20150921",
            Self::Public => "SpencerFrontendService",
        }
    }

    /// The address of its API.
    pub(super) fn api(&self) -> String {
        match self {
            Self::Private { region, fips, .. } => {
                let fips = if *fips { "-fips" } else { "" };
                format!("https://ecr{fips}.{region}.{}/", domain(region)).replacen(
                    "https://ecr.",
                    "https://api.ecr.",
                    1,
                )
            }
            Self::Public => format!("https://api.ecr-public.{PUBLIC_REGION}.amazonaws.com/"),
        }
    }

    /// The address of the Security Token Service in the same region.
    pub(super) fn sts(&self) -> String {
        let region = self.region();
        format!("https://sts.{region}.{}/", domain(region))
    }

    /// Whether it issues tokens, as opposed to Basic authentication.
    #[must_use]
    pub(crate) fn accepts_tokens(&self) -> bool {
        matches!(self, Self::Public)
    }
}

/// Whether `text` is the id of an AWS account: twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` has the form of a region, such as `eu-central-1`: words, and a number at the end. Names of buckets do not.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let is_number =
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    is_number && parts.len() >= 2 && parts.iter().all(is_word)
}

/// China's regions have a separate domain.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_and_region_are_parsed_from_the_host() {
        for (host, region, api, sts) in [
            (
                "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
                "eu-central-1",
                "https://api.ecr.eu-central-1.amazonaws.com/",
                "https://sts.eu-central-1.amazonaws.com/",
            ),
            (
                "123456789012.DKR.ECR.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "https://api.ecr.cn-north-1.amazonaws.com.cn/",
                "https://sts.cn-north-1.amazonaws.com.cn/",
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                "https://ecr-fips.us-gov-west-1.amazonaws.com/",
                "https://sts.us-gov-west-1.amazonaws.com/",
            ),
            (
                "123456789012.dkr-ecr.us-east-2.on.aws",
                "us-east-2",
                "https://api.ecr.us-east-2.amazonaws.com/",
                "https://sts.us-east-2.amazonaws.com/",
            ),
            (
                "public.ecr.aws",
                "us-east-1",
                "https://api.ecr-public.us-east-1.amazonaws.com/",
                "https://sts.us-east-1.amazonaws.com/",
            ),
        ] {
            let parsed = EcrHost::parse(host).unwrap_or_else(|| panic!("{host}"));
            assert_eq!(
                (
                    parsed.region(),
                    parsed.api().as_str(),
                    parsed.sts().as_str()
                ),
                (region, api, sts)
            );
        }
    }

    #[test]
    fn similar_hosts_do_not_match() {
        for host in [
            "",
            "docker.io",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-central-1.amazonaws.com",
            "12345678901a.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr-fips.s3.amazonaws.com",
            "123456789012.dkr.ecr.s3-us-west-2.amazonaws.com",
            "123456789012.dkr.ecr.s3-accelerate.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-.amazonaws.com",
            "123456789012.dkr.ecr.eu.central.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.evil.example/.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.on.aws",
            "x.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
            "public.ecr.aws.evil.example",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }
}
