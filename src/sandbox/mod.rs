//! The sandbox: a simulated Microsoft Defender for Endpoint machine API on loopback.
//!
//! `apply --sandbox` starts it in the process; `tagfleet sandbox` serves it for other clients. The program is checked
//! against it, so it shares no code with the rest: own wire types, own quota rule, own idea of a machine. It holds to
//! what is known of the real API and errs on the strict side, and it can go wrong in every way that a client must
//! survive.
//!
//! ```text
//! server (wire) ──> service ──> routes, gate (limiter, sign_in, faults)      what a call is, and what it passes first
//!                      └──────> work ──> fleet (key, names, made_up, company) ──> view, list               what the API does
//! settings, arguments, script: how the tenant behaves; answers: every refusal
//! ```
//!
//! [`Service`] is the whole API as a value that knows no socket and no clock; the server is one of the shells around it.
//!
//! Invariants: nothing listens beyond loopback; all randomness comes from one seed; only the server takes the time; a refused call changes nothing and counts nowhere; no lock is held while waiting; whatever clients send, what
//! is kept of it is bounded.

mod answers;
pub mod arguments;
mod calls;
mod company;
mod faults;
mod fleet;
mod gate;
#[cfg(test)]
pub(crate) mod in_memory;
mod key;
mod limiter;
mod list;
mod made_up;
mod names;
mod people;
mod reaction;
mod routes;
mod script;
mod server;
mod service;
mod settings;
mod sign_in;
mod view;
mod wire;
mod work;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answers::Answer;
pub use calls::{Arrival, CallKind, SandboxCounters};
pub use faults::{Fault, FaultScope, Faults};
pub use reaction::{Delivery, Reaction};
pub use script::Mishap;
pub use service::{Call, Head, Service};
pub use settings::{
    BulkAnswer, BulkRefusalStatus, DeadMachines, DeadNaming, MAXIMUM_MACHINES, NextLink, RetryAfter,
    SandboxDeviceValue, SandboxMachine, SandboxQuota, SandboxSecret, SandboxSettings, SettingsError,
};

use server::Server;
use sign_in::Applicant;
use wire::{Connection, WireListener};

/// How long an orderly stop waits for calls that are still being answered.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The tenant and app that the sandbox's own credential names; any others sign in just as well.
const TENANT_ID: &str = "00000000-5a5a-4a5a-8a5a-000000000001";
const CLIENT_ID: &str = "00000000-5a5a-4a5a-8a5a-000000000002";
const AUDIENCE: &str = "https://api.securitycenter.microsoft.com";

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address could be reached from other hosts.
    #[error("the sandbox serves loopback addresses only, and {address} is not one; use 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; another port, or port 0 for any free one, may work")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's own reason.
        #[source]
        source: io::Error,
    },
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The machines could not be made, because the runtime is shutting down or the work was aborted.
    #[error("the machines of the sandbox could not be made")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// What signs in at the sandbox's token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxCredential {
    /// The tenant's id.
    pub tenant_id: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: SandboxSecret,
}

/// A running server. Dropping it stops it too, without waiting for calls in flight.
pub struct Sandbox {
    server: Arc<Server>,
    stopping: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Makes the machines and serves them at this address; port 0 takes any free port.
    ///
    /// # Errors
    /// [`SandboxError`] when the address is not loopback or not free, or a setting is out of its range.
    pub async fn start(settings: SandboxSettings, address: SocketAddr) -> Result<Self, SandboxError> {
        if !address.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { address });
        }
        settings.check()?;
        let listen = |source| SandboxError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let began = Instant::now();
        // A million machines take a second or two, which no worker of the runtime should be kept for.
        let making = tokio::task::spawn_blocking(move || {
            Service::new(settings, format!("http://{address}"), server::arrival(began))
        });
        let service = making.await.map_err(SandboxError::Interrupted)??;
        let (stopping, mut stopped) = watch::channel(false);
        let server = Arc::new(Server::new(service, address, began, stopping.subscribe()));
        let router = Router::new().fallback(server::serve).with_state(Arc::clone(&server));
        let router = router.into_make_service_with_connect_info::<Connection>();
        let serving = axum::serve(WireListener::new(listener), router).with_graceful_shutdown(async move {
            // An error means that the sandbox was dropped, which is a stop as well.
            let _dropped = stopped.wait_for(|stops| *stops).await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "the sandbox has stopped serving");
            }
        });
        tracing::debug!(%address, "the sandbox is serving");
        Ok(Self { server, stopping, task: Some(task) })
    }

    /// The service itself, to look at and to change; every call waits as long as it is held.
    pub fn service(&self) -> MutexGuard<'_, Service> {
        self.server.service()
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The base URL of the API and the sign-in authority alike: `http://127.0.0.1:PORT`, no slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.service().base_url.clone()
    }

    /// A credential that the token endpoint accepts.
    #[must_use]
    pub fn credential(&self) -> SandboxCredential {
        let secret = self.service().settings.client_secret.clone();
        SandboxCredential {
            tenant_id: TENANT_ID.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: secret.unwrap_or_else(|| SandboxSecret::new("any-secret-will-do")),
        }
    }

    /// A fresh token for the sandbox's own credential; it lives as long as any other.
    #[must_use]
    pub fn ready_token(&self) -> SandboxSecret {
        let applicant = Applicant { tenant: TENANT_ID, client_id: CLIENT_ID, audience: AUDIENCE, is_person: false };
        let now = self.server.now();
        SandboxSecret::new(self.service().issue_token(applicant, now))
    }

    /// How many calls came and what became of them.
    #[must_use]
    pub fn counters(&self) -> SandboxCounters {
        self.service().counters()
    }

    /// A machine as it is now, whether the API shows it or not.
    #[must_use]
    pub fn machine(&self, id: &str) -> Option<SandboxMachine> {
        self.service().machine(id)
    }

    /// The ids of all machines in the order of the list, dead and unlisted ones included.
    #[must_use]
    pub fn machine_ids(&self) -> Vec<String> {
        self.service().machine_ids()
    }

    /// Other faults from now on, at most so many of them (`None` for no end).
    ///
    /// # Errors
    /// [`SettingsError`] when a probability, or their sum, does not lie between 0 and 1; nothing changes then.
    pub fn set_faults(&self, faults: Faults, limit: Option<u64>) -> Result<(), SettingsError> {
        faults.check()?;
        self.service().set_faults(faults, limit);
        Ok(())
    }

    /// Makes every token that was issued so far worthless.
    pub fn revoke_tokens(&self) {
        self.service().revoke_tokens();
    }

    /// Stops listening, ends every wait, lets calls in flight be answered (for five seconds at most) and returns.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let Some(mut task) = self.task.take() else { return };
        if tokio::time::timeout(STOP_PATIENCE, &mut task).await.is_err() {
            tracing::warn!("a client of the sandbox holds its connection open; it is left behind");
            task.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sandbox").field("address", &self.server.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
