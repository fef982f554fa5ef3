//! Whether a host can be reached, before anything is at stake: its name, the way there, and its certificate.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::DATE;

use super::network::NetworkError;
use super::sign_in::PROXY_AUTHENTICATION_HINT;
use super::{Loss, LossKind};

/// How long a host may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Asks a host for its root, without a token: no call of the API. Whatever it answers, it can be reached; the time that it
/// says it is, if it says so, comes back as it came.
///
/// # Errors
/// [`Loss`] says at which point there is no way to it.
pub(crate) async fn reach(http: &reqwest::Client, host: &Url) -> Result<Option<String>, Loss> {
    let mut root = host.clone();
    root.set_path("/");
    match http.get(root).timeout(TIME_LIMIT).send().await {
        Ok(answer) => Ok(answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned)),
        Err(error) => {
            let error = NetworkError::of_request(error, host).await;
            Err(Loss { kind: error.kind(), description: error.to_string() })
        }
    }
}

impl LossKind {
    /// Whether waiting does not change it.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::ProxyAuthentication)
    }

    /// What the user can do about it, where that is known from the point alone.
    pub(crate) const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Untrusted(problem) => Some(problem.hint()),
            Self::ProxyAuthentication => Some(PROXY_AUTHENTICATION_HINT),
            _ => None,
        }
    }
}
