//! The service that a command talks to: the real one, or the sandbox in this process.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use secrecy::SecretString;

use crate::api::Client;
use crate::api::sign_in::{SignIn, SignInError, SignInInstructions, SignInPrompt, TokenClaims, is_tenant_id};
use crate::config::{ConfigError, ServiceConfig};
use crate::exit::{CommandError, ExitStatus};
use crate::model::MachineReference;
use crate::quota::Quota;
use crate::report::Screen;
use crate::run::{Identity, Service};
use crate::sandbox::{Sandbox, SandboxMachine, SandboxQuota, SandboxSettings};

/// The sandbox listens on a free port of loopback.
const SANDBOX_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How many machines a company has that is made up: as many as `tagfleet sandbox` serves.
const COMPANY_MACHINES: usize = 1000;

/// A way to a service.
pub(super) struct Connection {
    pub(super) client: Arc<Client>,
    host: String,
    sandbox: Option<Sandbox>,
}

impl Connection {
    /// Prepares the client; nothing is sent yet.
    pub(super) fn to_service(config: &ServiceConfig) -> Result<Self, CommandError> {
        let http = config.client.http().map_err(ConfigError::from)?;
        let sign_in = SignIn::new(&config.sign_in, http.clone()).map_err(ConfigError::from)?;
        if sign_in.method().asks_a_person() && !std::io::stderr().is_terminal() {
            return Err(CommandError::text(
                ExitStatus::Usage,
                format!("cannot sign in {}: stderr is not a terminal", sign_in.method()),
                Some("run it in a terminal, for one profile at a time, or sign in as an app (tagfleet help sign-in)"),
            ));
        }
        let base_url = config.client.base_url.clone();
        let host = base_url.host_str().unwrap_or_default().to_owned();
        Ok(Self { client: Arc::new(Client::new(http, base_url, sign_in)), host, sandbox: None })
    }

    /// Starts the sandbox with these machines, under the quota that is asked for.
    pub(super) async fn to_sandbox(machines: &[MachineReference], quota: &Quota) -> Result<Self, CommandError> {
        let machines = sandbox_machines(machines);
        // Where no machine is named that can be one, the list has somebody else's; an empty one is a fault of the service.
        Self::to_sandbox_of(usize::from(machines.is_empty()), machines, quota).await
    }

    /// Starts the sandbox with the machines of a company that is made up, under the quota that is asked for.
    pub(super) async fn to_company(quota: &Quota) -> Result<Self, CommandError> {
        Self::to_sandbox_of(COMPANY_MACHINES, Vec::new(), quota).await
    }

    async fn to_sandbox_of(
        made_up_machines: usize,
        machines: Vec<SandboxMachine>,
        quota: &Quota,
    ) -> Result<Self, CommandError> {
        let quotas = quota
            .limits()
            .iter()
            .map(|limit| SandboxQuota { calls: limit.calls.get() as usize, window: limit.window })
            .collect();
        let settings = SandboxSettings { quotas, machines, made_up_machines, ..SandboxSettings::default() };
        let failed = |error| CommandError::new(ExitStatus::Usage, error, None);
        let sandbox = Sandbox::start(settings, SANDBOX_ADDRESS).await.map_err(failed)?;
        let credential = sandbox.credential();
        let config = ServiceConfig::sandbox(
            &sandbox.base_url(),
            credential.tenant_id,
            credential.client_id,
            SecretString::from(credential.client_secret.expose().to_owned()),
        )?;
        Ok(Self { sandbox: Some(sandbox), ..Self::to_service(&config)? })
    }

    /// Lets a person who has to sign in be told on this screen.
    pub(super) fn prompt_on(&self, screen: &Screen) {
        self.client.sign_in().prompt_with(Arc::new(Invitations(screen.clone())));
    }

    /// The service, for a run.
    pub(super) fn service(&self) -> Service<Client> {
        let sign_in = self.client.sign_in();
        let description = match (sign_in.tenant_id(), sign_in.client_id()) {
            (Some(tenant), Some(app)) => format!("{} (tenant {tenant}, app {app})", self.host),
            _ => self.host.clone(),
        };
        let is_sandbox = self.sandbox.is_some();
        Service { transport: Arc::clone(&self.client), host: self.host.clone(), description, is_sandbox }
    }

