//! The wire: the calls of the machine API, the client that sends one attempt, sign-in, and the clouds.
//!
//! This room alone names `reqwest`. It never retries and never waits (but for a person who signs in): one `send` is one request on
//! the wire, since retries, redirects and protocol fallbacks of the HTTP client are off. What comes back is an
//! [`Answer`], not yet judged.

mod answer;
mod client;
pub mod cloud;
mod network;
mod ping;
mod reach;
mod request;
pub mod sign_in;

use async_trait::async_trait;

pub use answer::{Answer, Loss, LossKind, MachinePage, MachineRecord, Response, ServiceError, UnreadableList};
pub use client::{Client, ClientError, ClientSettings, parse_base_url};
pub use network::{CertificateProblem, NetworkError};
pub use ping::{PING_TIME_OUT, Ping, PingAddress, PingAddressError, PingAnswer, PingClient, PingLoss};
pub use reach::reach;
pub use request::{ApiRequest, BULK_MAXIMUM_MACHINES, CallKind, Method};
/// An address, as the HTTP library reads it.
pub use reqwest::Url;
use sign_in::SignInError;

/// The number of a token, so that a refused one is renewed once for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGeneration(pub u64);

/// Whatever carries requests to the service: the HTTP client, or a service in memory.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
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
