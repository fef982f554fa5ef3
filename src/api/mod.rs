//! The wire: the calls of the machine API, the client that sends one attempt, sign-in, and the clouds.
//!
//! This room alone names `reqwest`. It never retries and never waits (but for a person who signs in): one `send` is one request on
//! the wire, since retries, redirects and protocol fallbacks of the HTTP client are off. What comes back is an
//! [`Answer`], not yet judged.

mod answer;
mod client;
pub mod cloud;
mod loss;
mod network;
mod ping;
mod reach;
mod request;
pub mod sign_in;
mod transport;
mod tunnel;

pub use answer::{Answer, MachinePage, MachineRecord, Response, ServiceError, UnreadableList};
pub use client::{Client, ClientError, ClientSettings, parse_base_url};
pub use loss::{CertificateProblem, Loss, LossKind};
pub use network::NetworkError;
pub use ping::{PING_TIME_OUT, Ping, PingAddress, PingAddressError, PingAnswer, PingClient, PingLoss};
pub use reach::reach;
pub use request::{ApiRequest, BULK_MAXIMUM_MACHINES, CallKind, Method};
/// An address, as the HTTP library reads it.
pub use reqwest::Url;
pub use transport::{TokenGeneration, Transport};
