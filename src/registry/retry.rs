//! What of a registry's answers is worth another try.

use reqwest::StatusCode;

/// What a registry, or a proxy before it, says that may be over soon. Never what it says to us.
pub(super) fn is_out_of_order(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}
