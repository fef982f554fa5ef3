//! `tagfleet check`: whatever a run depends on, looked at one after the other, before anything is at stake.
//!
//! What is wrong stops nothing that can be known without it. What surprises: the hosts are asked for their roots, without a
//! token, since only a call of the API counts in the quota; one such call is made, once, and it counts. Whoever looks before a
//! run does not want to wait for as long as a run would: nobody is waited for longer than some seconds, but a person who signs
//! in.

mod of_runs;
mod settings;
mod state;
mod token;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::audience::with_origin;
use super::context::CommandContext;
use super::named_files::check_certificates;
use super::process_limits;
use super::service::Connection;
use super::setup::{run_context, system_clock};
use crate::api::sign_in::{BearerToken, SignInMethod};
use crate::api::{Client, Loss, Url, reach};
use crate::cli::{CheckOptions, GeneralOptions, SettingInForce};
use crate::clock::{self, SharedClock};
use crate::config::{ServiceConfig, quota};
use crate::exit::{CommandError, ExitStatus};
use crate::model::Bucket;
use crate::report::{Ending, Preflight, Screen, Setting};
use crate::run::{BucketLeft, CallOptions, QuotaLeft, RunContext, Tenant};
use crate::store::Store;
use crate::words::{clock_time, describe_duration, group_digits};

/// What is looked at, in this order.
const NAMES: [&str; 8] = ["configuration", "state", "service", "sign-in service", "clock", "token", "call", "quota"];
/// Why nothing can be looked at that depends on options, variables and files.
const UNUSABLE: &str = "not checked: the configuration cannot be used";
/// How long the one call may take, waits included.
const CALL_PATIENCE: Duration = Duration::from_secs(20);
/// How long a token may take from a host that has been reached.
const TOKEN_PATIENCE: Duration = Duration::from_secs(20);
/// Sign-in services let clocks differ by so much.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// Looks at everything, says what it finds, and ends as a run would.
pub(super) async fn check(options: CheckOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let CommandContext { general, screen, .. } = command;
    let clock: SharedClock = Arc::new(system_clock()?);
    let mut findings = Findings {
        preflight: Preflight::new(screen.clone(), general.json),
        failures: Vec::new(),
        context: run_context(command, clock.boot_time()),
        clock: clock.clone(),
        service_is_reached: false,
        in_force: general.in_force.clone(),
    };
    let place = command.state_place(false);
    let config = findings.unless_failed("configuration", configuration(&options, general))?;
    let way = match &config {
        Some(config) => {
            let judged = of_runs::judge(general, command.reserved);
            let in_force = settings::in_force(&options, general, config, place.as_ref().ok());
            findings.way(config, judged.map(|()| in_force))?
        }
        None => None,
    };
    let store = match place {
        Ok(place) => match findings.context.look(clock.as_ref(), None, state::open(&place, &clock, &options)).await? {
            Some(opened) => findings.took("state", opened)?,
            None => None,
        },
        Err(error) => findings.took("state", Err(error.into()))?,
    };
    let connection = if let Some(config) = &config {
        findings.hosts_and_token(config, way, screen).await?
    } else {
        findings.skip(&["service", "sign-in service", "clock", "token"], UNUSABLE)?;
        None
    };
    match (connection, store) {
        (Some(connection), Some(store)) => {
            Box::pin(findings.calls(&options, connection, store)).await?;
        }
        _ => findings.skip(&["call", "quota"], "not checked: an earlier check failed")?,
    }
    findings.end(general, screen)
}

/// The list where what is configured makes no sense before anything can be looked at.
pub(super) fn unusable(error: &CommandError, json: bool, screen: &Screen) -> Result<(), CommandError> {
    let mut preflight = Preflight::new(screen.clone(), json);
    let (configuration, others) = (NAMES[0], &NAMES[1..]);
    preflight.failed(configuration, &error.problem, error.status.code())?;
    others.iter().try_for_each(|name| preflight.skipped(name, UNUSABLE))?;
    if json {
        screen.object(preflight.json(), &error.object().1)?;
    }
    Ok(())
}