    /// Whose quota is used: tenant and app of the settings, else of the token's claims. A tenant may be named by its id or
    /// by a domain, and both must come to the same, so a domain is not believed where a token can tell.
    pub(super) async fn identity(&self) -> Result<Identity, SignInError> {
        let sign_in = self.client.sign_in();
        let (tenant, app) = (sign_in.tenant_id().map(str::to_owned), sign_in.client_id().map(str::to_owned));
        let is_person = sign_in.method().asks_a_person();
        if app.is_some() && tenant.as_deref().is_some_and(is_tenant_id) {
            // A sign-in service in trouble is for the calls to wait for; a token of somebody else's is known before any.
            if sign_in.expects_tenant()
                && let Err(error) = sign_in.token().await
                && !error.is_transient()
            {
                return Err(error);
            }
            return Ok(Identity { tenant, app, is_person });
        }
        let token = sign_in.token().await?;
        let claims = token.claims();
        let claimed = |claim: fn(&TokenClaims) -> &Option<String>| claims.and_then(|claims| claim(claims).clone());
        Ok(Identity {
            tenant: claimed(|claims| &claims.tenant_id).or(tenant),
            app: claimed(|claims| &claims.application_id).or(app),
            is_person: is_person || claims.is_some_and(TokenClaims::is_delegated),
        })
    }

    /// Ends the sandbox, if it is one.
    pub(super) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// Tells people on a screen how to sign in.
struct Invitations(Screen);

impl SignInPrompt for Invitations {
    fn show(&self, instructions: &SignInInstructions) {
        self.0.line(&match instructions {
            SignInInstructions::Browser { address, is_opening: true } => {
                format!(
                    "Sign in with the browser that opens. If none does, open this address on this computer:\n{address}"
                )
            }
            SignInInstructions::Browser { address, is_opening: false } => {
                format!("To sign in, open this address in a browser on this computer:\n{address}")
            }
            SignInInstructions::DeviceCode { address, code } => {
                format!("To sign in, open {address} on any device, and enter the code {code}")
            }
        });
    }
}

/// The machines that an input names, as a tenant would hold them: what no machine can be called is nobody's name, and a
/// short name is that of the machine whose full name stands there, too.
fn sandbox_machines(references: &[MachineReference]) -> Vec<SandboxMachine> {
    let names = references.iter().filter_map(|reference| match reference {
        MachineReference::Name(name) if reference.is_plausible() => Some(plain(name)),
        _ => None,
    });
    let mut unmet: HashSet<String> = names.collect();
    let full: Vec<&String> = unmet.iter().filter(|name| name.contains('.')).collect();
    let labels: HashSet<String> = full.into_iter().map(|name| first_label(name).to_owned()).collect();
    unmet.retain(|name| name.contains('.') || !labels.contains(name));
    let machine = |reference: &MachineReference| match reference {
        MachineReference::Id(id) => Some(SandboxMachine::new(id.to_string())),
        MachineReference::Entra(device) => {
            reference.is_plausible().then(|| SandboxMachine::of_device(device.to_string()))
        }
        MachineReference::Name(name) => unmet.remove(&plain(name)).then(|| SandboxMachine::named(name.to_string())),
    };
    references.iter().filter_map(machine).collect()
}

/// A name in the form in which names are the same.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_holds_each_machine_that_is_named_once_and_none_for_what_is_no_name() {
        let id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
        let references = [
            id,
            "web1",
            "WEB1.corp.example",
            "web1.corp.example.",
            "db1",
            "17",
            "web 1",
            "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b",
            "4.2E+39",
            "10.0.0.1",
            "n/a",
            "Jane's laptop",
            "-",
            "web1;web2",
        ]
        .map(MachineReference::parse);
        let machines = sandbox_machines(&references);
        let names: Vec<Option<&str>> = machines.iter().map(|machine| machine.computer_dns_name.as_deref()).collect();
        assert_eq!(names, [None, Some("WEB1.corp.example"), Some("db1"), None]);
        assert_eq!(machines[0].id, id);
        assert_eq!(machines[3].aad_device_id.as_deref(), Some("3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b"));
    }
}
