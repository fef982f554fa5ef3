//! The wire: the calls of the machine API, the client that sends one attempt, sign-in, and the clouds.
//!
//! This room alone names `reqwest`. It never retries and never waits (but for a person who signs in): one `send` is one request on
//! the wire, since retries, redirects and protocol fallbacks of the HTTP client are off. What comes back is an
//! [`Answer`], not yet judged.

mod answer;
mod client;
pub(crate) mod cloud;
mod loss;
mod network;
mod ping;
mod reach;
mod request;
pub(crate) mod sign_in;
mod transport;
mod tunnel;

pub(crate) use answer::{Answer, MachinePage, Response, UnreadableList};
pub(crate) use client::{Client, ClientError, ClientSettings, parse_base_url};
pub(crate) use loss::{CertificateProblem, Loss, LossKind};
pub(crate) use network::NetworkError;
pub(crate) use ping::{PING_TIME_OUT, Ping, PingAddress, PingAddressError, PingAnswer, PingClient, PingLoss};
pub(crate) use reach::reach;
pub(crate) use request::{ApiRequest, CallKind, Method, most_machines};
/// An address, as the HTTP library reads it.
pub(crate) use reqwest::Url;
pub(crate) use transport::{TokenGeneration, Transport};