fn configuration(options: &CheckOptions, general: &GeneralOptions) -> Result<ServiceConfig, CommandError> {
    process_limits::allow(options.quota.concurrency)?;
    check_certificates()?;
    let certificates = general.ca_file.as_deref();
    let mut config =
        ServiceConfig::from_options(&options.service, certificates, &|name| general.settings.variable(name))?;
    config.sign_in.expected_tenant.clone_from(&general.settings.tenant);
    Ok(config)
}

/// What was found, and what was wrong with it.
struct Findings {
    preflight: Preflight,
    failures: Vec<CommandError>,
    /// Who is told, and who may interrupt.
    context: RunContext,
    clock: SharedClock,
    /// Whether the API's host answers.
    service_is_reached: bool,
    /// Each setting, and where it is from.
    in_force: Vec<SettingInForce>,
}

impl Findings {
    /// What is there if nothing is wrong with it, which is told.
    fn unless_failed<T>(
        &mut self,
        name: &'static str,
        found: Result<T, CommandError>,
    ) -> Result<Option<T>, CommandError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                let error = with_origin(error, &self.in_force);
                self.preflight.failed(name, &error.problem, error.status.code())?;
                self.failures.push(error);
                Ok(None)
            }
        }
    }

    /// The same, where something is to be told of what is right, too.
    fn took<T>(
        &mut self,
        name: &'static str,
        found: Result<(T, String), CommandError>,
    ) -> Result<Option<T>, CommandError> {
        let Some((found, text)) = self.unless_failed(name, found)? else { return Ok(None) };
        self.preflight.passed(name, &text)?;
        Ok(Some(found))
    }

    fn skip(&mut self, names: &[&'static str], why: &str) -> Result<(), CommandError> {
        names.iter().try_for_each(|name| Ok(self.preflight.skipped(name, why)?))
    }

    /// The way to the service, which no setting makes useless; else that is what is wrong with the configuration.
    fn way(
        &mut self,
        config: &ServiceConfig,
        in_force: Result<Vec<Setting>, CommandError>,
    ) -> Result<Option<Result<Connection, CommandError>>, CommandError> {
        match Connection::to_service(config) {
            Err(error) if error.status == ExitStatus::Usage => self.unless_failed("configuration", Err(error)),
            way => {
                if let Some(in_force) = self.unless_failed("configuration", in_force)? {
                    self.preflight.settings("configuration", &in_force)?;
                }
                Ok(Some(way))
            }
        }
    }

    /// Looks for the hosts, compares clocks, and signs in.
    async fn hosts_and_token(
        &mut self,
        config: &ServiceConfig,
        way: Option<Result<Connection, CommandError>>,
        screen: &Screen,
    ) -> Result<Option<Connection>, CommandError> {
        let Ok(http) = config.client.http() else {
            self.skip(&["service", "sign-in service", "clock", "token"], UNUSABLE)?;
            return Ok(None);
        };
        // Known by what is set, whatever is wrong with it.
        let method = config.sign_in.choose_method().ok();
        let asks_nobody =
            matches!(method, Some(SignInMethod::Token | SignInMethod::ManagedIdentity | SignInMethod::AzureCli));
        let (base_url, authority) = (&config.client.base_url, Url::parse(&config.sign_in.authority_host).ok());
        let asked = authority.as_ref().filter(|_| !asks_nobody);
        let reaching = async {
            let authority = async {
                match asked {
                    Some(authority) => Some((authority, reach(&http, authority).await)),
                    None => None,
                }
            };
            tokio::join!(reach(&http, base_url), authority)
        };
        let Some((service, sign_in)) = self.context.look(self.clock.as_ref(), None, reaching).await? else {
            return Ok(None);
        };
        let mut date = self.took("service", reached(base_url, service, "--base-url"))?;
        self.service_is_reached = date.is_some();
        let mut has_way_to_token = true;
        match (sign_in, method) {
            (Some((authority, asked)), _) => {
                let other = self.took("sign-in service", reached(authority, asked, "AZURE_AUTHORITY_HOST"))?;
                has_way_to_token = other.is_some();
                date = date.flatten().or(other.flatten()).map(Some);
            }
            (None, Some(method)) if asks_nobody => {
                self.skip(&["sign-in service"], &format!("tagfleet does not ask it itself, signing in {method}"))?;
            }
            (None, _) => self.skip(&["sign-in service"], "its address cannot be read")?,
        }
        if let Some(theirs) = date.flatten().as_deref().and_then(|date| httpdate::parse_http_date(date).ok()) {
            let now = clock::now();
            self.took("clock", compared(now, Timestamp::try_from(theirs).unwrap_or(now)))?;
        } else {
            self.skip(&["clock"], "not checked: no host was reached that tells the time")?;
        }
        let Some(way) = way else {
            self.skip(&["token"], UNUSABLE)?;
            return Ok(None);
        };
        let Some(connection) = self.unless_failed("token", way)? else { return Ok(None) };
        if !has_way_to_token {
            self.skip(&["token"], "the sign-in service was not reached")?;
            return Ok(None);
        }
        connection.prompt_on(screen);
        let token = self.token(&connection).await?;
        let Some(token) = self.unless_failed("token", token)? else { return Ok(None) };
        match token.claims() {
            Some(claims) => {
                let verdict = token::judged(claims, &config.sign_in, clock::now()).map(|text| ((), text));
                self.took("token", verdict)?;
            }
            None => self.skip(&["token"], token::OPAQUE)?,
        }
        Ok(Some(connection))
    }

    /// Signs in; a person, and a program of somebody else, take as long as they take.
    async fn token(&mut self, connection: &Connection) -> Result<Result<BearerToken, CommandError>, CommandError> {
        let sign_in = connection.client.sign_in();
        let method = sign_in.method();
        let takes_its_time = method.asks_a_person() || method == SignInMethod::AzureCli;
        let until = (!takes_its_time).then(|| self.clock.boot_time().plus(TOKEN_PATIENCE));
        let token = self.context.look(self.clock.as_ref(), until, sign_in.token()).await?;
        Ok(token.map_or_else(
            || {
                let within = describe_duration(TOKEN_PATIENCE);
                let message = format!("no token has come within {within}, signing in {method}");
                let hint = match method {
                    SignInMethod::ManagedIdentity => {
                        "the endpoint that issues this machine's tokens (IDENTITY_ENDPOINT, or the metadata service) \
                         does not answer; try again later"
                    }
                    _ => "the sign-in service can be reached, but does not answer; try again later",
                };
                Err(CommandError::text(ExitStatus::StoppedEarly, message, Some(hint)))
            },
            |token| token.map_err(CommandError::sign_in),
        ))
    }

    /// Makes the one call, if there is a way to the service and the quota has room, and says what is left.
    async fn calls(
        &mut self,
        options: &CheckOptions,
        connection: Connection,
        store: Store,
    ) -> Result<(), CommandError> {
        let (quota, scope) = quota(&options.quota);
        let calls = CallOptions {
            quota,
            scope,
            concurrency: 1,
            deadline: Some(self.clock.boot_time().plus(CALL_PATIENCE)),
            maximum_outage: CALL_PATIENCE,
        };
        let (service, identity) = (connection.service(), connection.identity());
        let tenant = Tenant::open(service, identity, store.clone(), self.clock.clone(), calls, &mut self.context).await;
        if let Some(tenant) = self.unless_failed("call", tenant)? {
            self.call_and_quota(&tenant).await?;
        } else {
            self.skip(&["quota"], "it is not known whose it is")?;
        }
        let _told_by_the_next_command = store.put_in_order().await;
        connection.close().await;
        Ok(())
    }

    async fn call_and_quota(&mut self, tenant: &Tenant<Client>) -> Result<(), CommandError> {
        let before = tenant.quota_left().await?;
        let reading = |left: &&BucketLeft| left.bucket.is_none_or(|bucket| bucket == Bucket::Machines);
        if !self.service_is_reached {
            self.skip(&["call"], "the service was not reached")?;
        } else if let Some((until, is_asked_for)) = before.iter().find(reading).and_then(BucketLeft::next_at) {
            let why = if is_asked_for { "the service has asked to wait" } else { "the quota is used up" };
            self.skip(&["call"], &format!("{why} until {}", time(until)))?;
        } else {
            let called = tenant.ask_for_one_machine(&mut self.context).await;
            self.took("call", called.map(|()| ((), "the service lists this tenant's machines".to_owned())))?;
        }
        let left = tenant.quota_left().await?;
        Ok(self.preflight.passed("quota", &quota_text(&left))?)
    }

    /// The end of the command: as a run would end that finds the same.
    fn end(self, general: &GeneralOptions, screen: &Screen) -> Result<ExitStatus, CommandError> {
        let status = self.failures.iter().fold(ExitStatus::Done, |status, error| status.and(error.status));
        if general.json {
            let gravest = self.failures.iter().find(|error| error.status == status);
            let ending = gravest.map_or_else(|| Ending::finished(status.code()), |error| error.object().1);
            screen.object(self.preflight.json(), &ending)?;
        }
        Ok(status)
    }
}

