//! Whatever carries requests to the service.

use async_trait::async_trait;

use super::sign_in::SignInError;
use super::{Answer, ApiRequest};

/// The number of a token, so that a refused one is renewed once for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenGeneration(pub u64);

/// Whatever carries requests to the service: the HTTP client, or a service in memory.
#[async_trait]
pub(crate) trait Transport: Send + Sync + 'static {
    /// Makes sure that a token is at hand, so that signing in takes no time between admission and sending.
    ///
    /// # Errors
    /// [`SignInError`] when there is none to be had.
    async fn prepare(&self) -> Result<(), SignInError>;

    /// Sends the request once and gives back what came, with the token that it used.
    ///
    /// # Errors
    /// [`SignInError`] when no token is to be had; nothing was sent then.
    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError>;

    /// Gets another token than the refused one; does nothing if that has happened already.
    ///
    /// # Errors
    /// [`SignInError`] when there is none to be had.
    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError>;
}
