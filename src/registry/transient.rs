//! The responses of a registry after which another attempt may succeed.

use reqwest::StatusCode;

/// Whether the registry, or a proxy before it, is temporarily unavailable. A rejection of the client is permanent.
pub(super) fn is_unavailable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}