/// What is said of a host that was asked, and the time that it says it is.
fn reached(
    host: &Url,
    asked: Result<Option<String>, Loss>,
    named_by: &str,
) -> Result<(Option<String>, String), CommandError> {
    match asked {
        Ok(date) => {
            let how = if host.scheme() == "https" { "by TLS, and its certificate is trusted" } else { "by http" };
            Ok((date, format!("{} answers {how}", host.host_str().unwrap_or_default())))
        }
        Err(Loss { kind, description }) => {
            let status = if kind.is_final() { ExitStatus::ServiceRefused } else { ExitStatus::StoppedEarly };
            let hint = kind.hint().map_or_else(
                || format!("check the network, the proxy settings (HTTPS_PROXY, NO_PROXY), --cloud and {named_by}"),
                str::to_owned,
            );
            Err(CommandError::text(status, description, Some(&hint)))
        }
    }
}

/// How this computer's clock stands to the service's.
fn compared(ours: Timestamp, theirs: Timestamp) -> Result<((), String), CommandError> {
    let difference = ours.duration_since(theirs);
    let (amount, side) = (difference.unsigned_abs(), if difference.is_negative() { "behind" } else { "ahead of" });
    let text = match amount.as_secs() {
        0..=1 => "shows the same time as the service's".to_owned(),
        _ => format!("is {} {side} the service's", describe_duration(amount)),
    };
    if amount <= CLOCK_TOLERANCE {
        return Ok(((), text));
    }
    let hint = "set the clock: certificates and assertions are not valid at another time";
    Err(CommandError::text(ExitStatus::ServiceRefused, format!("this computer's clock {text}"), Some(hint)))
}

/// What of the quota is left, on one line: a bucket that is whole needs few words.
fn quota_text(left: &[BucketLeft]) -> String {
    let is_off = left.iter().all(|left| left.limits.is_empty());
    let bucket = |BucketLeft { bucket, limits, paused_until }: &BucketLeft| {
        let name = bucket.map_or("all calls", Bucket::as_str);
        let pause = paused_until.map(|until| format!("no call until {}, as the service asks (429)", time(until)));
        let is_whole = limits.iter().all(|left| left.whole_at.is_none());
        let whole = (is_whole && !is_off && pause.is_none()).then(|| "whole".to_owned());
        let limits = limits.iter().filter(|_| !is_whole).map(|QuotaLeft { limit, calls, whole_at, .. }| {
            let calls = group_digits(u64::from(*calls));
            format!("{calls} of {limit}, whole again at {}", whole_at.map_or_else(|| "any time".to_owned(), time))
        });
        let parts: Vec<String> = pause.into_iter().chain(whole).chain(limits).collect();
        (!parts.is_empty()).then(|| format!("{name}: {}", parts.join(", ")))
    };
    let off = is_off.then(|| "off: no quota is kept".to_owned());
    off.into_iter().chain(left.iter().filter_map(bucket)).collect::<Vec<_>>().join("; ")
}

fn time(time: Timestamp) -> String {
    clock_time(time, clock::now(), &TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind() {
        let theirs = Timestamp::UNIX_EPOCH;
        let said = |seconds| {
            let ours = Timestamp::from_second(seconds).expect("a time");
            compared(ours, theirs).map_or_else(|error| error.problem.error.to_string(), |((), text)| text)
        };
        assert_eq!(said(1), "shows the same time as the service's");
        assert_eq!(said(90), "is 1 min 30 s ahead of the service's");
        assert_eq!(said(-300), "is 5 min 0 s behind the service's");
        assert_eq!(said(-301), "this computer's clock is 5 min 1 s behind the service's");
        assert_eq!(said(329), "this computer's clock is 5 min 29 s ahead of the service's");
    }
}
